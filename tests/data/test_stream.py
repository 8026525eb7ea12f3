"""Endless streams: disjoint shards, and exact resuming in this process and in others."""

import json
import os
from itertools import islice
from pathlib import Path

import pytest
import torch
from datasets import IterableDataset
from datasets.distributed import split_dataset_by_node
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, get_worker_info

import seqhub
from seqhub.data.arrow import rows_table
from seqhub.data.builder import features_of
from seqhub.data.stream import NUM_SHARDS, stream
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.splits import Split
from tests.helpers import forked_process
from tests.helpers.example_configs import OF_EACH_TASK
from tests.helpers.training_processes import finish

EASY = "qrsu/easy"
BLOCK = 1024


def block(number: int, task_id: str = EASY, split: str = "train", seed: int = 0) -> list[tuple[str, int]]:
    batch = Split(task_id, split, seed).blocks(number, 1)
    return list(zip(batch.texts(), batch.labels.tolist(), strict=True))


def pairs(rows) -> list[tuple[str, int]]:
    return [(row["text"], int(row["label"])) for row in rows]


def take(dataset, count: int) -> list[tuple[str, int]]:
    return pairs(islice(dataset, count))


@pytest.mark.parametrize("task_id", OF_EACH_TASK)
def test_stream_has_the_rows_of_the_split(task_id):
    if Split(task_id).size is not None:
        with pytest.raises(InvalidConfigError, match=f"stream of {task_id}, which has .* fixed train rows"):
            seqhub.stream(task_id)
        return
    endless = seqhub.stream(task_id, "test", seed=4)
    assert isinstance(endless, IterableDataset)
    assert endless.features == features_of(Split(task_id).schema)
    wanted = rows_table(Split(task_id, "test", 4), 0, 2 * BLOCK)
    assert next(endless.with_format("arrow").iter(2 * BLOCK)) == wanted
    assert list(islice(endless, 5)) == wanted[:5].to_pylist()  # each iterator starts at the first row


def test_first_rows_are_the_published_rows(tmp_path):
    published = seqhub.load_dataset("qrsu", "easy", split="train", train_size=3000, cache_dir=str(tmp_path))
    assert list(stream(EASY).take(3000)) == published.to_list()


@settings(max_examples=30, deadline=None)
@given(world_size=st.integers(1, 40), data=st.data())
def test_ranks_get_every_nth_block(world_size, data):
    rank = data.draw(st.integers(0, world_size - 1))
    part = split_dataset_by_node(stream(EASY), rank, world_size)
    if NUM_SHARDS % world_size == 0:
        assert take(part, BLOCK + 1) == block(rank) + block(rank + world_size)[:1]
    else:  # `datasets` then distributes single examples
        everything = [row for number in range(2) for row in block(number)]
        wanted = everything[rank::world_size]
        assert take(part, len(wanted)) == wanted


def test_common_numbers_of_readers_divide_the_number_of_shards():
    common = [*range(1, 11), 12, 14, 15, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 256, 512, 1024]
    assert all(NUM_SHARDS % number == 0 for number in common)


class Watched(torch.utils.data.IterableDataset):
    """Dataset for workers that yields the worker, chunks of rows, and the position after each chunk."""

    def __init__(self, rows: IterableDataset, states: dict[int, dict] | None = None, size: int = 700) -> None:
        self.rows, self.states, self.size = rows, states or {}, size

    def __iter__(self):
        info = get_worker_info()
        if info.id in self.states:
            self.rows.load_state_dict(self.states[info.id])
        rows = iter(self.rows)
        while True:
            yield info.id, pairs(islice(rows, self.size)), self.rows.state_dict()


def read(rows: IterableDataset, chunks: int, method: str, workers: int, states: dict[int, dict] | None = None):
    """Return the rows and the last position of each worker after `chunks` chunks each."""
    loader = DataLoader(
        Watched(rows, states), batch_size=None, num_workers=workers, multiprocessing_context=method, timeout=60
    )
    got: dict[int, list] = {worker: [] for worker in range(workers)}
    last = {}
    for worker, chunk, state in islice(loader, chunks * workers):  # a DataLoader takes its workers in turn
        got[worker] += map(tuple, chunk)
        last[worker] = state
    return got, last


@pytest.mark.fast_cases("fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_ranks_have_disjoint_rows_and_resume_exactly(method):
    workers = 2
    for rank in range(2 if method == "fork" else 1):  # a spawned worker imports everything again, which takes seconds
        rows = split_dataset_by_node(stream(EASY), rank, 2)
        before, states = read(rows, 2, "fork", workers)
        after, _ = read(rows, 2, method, workers, json.loads(json.dumps(states), object_hook=by_number))
        for worker in range(workers):
            expected = [row for number in range(3) for row in block(rank + 2 * worker + 4 * number)]
            assert before[worker] + after[worker] == expected[:2800]


def by_number(value: dict) -> dict:
    return {int(key) if key.isdigit() else key: content for key, content in value.items()}


def test_default_collation_of_a_loader():
    loader = DataLoader(stream(EASY), batch_size=100, num_workers=2, timeout=60)
    one, two = islice(loader, 2)
    assert one["text"] == [text for text, _ in block(0)[:100]]
    assert two["text"] == [text for text, _ in block(1)[:100]]
    assert one["label"].tolist() == [label for _, label in block(0)[:100]]


@settings(max_examples=30, deadline=None)
@given(taken=st.integers(0, 3 * BLOCK), world_size=st.sampled_from([1, 2, 3, 11]))
def test_resume_is_exact(taken, world_size):
    whole = take(split_dataset_by_node(stream(EASY), 1 % world_size, world_size), 3 * BLOCK + 50)
    first = split_dataset_by_node(stream(EASY), 1 % world_size, world_size)
    assert take(first, taken) == whole[:taken]
    second = split_dataset_by_node(stream(EASY), 1 % world_size, world_size)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert take(second, 3 * BLOCK + 50 - taken) == whole[taken:]


@pytest.mark.parametrize("form", ["arrow", "torch"])
@pytest.mark.parametrize("batches", [1, 4, 9])
def test_formatted_batches_resume_exactly(form, batches):
    def texts(batch) -> list[str]:
        return batch["text"].to_pylist() if form == "arrow" else batch["text"]

    wanted = [text for number in range(5) for text, _ in block(number)]
    first = stream(EASY).with_format(form)
    seen = [text for batch in islice(first.iter(300), batches) for text in texts(batch)]
    second = stream(EASY).with_format(form)
    second.load_state_dict(first.state_dict())
    seen += [text for batch in islice(second.iter(300), 5) for text in texts(batch)]
    assert seen == wanted[: len(seen)]
    assert len(seen) == 300 * (batches + 5)


def test_map_filter_and_skip_work_as_on_any_stream():
    rows = stream(EASY).map(lambda row: {"length": len(row["text"])}).filter(lambda row: row["label"] == 2).skip(3)
    wanted = [text for text, label in block(0) if label == 2][3:10]
    assert [row["text"] for row in rows.take(7)] == wanted
    assert all(row["length"] == len(row["text"]) for row in rows.take(7))


def test_shuffling_mixes_the_rows_of_its_buffer():
    rows = take(stream(EASY).shuffle(seed=1, buffer_size=512), 512)
    assert rows != block(0)[:512]
    assert rows == take(stream(EASY).shuffle(seed=1, buffer_size=512), 512)
    one_buffer = take(stream(EASY).shuffle(seed=1, buffer_size=100, max_buffer_input_shards=1), 512)
    assert one_buffer != block(0)[:512]
    assert set(one_buffer) <= set(block(0))


def test_resuming_at_a_distant_position_is_immediate():
    rows = stream("qrsu/nightmare")
    take(rows, 1)
    state = rows.state_dict()
    position = state["examples_iterable"]
    while "block" not in position:
        position = position["examples_iterable"]
    position["block"] = 10**9  # a trillion examples later
    rows.load_state_dict(state)
    assert take(rows, 3) == block(10**9, "qrsu/nightmare")[1:4]


@pytest.mark.slow
def test_resume_in_another_process(tmp_path: Path):
    rows = stream("qrsu/normal", seed=9)
    take(rows, 1500)
    (tmp_path / "state.json").write_text(json.dumps(rows.state_dict()))
    code = """
import itertools, json, sys, seqhub
rows = seqhub.stream("qrsu/normal", seed=9)
rows.load_state_dict(json.load(open(sys.argv[1])))
print(json.dumps([row["text"] for row in itertools.islice(rows, 700)]))
"""
    returned, out, errors = finish(
        forked_process.Process(["-c", code, "state.json"], cwd=tmp_path, env=dict(os.environ))
    )
    assert returned == 0, errors
    wanted = [text for number in range(3) for text, _ in block(number, "qrsu/normal", seed=9)]
    assert json.loads(out) == wanted[1500:2200]


def test_position_of_another_stream_is_an_error():
    rows = stream(EASY)
    take(rows, 1)
    for other in (stream("qrsu/hard"), stream(EASY, "test"), stream(EASY, seed=1)):
        other.load_state_dict(rows.state_dict())
        with pytest.raises(InvalidConfigError, match="position of a stream with"):
            next(iter(other))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("qrs/easy",), UnknownNameError, "no task 'qrs'; known: "),
        (("qrsu",), UnknownNameError, "no config of qrsu ''; known: easy"),
        (("qrsu/easy", "dev"), UnknownNameError, "known: train, validation, test"),
        (("qrsu/easy", "train", "x"), InvalidInputError, "seed='x'"),
    ],
)
def test_unknown_names_list_the_known_ones(arguments, error, message):
    with pytest.raises(error, match=message):
        stream(*arguments)
