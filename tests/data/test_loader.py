"""Data loaders: rows, order and position for any number of processes, and errors."""

from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.data.arrow import rows_table
from seqhub.data.loader import DatasetLoader, StreamLoader
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.schema import NO_LABEL, Batch, Example, TaskSchema
from seqhub.tasks.splits import Split
from tests.helpers.example_configs import OF_EACH_TASK
from tests.helpers.task_cases import rows_for

QRSU = get_task("qrsu")
QRSU_SCHEMA = QRSU.schema(QRSU.configs[0])
TASK_IDS = [f"{name}/{config.name}" for name in list_tasks() for config in get_task(name).configs]


def table_of(batch: Batch, text_type: pa.DataType | None = None) -> pa.Table:
    return pa.table({"text": pa.array(batch.texts(), text_type or pa.string()), "label": batch.labels})


def rows_of(rows: int, task_id: str = "qrsu/easy") -> pa.Table:
    return rows_table(Split(task_id), 0, rows)


def examples(batches, task=QRSU) -> list[tuple[str, int]]:
    """Return text and label of every row of some batches, in order."""
    return [
        (task.decode(ids), int(label))
        for batch in batches
        for ids, label in zip(batch["input_ids"].numpy(), batch["labels"], strict=True)
    ]


def pairs(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


def assert_batch_equals(schema: TaskSchema, batch: dict[str, torch.Tensor], expected: list[Example]) -> None:
    """Compare a batch of tensors, without padding, with its examples."""
    assert len(batch["labels"]) == len(expected)
    for row, (inputs, target) in enumerate(expected):
        real = batch["attention_mask"][row] == 1
        if schema.vocabulary is None:
            given = batch["input_values"][row]
            assert given.dtype == torch.float32
            np.testing.assert_array_equal(given[real].numpy(), inputs)
            assert not given[~real].any()
        else:
            given = batch["input_ids"][row]
            assert given.dtype == torch.int64
            assert given[real].tolist() == schema.vocabulary.encode(inputs)
            assert not given[~real].any()
        labels = batch["labels"][row]
        if schema.target == "class":
            assert schema.labels[labels] == target
        elif schema.target == "number":
            assert labels.dtype == torch.float32
            assert labels.item() == np.float32(target)
        elif schema.target == "step_class":
            assert [None if i == NO_LABEL else schema.labels[i] for i in labels[real].tolist()] == target
            assert (labels[~real] == NO_LABEL).all()
        elif schema.target == "next_symbol":
            assert torch.equal(labels, given.masked_fill(~real, NO_LABEL))
        else:
            assert torch.equal(labels, given)


def assert_equal_batches(one, two) -> None:
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first.keys() == second.keys()
        for name in first:
            torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


@pytest.mark.fast_cases(
    "qrsu/*", "adding/hs97-t100", "chirps/*", "ramps/*", "echo/*", "documents/width64", "long_lag/2c-q50*"
)
@pytest.mark.parametrize("task_id", TASK_IDS)
def test_batches_agree_with_the_examples_of_the_split(task_id):
    """Each row of a batch without padding equals the example of the split, for every schema."""
    split = Split(task_id)
    rows = rows_for(task_id, "train", 300)
    table = rows_of(rows, task_id)
    expected = [example for batch in split.batches(0, rows) for example in split.examples(batch)]
    found = 0
    for batch in DatasetLoader(table, split.schema, 64, shuffle=False):
        longest = int(batch["attention_mask"].sum(1).max())
        assert {tensor.shape[1] for name, tensor in batch.items() if name != "labels"} == {longest}
        assert_batch_equals(split.schema, batch, expected[found : found + 64])
        found += len(batch["labels"])
    assert found == rows


@pytest.mark.fast_cases("qrsu/*", "embedded_reber/*", "multiplication/*")
@pytest.mark.parametrize("task_id", OF_EACH_TASK)
def test_stream_has_the_rows_of_the_split(task_id):
    if Split(task_id).size is not None:
        with pytest.raises(InvalidConfigError, match=f"StreamLoader for {task_id}, with .* fixed train rows"):
            StreamLoader(task_id)
        return
    split = Split(task_id, "validation", seed=3)
    loader = StreamLoader(task_id, "validation", seed=3, batch_size=1000)  # up to eight blocks are generated together
    few = split.schema.num_features or split.config.length[1] > 100
    batches = 2 if few else 16
    expected = [example for batch in split.batches(0, batches * 1000) for example in split.examples(batch)]
    for number, batch in enumerate(islice(loader, batches)):
        assert_batch_equals(split.schema, batch, expected[number * 1000 : (number + 1) * 1000])


def test_every_epoch_has_every_row_once_in_a_different_order():
    table = rows_of(1000, "qrsu/hard")
    loader = DatasetLoader(table, QRSU_SCHEMA, 32, shuffle=True, seed=5)
    epochs = [examples(loader) for _ in range(3)]
    assert [len(epoch) for epoch in epochs] == [1000] * 3
    assert all(sorted(epoch) == sorted(pairs(table)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0] != pairs(table)
    assert examples(DatasetLoader(table, QRSU_SCHEMA, 7, shuffle=True, seed=5)) == epochs[0]  # for every batch size
    assert examples(DatasetLoader(table, QRSU_SCHEMA, 32, shuffle=True, seed=6)) != epochs[0]


def test_order_of_an_epoch_is_pinned():
    loader = DatasetLoader(rows_of(10), QRSU_SCHEMA, 10, shuffle=True, seed=0)
    assert [loader._order(epoch).tolist() for epoch in range(2)] == [
        [8, 3, 2, 9, 1, 0, 7, 4, 6, 5],
        [7, 2, 6, 4, 0, 9, 8, 1, 5, 3],
    ]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 70),
    batch_size=st.integers(1, 40),
    world_size=st.integers(1, 5),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_slices_of_the_ranks_make_the_batch_of_one_process(rows, batch_size, world_size, shuffle, drop_last):
    if drop_last and rows < batch_size:
        return
    settings = {"shuffle": shuffle, "drop_last": drop_last, "seed": 1, "allow_empty": True}
    table = rows_of(rows)
    alone = list(DatasetLoader(table, QRSU_SCHEMA, batch_size, **settings))
    ranks = [
        list(DatasetLoader(table, QRSU_SCHEMA, batch_size, rank=rank, world_size=world_size, **settings))
        for rank in range(world_size)
    ]
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in zip(*ranks, strict=True)
    ]
    assert_equal_batches(alone, joined)
    assert len(alone) == len(DatasetLoader(table, QRSU_SCHEMA, batch_size, **settings))
    assert sum(len(batch["labels"]) for batch in alone) == (rows // batch_size * batch_size if drop_last else rows)


@pytest.mark.parametrize("batch_size", [5, 32, 1500])
def test_slices_of_a_stream_make_the_batch_of_one_process(batch_size):
    alone = list(islice(StreamLoader("qrsu/normal", batch_size=batch_size), 30))
    ranks = [
        islice(StreamLoader("qrsu/normal", batch_size=batch_size, rank=rank, world_size=3), 30) for rank in range(3)
    ]
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in zip(*ranks, strict=True)
    ]
    assert_equal_batches(alone, joined)


def loaders(world_size: int = 1, rank: int = 0):
    table = rows_of(100, "qrsu/normal")
    return [
        DatasetLoader(table, QRSU_SCHEMA, 8, shuffle=True, seed=2, rank=rank, world_size=world_size),
        StreamLoader("qrsu/normal", seed=2, batch_size=3000, rank=rank, world_size=world_size),
    ]


def forever(loader):
    while True:
        yield from loader


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("taken", [0, 1, 12, 13, 14, 26])  # an epoch of the table has 13 batches
def test_resume_is_exact(which, taken):
    whole = list(islice(forever(loaders()[which]), 40))
    first = loaders()[which]
    before = list(islice(forever(first), taken))
    state = first.state_dict()
    second = loaders()[which]
    second.load_state_dict(state)
    assert_equal_batches(before + list(islice(forever(second), 40 - taken)), whole)


@pytest.mark.parametrize("which", [0, 1])
def test_resume_on_another_number_of_processes(which):
    whole = list(islice(forever(loaders()[which]), 20))
    alone = loaders()[which]
    list(islice(forever(alone), 10))
    ranks = [loaders(2, rank)[which] for rank in range(2)]
    for loader in ranks:
        loader.load_state_dict(alone.state_dict())
    parts = [list(islice(forever(loader), 10)) for loader in ranks]
    joined = [{name: torch.cat([one[name], two[name]]) for name in one} for one, two in zip(*parts, strict=True)]
    assert_equal_batches(joined, whole[10:])


@pytest.mark.parametrize(
    "make",
    [
        lambda: StreamLoader("qrsu/easy", "train", seed=3, batch_size=48),
        lambda: DatasetLoader(rows_of(1000), QRSU_SCHEMA, 48, shuffle=True, seed=3),
        lambda: DatasetLoader(rows_of(1000), QRSU_SCHEMA, 48, shuffle=False, drop_last=True),
    ],
)
@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), moved=st.booleans())
def test_next_arrays_are_the_rows_of_the_next_batches(make, sizes, moved):
    loader, same = make(), make()
    for size in sizes:
        rows = loader.next_arrays(size)
        batches = list(islice(same, size))  # to the end of the epoch at most
        ids = np.concatenate([np.pad(b["input_ids"].numpy(), ((0, 0), (0, 20)))[:, :20] for b in batches])
        assert (np.pad(rows.inputs, ((0, 0), (0, 20)))[:, :20] == ids).all()
        assert rows.labels.tolist() == torch.cat([batch["labels"] for batch in batches]).tolist()
        assert loader.state_dict() == same.state_dict()
        if moved:  # rows that were generated ahead are then not used
            for each in (loader, same):
                each.load_state_dict(each.state_dict() | {"batch": 1})


def test_a_loader_starts_again_at_its_first_row():
    """Test restart after a loop that ended early, which validation on fixed rows needs."""
    loader = DatasetLoader(rows_of(100), QRSU_SCHEMA, 8, shuffle=False)
    whole = list(loader)
    for taken in (1, 12, 13):
        list(islice(loader, taken))
        loader.restart()
        assert (loader.epoch, loader.batch, loader.rows_seen) == (0, 0, 0)
        assert_equal_batches(list(loader), whole)


def test_position_of_another_loader_is_an_error():
    table = rows_of(100)
    state = DatasetLoader(table, QRSU_SCHEMA, 8, shuffle=True).state_dict()
    with pytest.raises(InvalidConfigError, match="batch_size=8; this one has 16"):
        DatasetLoader(table, QRSU_SCHEMA, 16, shuffle=True).load_state_dict(state)
    with pytest.raises(InvalidConfigError, match="address=None"):
        StreamLoader("qrsu/easy").load_state_dict(state)


def test_a_dataset_keeps_its_selection_and_order():
    table = rows_of(200, "qrsu/normal")
    dataset = Dataset(table).shuffle(seed=0).select(range(50))
    loader = DatasetLoader(dataset, QRSU_SCHEMA, 16, shuffle=False)
    assert examples(loader) == list(zip(dataset["text"], dataset["label"], strict=True))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_chunks_and_offsets_do_not_matter(kind):
    batch = Split("qrsu/normal").blocks(0, 20)
    whole = pa.concat_tables([table_of(batch[rows], kind) for rows in (slice(9000), slice(0), slice(9000, None))])
    part = whole.slice(137, 15_000)
    assert examples(DatasetLoader(part, QRSU_SCHEMA, 512, shuffle=False)) == pairs(part)


def test_pad_to():
    table = rows_of(100)
    assert {
        batch["input_ids"].shape[1] for batch in DatasetLoader(table, QRSU_SCHEMA, 8, shuffle=False, pad_to=12)
    } == {12}
    assert next(iter(StreamLoader("qrsu/easy", batch_size=8, pad_to=12)))["input_ids"].shape == (8, 12)
    for make in (
        lambda: DatasetLoader(table, QRSU_SCHEMA, 8, shuffle=False, pad_to=7),
        lambda: StreamLoader("qrsu/easy", batch_size=8, pad_to=7),
    ):
        with pytest.raises(InvalidInputError, match="pad_to=7: must be at least 8"):
            make()


def test_changing_a_batch_does_not_change_the_loader():
    loader = DatasetLoader(rows_of(20), QRSU_SCHEMA, 20, shuffle=False)
    (batch,) = loader
    kept = {name: tensor.clone() for name, tensor in batch.items()}
    for tensor in batch.values():
        tensor.fill_(7)
    assert_equal_batches(list(loader), [kept])


def test_global_generators_do_not_change():
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()
    for loader in loaders():
        list(islice(loader, 5))
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, np.random.get_state(), strict=True))
    assert torch.equal(torch_before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], [], "without rows"),
        (["BaXE", ""], [0, 1], "empty text in row 1"),
        (["BaXE", "BaZE"], [0, 1], "symbol 'Z' at position 2 of row 1; the vocabulary is 'XYabcdBE'"),
        (["BaXE", "BéaE"], [0, 1], "symbol 'é' at position 1 of row 1"),
        (["BaXE", "Ba\0E"], [0, 1], r"symbol '\\x00' at position 2 of row 1"),
        (["BaXE", None], [0, 1], "no text in row 1"),
        (["BaXE", "BE"], [None, 1], "no label in row 0"),
        ([1, 2], [0, 1], "texts of type int64"),
        (["BE", "BE"], ["Q", "R"], "labels of type string"),
    ],
)
def test_invalid_rows_are_errors(texts, labels, message):
    table = pa.table({"text": pa.array(texts, None if texts else pa.string()), "label": pa.array(labels)})
    with pytest.raises(InvalidInputError, match=message):
        DatasetLoader(table, QRSU_SCHEMA, 2, shuffle=False)


def test_invalid_symbol_late_in_the_table_is_an_error():
    texts = rows_of(20_000)["text"].to_pylist()
    texts[17_001] = "BaaQE"
    with pytest.raises(InvalidInputError, match="symbol 'Q' at position 3 of row 17001"):
        DatasetLoader(pa.table({"text": texts, "label": [0] * 20_000}), QRSU_SCHEMA, 2, shuffle=False)


def test_missing_column_is_an_error():
    with pytest.raises(InvalidInputError, match="columns text; need text and label"):
        DatasetLoader(pa.table({"text": ["BE"]}), QRSU_SCHEMA, 1, shuffle=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: must be at least 1 row for each of 1 processes"),
        ({"batch_size": 2, "world_size": 3}, "batch_size=2: must be at least 1 row for each of 3"),
        ({"batch_size": 2, "rank": 2, "world_size": 2}, "rank=2, world_size=2"),
        ({"batch_size": 2, "pad_to": 0}, "pad_to=0"),
    ],
)
def test_invalid_settings_are_errors(arguments, message):
    with pytest.raises(InvalidConfigError, match=message):
        DatasetLoader(rows_of(4), QRSU_SCHEMA, shuffle=False, **arguments)
    with pytest.raises(InvalidConfigError, match=message):
        StreamLoader("qrsu/easy", **arguments)


def test_no_full_batch_with_drop_last():
    with pytest.raises(InvalidConfigError, match="batch_size=5: must be at most 4"):
        DatasetLoader(rows_of(4), QRSU_SCHEMA, 5, shuffle=False, drop_last=True)


def test_unknown_split_of_a_stream_is_an_error():
    with pytest.raises(UnknownNameError, match="known: train, validation, test"):
        StreamLoader("qrsu/easy", "dev")


def test_order_of_torch_agrees_with_its_data_loader_in_every_epoch():
    """Compare with a program that seeds torch once and has no other random numbers, 10 rows in batches of 3."""
    table = rows_of(10)
    with torch.random.fork_rng():
        torch.manual_seed(42)
        loader = torch.utils.data.DataLoader(range(10), batch_size=3, shuffle=True)
        expected = [[pairs(table)[row] for batch in loader for row in batch.tolist()] for _ in range(4)]
    loader = DatasetLoader(table, QRSU_SCHEMA, 3, shuffle=True, order_seed=42)
    assert [examples(loader) for _ in range(4)] == expected
    later = DatasetLoader(table, QRSU_SCHEMA, 3, shuffle=True, order_seed=42)
    later.load_state_dict(loader.state_dict() | {"epoch": 2, "batch": 1})
    assert examples(later) == expected[2][3:]
    with pytest.raises(InvalidConfigError, match="order_seed=42; this one has None"):
        DatasetLoader(table, QRSU_SCHEMA, 3, shuffle=True).load_state_dict(loader.state_dict())
