"""Questions asked of every config of every task."""

import hashlib
import json
import re
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import NO_LABEL, Batch
from seqhub.tasks.splits import SPLITS, Split
from tests.helpers.task_cases import TASK_ID_SPLITS, TASK_IDS, assert_follows, contents, first_rows

TASKS = [get_task(name) for name in list_tasks()]

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_address = pytest.mark.parametrize("task_id", TASK_IDS)
each_split = pytest.mark.parametrize(("task_id", "split"), TASK_ID_SPLITS)


def some_rows(rows: Split) -> int:
    """As many as show a law, and fewer of long ones."""
    return 2048 if rows.schema.num_features or rows.config.length[1] > 600 else 20_000


@cache
def digest_of_first_rows(task_id: str, split: str, seed: int) -> str:
    """Of 64 rows, which every other config, split and seed is compared with."""
    return hashlib.sha256(repr(contents(first_rows(task_id, split, 64, seed))).encode()).hexdigest()


def assert_equal(one: Batch, two: Batch) -> None:
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.lengths, two.lengths)
    np.testing.assert_array_equal(one.labels, two.labels)


@each_split
def test_targets_agree_with_the_rule(task_id, split):
    rows = Split(task_id, split)
    if not rows.task.certain(rows.config, split):
        pytest.skip("the targets are noisy; the task's own tests hold their law")
    examples = rows.examples(first_rows(task_id, split, 300 if some_rows(rows) < 20_000 else 2048))
    solved = rows.task.solve_batch([example.inputs for example in examples], rows.config)
    if rows.schema.target == "number":
        np.testing.assert_allclose([example.target for example in examples], solved, atol=1e-6)
    else:
        assert [example.target for example in examples] == solved


@each_split
def test_batches_have_the_promised_form(task_id, split):
    rows = Split(task_id, split)
    schema, config = rows.schema, rows.config
    batch = first_rows(task_id, split)
    N, T = batch.inputs.shape[:2]
    assert len(batch) == N == (2048 if rows.size is None else min(2048, rows.size))
    assert batch.lengths.dtype == np.int64
    assert batch.lengths.min() >= config.length[0]
    assert batch.lengths.max() <= T <= config.length[1]
    real = np.arange(T) < batch.lengths[:, None]
    if schema.vocabulary is None:
        assert batch.inputs.dtype == np.float32
        assert batch.inputs.shape == (N, T, schema.num_features)
        assert np.isfinite(batch.inputs).all()
        assert not batch.inputs[~real].any()
    else:
        assert batch.inputs.dtype == (np.uint8 if schema.vocabulary.bytewise else np.uint16)
        np.testing.assert_array_equal(batch.inputs != 0, real)
        some = batch[:300]
        texts = some.texts() if schema.vocabulary.bytewise else schema.vocabulary.decode_batch(some.inputs)
        np.testing.assert_array_equal(some.lengths, [len(schema.vocabulary.encode(text)) for text in texts])
    shape, dtype = {
        "class": ((N,), np.int64),
        "number": ((N,), np.float32),
        "step_class": ((N, T), np.int64),
    }.get(schema.target, ((N, 0), batch.labels.dtype))
    assert (batch.labels.shape, batch.labels.dtype) == (shape, dtype)
    if schema.target == "step_class":
        assert (batch.labels[~real] == NO_LABEL).all()
    if schema.labels:
        assert set(batch.labels[batch.labels != NO_LABEL].tolist()) == set(range(len(schema.labels)))
    if schema.target == "number":
        assert np.isfinite(batch.labels).all()


@each_split
def test_the_same_arguments_give_the_same_rows_and_others_give_others(task_id, split):
    drawn = Split(task_id, split).size is None
    seed = 5 if drawn else 0
    assert_equal(first_rows(task_id, split, seed=seed), first_rows(task_id, split, seed=seed))
    others = [(task_id, split, 6), (task_id, split, -5)] if drawn else []
    if drawn or not Split(task_id).task.splits_overlap(Split(task_id).config):
        others += [(task_id, other, seed) for other in SPLITS if other != split]
    others += [(other, split, seed) for other in TASK_IDS if drawn and other != task_id and Split(other).size is None]
    here = digest_of_first_rows(task_id, split, seed)
    for other in others:
        assert digest_of_first_rows(*other) != here, other


def test_given_rows_have_no_seed_and_an_end():
    for task_id in (each for each in TASK_IDS if Split(each).size is not None):
        with pytest.raises(InvalidInputError, match=f"seed 3 of {task_id}, whose rows are given"):
            Split(task_id, seed=3)
        rows = Split(task_id)
        assert sum(map(len, rows.batches(0))) == rows.size
        with pytest.raises(InvalidInputError, match=f"which has {rows.size:,}$"):
            next(rows.batches(0, rows.size + 1))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), task=st.sampled_from(TASK_IDS), split=st.sampled_from(list(SPLITS)))
def test_every_way_to_a_row_gives_the_same(data, task_id, split):
    """A range, a shard, single blocks and single examples are cut from one and the same sequence."""
    size = Split(task_id, split).size
    rows = Split(task_id, split, seed=data.draw(st.integers(-(2**70), 2**70)) if size is None else 0)
    start = data.draw(st.integers(0, 10**6 if size is None else size - 1))
    longest = (1 if rows.schema.num_features else 5) * BLOCK_SIZE
    stop = start + data.draw(st.integers(1, longest if size is None else min(longest, size - start)))
    drawn = list(rows.batches(start, stop))  # several where wide values fill the memory sooner
    whole = [row for batch in drawn for row in contents(batch)]
    assert len(whole) == stop - start
    first, last = start // BLOCK_SIZE, -(-stop // BLOCK_SIZE)
    blocks = [rows.blocks(number, 1) for number in range(first, last)]
    expected = [row for block in blocks for row in contents(block)][start - first * BLOCK_SIZE :][: stop - start]
    assert whole == expected
    cut = data.draw(st.integers(start, stop))
    parts = [part for ends in ((start, cut), (cut, stop)) for part in rows.batches(*ends)]
    assert [row for part in parts for row in contents(part)] == expected
    index = data.draw(st.integers(start, stop - 1))
    example = rows[index]
    row = [each for batch in drawn for each in rows.examples(batch)][index - start]
    np.testing.assert_equal(example.inputs, row.inputs)
    assert example.target == row.target


ENDLESS_TEXTS = [each for each in TASK_IDS if Split(each).size is None and not Split(each).schema.num_features]


@pytest.mark.parametrize("task_id", ENDLESS_TEXTS)  # real values come in batches of fewer blocks, cut by the test above
def test_endless_batches_are_those_with_an_end(task_id):
    endless = Split(task_id).batches(1000)
    ended = list(Split(task_id).batches(1000, 20 * BLOCK_SIZE))
    assert len(ended) > 2
    for batch in ended[:-1]:
        assert_equal(next(endless), batch)
    assert sum(map(len, ended)) == 20 * BLOCK_SIZE - 1000
    assert list(Split(task_id).batches(7, 7)) == []


@each_split
def test_labels_are_balanced(task_id, split):
    """Drawn classes, of sequences or of steps, are equally likely, which is what `chance` says."""
    rows = Split(task_id, split)
    chance = rows.task.chance(rows.config)
    assert (chance is None) == (not rows.schema.labels)
    if rows.schema.labels and rows.size is None:
        batch = first_rows(task_id, split, some_rows(rows))
        assert_follows(np.bincount(batch.labels[batch.labels != NO_LABEL], minlength=len(rows.schema.labels)))
        assert chance == 1 / len(rows.schema.labels)


@each_address
def test_the_best_constant_answer_is_worth_what_the_task_says(task_id):
    """On test rows, within five standard errors of the measured means."""
    rows = Split(task_id, "test")
    constant = rows.task.constant(rows.config)
    assert (constant is not None) == (rows.schema.target == "number")
    if constant is not None:
        targets = first_rows(task_id, "test", 8 * BLOCK_SIZE).labels.astype(np.float64)
        errors = np.abs(targets - constant.value)
        within = (errors <= rows.schema.tolerance).astype(np.float64)
        share = max(constant.within * (1 - constant.within), 1 / len(targets))
        bound = 5 / len(targets) ** 0.5
        assert abs(targets.mean() - constant.value) <= bound * targets.std()
        assert abs(np.square(errors).mean() - constant.squared_error) <= bound * np.square(errors).std() + 1e-6
        assert abs(within.mean() - constant.within) <= bound * share**0.5


@each_address
def test_splits_share_no_sequence_unless_the_task_says_so(task_id):
    rows = Split(task_id)
    seen = {}
    for split in SPLITS:
        batch = first_rows(task_id, split, some_rows(rows))
        seen[split] = {values for values, *_ in contents(batch)}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    assert any(seen[one] & seen[other] for one, other in pairs) == rows.task.splits_overlap(rows.config)


@pytest.mark.parametrize("task_id", [task_id for task_id in TASK_IDS if Split(task_id).schema.vocabulary is not None])
def test_decoding_undoes_encoding(task_id):
    rows = Split(task_id)
    vocabulary = rows.schema.vocabulary
    texts = [example.inputs for example in rows.examples(first_rows(task_id, rows=300))]
    ids = vocabulary.encode_batch(texts)
    assert ids.dtype == np.int64
    assert vocabulary.decode_batch(ids) == texts
    assert [vocabulary.decode(vocabulary.encode(text)) for text in texts] == texts


@each_task
def test_facts_are_complete(task):
    assert task.name in list_tasks()
    assert isinstance(task.version, int)
    assert task.version >= 1
    assert len({config.name for config in task.configs}) == len(task.configs) > 0
    for config in task.configs:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", config.name)  # it becomes part of a repository's name
    names = {config.name for config in task.configs}
    assert set(task.paper_wrong) <= set(task.paper_sequences) <= names
    assert all(0 <= share < 1 for share in task.paper_wrong.values())
    assert all(task.stopping_rule(config) for config in task.configs if config.name in task.paper_sequences)
    assert set(task.marked) <= set(task.symbols)
    assert task.title
    assert task.rule
    for config in task.configs:
        json.dumps(config.parameters())  # they go into keys and records


@each_task
def test_it_says_where_it_comes_from(task):
    documentation = import_module(type(task).__module__).__doc__
    assert "Source:" in documentation
    assert task.source.startswith("@")
    assert all(f"{field} " in task.source for field in ("author", "title", "year"))


@each_task
def test_every_config_is_found_by_its_address(task):
    for config in task.configs:
        assert resolve(f"{task.name}/{config.name}") == (task, config)


@pytest.mark.parametrize("task_id", ["", "/", "qrs", "qrs/easy", "base/easy", "rng", "QRSU/easy", "../tasks/qrsu"])
def test_unknown_tasks_list_the_known_ones(task_id):
    with pytest.raises(UnknownNameError, match=f"; known: {', '.join(list_tasks())}$"):
        resolve(task_id)


@each_task
@pytest.mark.parametrize("config", ["", "/", "tough", "easy/train", "Easy"])
def test_unknown_configs_list_the_known_ones(task, config):
    known = ", ".join([config.name for config in task.configs] + (["custom"] if task.custom_format else []))
    with pytest.raises(UnknownNameError, match=f"no config of {task.name} '{config}'; known: {known}$"):
        resolve(f"{task.name}/{config}")


@each_address
def test_wrong_splits_seeds_and_ranges_are_refused(task_id):
    with pytest.raises(UnknownNameError, match=f"no split of {task_id} 'dev'; known: train, validation, test"):
        Split(task_id, "dev")
    for seed in (1.0, "1", None, True, np.float64(1)):
        with pytest.raises(InvalidInputError, match="a seed is a whole number"):
            Split(task_id, seed=seed)
    for start, stop in ((-1, 1), (1, 0)):
        with pytest.raises(InvalidInputError, match="need 0 <= start <= stop"):
            next(Split(task_id).batches(start, stop))
    with pytest.raises(InvalidInputError):
        Split(task_id)[-1]


def test_nothing_touches_the_global_generator():
    before = np.random.get_state()
    for task_id in TASK_IDS:
        first_rows(task_id)
    after = np.random.get_state()
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
