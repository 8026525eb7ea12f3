"""Group word problem: the groups, their products and longer sequences."""

from itertools import product

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.group_word import TASK, GroupWordConfig, _elements, _table
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.splits import Split
from tests.helpers.task_cases import assert_follows, first_rows

CONFIGS = {config.name: config for config in TASK.configs}
each_config = pytest.mark.parametrize("name", CONFIGS)


@pytest.mark.parametrize(("group", "order", "commutes"), [("s3", 6, 0), ("a5", 60, 0), ("s5", 120, 0), ("z60", 60, 1)])
def test_groups_obey_the_axioms(group, order, commutes):
    table = _table(group)
    assert table.shape == (order, order)
    assert (table[0] == np.arange(order)).all()
    assert (table[:, 0] == np.arange(order)).all()
    assert (np.sort(table, axis=1) == np.arange(order)).all()
    assert (np.sort(table, axis=0) == np.arange(order)[:, None]).all()
    assert (table[table] == table[:, table]).all()  # (a b) c and a (b c)
    assert (table == table.T).all() == bool(commutes)


def test_products_are_permutations_applied_in_order():
    assert TASK.solve("10234 02134") == ["10234", "20134"]
    assert TASK.solve("10234 10234") == ["10234", "01234"]
    assert TASK.solve("30 30 1") == ["30", "0", "1"]


def test_swaps_are_the_ten_exchanges_of_two_items():
    config = CONFIGS["s5-swaps"]
    assert len(set(config.symbols)) == 10
    assert all(TASK.solve(f"{word} {word}")[1] == "01234" for word in config.symbols)
    assert not set(config.symbols) & set(_elements("a5"))  # they are odd


@each_config
def test_symbols_are_uniform(name):
    ids = first_rows(f"group_word/{name}").inputs
    assert_follows(np.bincount(ids.ravel())[1:])


def test_two_swaps_often_give_the_identity():
    config = GroupWordConfig(name="two", length=(2, 2), group="s5", swaps=True)
    labels = TASK.generate(config, BlockRandom(1, 0, 4)).labels
    assert TASK.chance(config) == pytest.approx(1 / 20)  # 1/10 at the second step
    assert (labels == 0).mean() == pytest.approx(1 / 20, abs=4 * 0.22 / labels.size**0.5)


@each_config
def test_models_are_tested_on_longer_sequences(name):
    tests = TASK.test_distributions(CONFIGS[name])
    assert {test: config.length for test, config in tests.items()} == {
        f"len{n}": (n, n) for n in (64, 128, 256, 512)
    }  # fmt: skip
    config = tests["len256"]
    batch = TASK.generate(config, BlockRandom(1, 0, 1))[:3]
    schema = TASK.schema(config)
    for ids, labels in zip(batch.inputs, batch.labels, strict=True):
        assert [schema.labels[label] for label in labels] == TASK.solve(schema.vocabulary.decode(ids))


def test_words_of_the_vocabularies_belong_to_one_group():
    words = [set(_elements(group)) for group in ("z60", "s3", "s5")]
    assert not any(one & two for one, two in product(words, words) if one is not two)
    assert set(Split("group_word/a5").schema.vocabulary.symbols) < words[2]


@pytest.mark.parametrize("text", ["", "60", "012 01234", "1 012", "011", "5 "])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid group_word sequence"):
        TASK.solve(text)


def test_swaps_need_a_symmetric_group():
    with pytest.raises(InvalidConfigError, match="swaps=False except for symmetric groups"):
        GroupWordConfig(name="wrong", length=(3, 3), group="a5", swaps=True)
