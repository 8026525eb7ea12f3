"""Tests of every config of every task."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import SPLITS, Split
from seqhub.testing import Check, checks_of, run_checks
from seqhub.testing.tasks import CHECKS
from tests.helpers.example_configs import KINDS
from tests.helpers.task_cases import TASK_ID_SPLITS, TASK_IDS, assert_follows, contents, first_rows

TASKS = [get_task(name) for name in list_tasks()]

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_task_id = pytest.mark.parametrize("task_id", TASK_IDS)
each_split = pytest.mark.parametrize(("task_id", "split"), TASK_ID_SPLITS)


def some_rows(rows: Split) -> int:
    """Return the number of rows for tests of distributions, smaller for long rows."""
    return 2048 if rows.schema.num_features or rows.config.length[1] > 600 else 20_000


def test_fixed_rows_have_no_seed_and_an_end():
    for task_id in (each for each in TASK_IDS if Split(each).size is not None):
        with pytest.raises(InvalidInputError, match=f"seed=3: must be 0 for {task_id}"):
            Split(task_id, seed=3)
        rows = Split(task_id)
        assert sum(map(len, rows.batches(0))) == rows.size
        with pytest.raises(InvalidInputError, match=f"stop={rows.size + 1}: must be at most {rows.size:,}"):
            next(rows.batches(0, rows.size + 1))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), task_id=st.sampled_from(TASK_IDS), split=st.sampled_from(list(SPLITS)))
def test_all_access_paths_give_the_same_rows(data, task_id, split):
    """Ranges, single blocks and single examples are parts of the same sequence."""
    size = Split(task_id, split).size
    rows = Split(task_id, split, seed=data.draw(st.integers(-(2**70), 2**70)) if size is None else 0)
    start = data.draw(st.integers(0, 10**6 if size is None else size - 1))
    longest = (1 if rows.schema.num_features else 5) * BLOCK_SIZE
    stop = start + data.draw(st.integers(1, longest if size is None else min(longest, size - start)))
    batches = list(rows.batches(start, stop))  # several for wide values
    whole = [row for batch in batches for row in contents(batch)]
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
    row = [each for batch in batches for each in rows.examples(batch)][index - start]
    np.testing.assert_equal(example.inputs, row.inputs)
    assert example.target == row.target


ENDLESS_TEXTS = [each for each in TASK_IDS if Split(each).size is None and not Split(each).schema.num_features]


@pytest.mark.fast_cases("qrsu/*", "echo/*", "mqar/small*", "long_lag/2a*")
@pytest.mark.parametrize("task_id", ENDLESS_TEXTS)  # batches of real values may have fewer blocks, see the test above
def test_endless_batches_equal_batches_with_an_end(task_id):
    endless = Split(task_id).batches(1000)
    ended = list(Split(task_id).batches(1000, 20 * BLOCK_SIZE))
    assert len(ended) > 2
    for batch in ended[:-1]:
        assert contents(next(endless)) == contents(batch)
    assert sum(map(len, ended)) == 20 * BLOCK_SIZE - 1000
    assert list(Split(task_id).batches(7, 7)) == []


@each_split
def test_labels_are_balanced(task_id, split):
    """Generated classes of sequences or steps are equally probable, if `chance` is that of equally probable classes."""
    rows = Split(task_id, split)
    chance = rows.task.chance(rows.config)
    assert (chance is None) == (not rows.schema.labels)
    if chance is not None and rows.size is None and chance <= 1 / len(rows.schema.labels):
        batch = first_rows(task_id, split, some_rows(rows))
        labels = batch.labels
        if labels.ndim == 2:  # one step of each row, since the steps of a row may depend on each other
            scored = labels != NO_LABEL
            chosen = np.random.default_rng(0).integers(scored.sum(axis=1))
            labels = labels[np.arange(len(labels)), np.argmax(scored.cumsum(axis=1) > chosen[:, None], axis=1)]
        groups = min(len(rows.schema.labels), len(labels) // 20)  # of classes, for a chi-squared test
        assert_follows(*_grouped(labels, len(rows.schema.labels), groups))
        assert chance == 1 / len(rows.schema.labels)


def _grouped(labels: NDArray[np.int64], classes: int, groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of labels in each group of neighbouring classes, and the number of classes of each group."""
    group = np.arange(classes) * groups // classes
    return np.bincount(group[labels], minlength=groups), np.bincount(group)


@each_task
def test_every_config_is_found_by_its_task_id(task):
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


@each_task_id
def test_invalid_splits_seeds_and_ranges_are_errors(task_id):
    with pytest.raises(UnknownNameError, match=f"no split of {task_id} 'dev'; known: train, validation, test"):
        Split(task_id, "dev")
    for seed in (1.0, "1", None, True, np.float64(1)):
        with pytest.raises(InvalidInputError, match=r"seed=.*: must be an integer"):
            Split(task_id, seed=seed)
    for start, stop in ((-1, 1), (1, 0)):
        with pytest.raises(InvalidInputError, match=f"start={start}, stop={stop}: must be 0 <= start <= stop"):
            next(Split(task_id).batches(start, stop))
    with pytest.raises(InvalidInputError):
        Split(task_id)[-1]


def failures(checks: list[Check]) -> list[str]:
    return [f"{result.subject} {result.name}: {result.error}" for result in run_checks(checks) if result.error]


CHECK_NAMES = [name for name in CHECKS if name not in ("loading", "training")]


@pytest.mark.parametrize("name", CHECK_NAMES)
def test_the_first_config_of_every_task_passes_the_check(name):
    first = {task_id.partition("/")[0]: task_id for task_id in reversed(TASK_IDS)}
    assert failures([check for task_id in first.values() for check in checks_of(task_id) if check.name == name]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECK_NAMES)
def test_every_config_passes_the_check(name):
    checks = [check for task_id in TASK_IDS for check in checks_of(task_id) if check.name == name]
    assert len(checks) == len(TASK_IDS)
    assert failures(checks) == []


def test_every_kind_of_row_can_be_loaded_and_trained_on():
    """Test one config of each kind; the checks above compare the others with their schema."""
    checks = [check for task_id in KINDS.values() for check in checks_of(task_id) if check.name == "loading"]
    checks += [check for check in checks_of("echo/step1") if check.name == "training"]
    assert failures(checks) == []


@pytest.mark.slow
def test_every_config_can_be_loaded_and_trained_on():
    checks = [check for each in TASK_IDS for check in checks_of(each) if check.name in ("loading", "training")]
    assert failures(checks) == []


def test_no_config_has_the_rows_of_another():
    """Tasks and configs have different keys of the random number generator."""
    seen = {}
    for task_id in TASK_IDS:
        if Split(task_id).size is None:
            digest = hashlib.sha256(repr(contents(first_rows(task_id, "train", 64))).encode()).hexdigest()
            assert seen.setdefault(digest, task_id) == task_id
