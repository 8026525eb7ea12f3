"""Bounded Dyck languages: strings, sets of next symbols, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.dyck import TASK, DyckConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows


def test_all_strings_of_a_length_are_equally_probable():
    config = DyckConfig(name="six", length=(7, 7), kinds=1, depth=3)
    _, counts = np.unique(TASK.generate(config, BlockRandom(1, 0, 4)).texts(), return_counts=True)
    assert len(counts) == 5  # the third Catalan number
    assert_follows(counts)


@pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)
def test_the_next_symbol_is_legal_and_the_depth_is_reached(config):
    texts = first_rows(f"dyck/{config.name}", rows=200).texts()
    for text in texts:
        follow = TASK.legal_next_symbols(text, config.kinds, config.depth)
        assert all(symbol in legal for symbol, legal in zip(text[1:], follow, strict=True))
    nested = max(np.cumsum([1 if each.islower() else -1 for each in text[:-1]]).max() for text in texts)
    assert nested == config.depth


@pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)
def test_legal_ids_of_a_batch_are_those_of_each_text(config):
    batch = first_rows(f"dyck/{config.name}", rows=100)
    legal = TASK.legal_steps(config, batch, None)
    for row, text in enumerate(batch.texts()):
        follow = TASK.legal_next_symbols(text, config.kinds, config.depth)
        for step, symbols in enumerate(follow):
            assert set(np.flatnonzero(legal[row, step])) == set(config.vocabulary.encode(symbols))
        assert not legal[row, len(follow) :].any()


def test_longer_test_distributions():
    (longer,) = TASK.test_distributions(TASK.configs[0]).values()
    batch = TASK.generate(longer, BlockRandom(1, 0, 1))
    assert (batch.lengths.min(), batch.lengths.max()) == (87, 181)
    for text in batch.texts()[:20]:
        TASK.solve(text)


@pytest.mark.parametrize("text", ["", ".", "aA", "aB.", "a.", "A.", "aaaaaAAAAA.", "ab", "aA.aA."])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid dyck sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="odd lengths"):
        DyckConfig(name="wrong", length=(4, 8), kinds=2, depth=4)
