"""Questions asked of every config of every task."""

import json
import re
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.base import PAD_ID, Batch
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.splits import SPLITS, Split
from tests.tasks.cases import ADDRESSED_SPLITS, ADDRESSES, assert_follows, first_rows

TASKS = [get_task(name) for name in list_tasks()]

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_address = pytest.mark.parametrize("address", ADDRESSES)
each_split = pytest.mark.parametrize(("address", "split"), ADDRESSED_SPLITS)


def assert_equal(one: Batch, two: Batch) -> None:
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.lengths, two.lengths)
    np.testing.assert_array_equal(one.labels, two.labels)


@each_split
def test_labels_agree_with_the_rule(address, split):
    task, _ = resolve(address)
    batch = first_rows(address, split)
    assert [task.labels[label] for label in batch.labels] == task.solve_batch(batch.texts())


@each_split
def test_batches_have_the_promised_form(address, split):
    task, config = resolve(address)
    batch = first_rows(address, split)
    assert (batch.inputs.dtype, batch.lengths.dtype, batch.labels.dtype) == (np.uint8, np.int64, np.int64)
    assert batch.inputs.shape == (2048, config.length[1])
    assert batch.lengths.min() >= config.length[0]
    assert batch.lengths.max() <= config.length[1]
    assert set(batch.labels.tolist()) == set(range(len(task.labels)))
    steps = np.arange(config.length[1])
    np.testing.assert_array_equal(batch.inputs == 0, steps >= batch.lengths[:, None])
    assert set("".join(batch.texts())) <= set(task.symbols)


@each_split
def test_the_same_arguments_give_the_same_rows_and_others_give_others(address, split):
    rows = first_rows(address, split, seed=5)
    assert_equal(rows, first_rows(address, split, seed=5))
    others = [(address, split, 6), (address, split, -5)]
    others += [(address, other, 5) for other in SPLITS if other != split]
    others += [(other, split, 5) for other in ADDRESSES if other != address]
    for other_address, other_split, seed in others:
        assert first_rows(other_address, other_split, seed=seed).texts() != rows.texts()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), address=st.sampled_from(ADDRESSES), split=st.sampled_from(list(SPLITS)))
def test_every_way_to_a_row_gives_the_same(data, address, split):
    """A range, a shard, single blocks and single examples are cut from one and the same sequence."""
    rows = Split(address, split, seed=data.draw(st.integers(-(2**70), 2**70)))
    start = data.draw(st.integers(0, 10**6))
    stop = start + data.draw(st.integers(1, 5 * BLOCK_SIZE))
    (whole,) = rows.batches(start, stop)
    assert len(whole) == stop - start
    first, last = start // BLOCK_SIZE, -(-stop // BLOCK_SIZE)
    blocks = [rows.blocks(number, 1) for number in range(first, last)]
    texts = [text for block in blocks for text in block.texts()][start - first * BLOCK_SIZE :][: stop - start]
    assert whole.texts() == texts
    cut = data.draw(st.integers(start, stop))
    parts = [part for ends in ((start, cut), (cut, stop)) for part in rows.batches(*ends)]
    assert [text for part in parts for text in part.texts()] == texts
    index = data.draw(st.integers(start, stop - 1))
    example = rows[index]
    assert example.inputs == texts[index - start]
    assert example.target == rows.task.labels[whole.labels[index - start]]


@each_address
def test_endless_batches_are_those_with_an_end(address):
    endless = Split(address).batches(1000)
    ended = list(Split(address).batches(1000, 20 * BLOCK_SIZE))
    assert len(ended) > 2
    for batch in ended[:-1]:
        assert_equal(next(endless), batch)
    assert sum(map(len, ended)) == 20 * BLOCK_SIZE - 1000
    assert list(Split(address).batches(7, 7)) == []


@each_split
def test_labels_are_balanced(address, split):
    task, config = resolve(address)
    batch = first_rows(address, split, 20_000)
    assert_follows(np.bincount(batch.labels, minlength=len(task.labels)))
    assert task.chance(config) == 1 / len(task.labels)


@each_address
def test_splits_share_no_text(address):
    texts = {split: set(first_rows(address, split, 20_000).texts()) for split in SPLITS}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not texts[one] & texts[other]


@each_address
def test_decoding_undoes_encoding(address):
    task, _ = resolve(address)
    texts = first_rows(address, rows=300).texts()
    ids = task.encode_batch(texts)
    assert ids.dtype == np.int64
    assert ids.shape == (300, max(map(len, texts)))
    assert task.decode_batch(ids) == texts
    assert [task.decode(task.encode(text)) for text in texts] == texts


@each_task
@given(data=st.data())
def test_decoding_undoes_encoding_of_anything_and_skips_padding(task, data):
    text = data.draw(st.text(task.symbols, min_size=1, max_size=30))
    ids = task.encode(text)
    assert min(ids) >= 1
    padded = [PAD_ID] * data.draw(st.integers(0, 3)) + ids + [PAD_ID] * data.draw(st.integers(0, 3))
    assert task.decode(np.array(padded)) == text


@each_task
def test_symbols_outside_the_alphabet_are_named_with_their_position(task):
    good = task.symbols[0]
    for bad in ("?", "é", " ", "\0"):
        with pytest.raises(InvalidInputError, match=f"position 2 of .*; {task.name} has") as caught:
            task.encode(good + good + bad + good)
        assert repr(bad) in str(caught.value)
        with pytest.raises(InvalidInputError, match=r"^row 1: symbol .* at position 0"):
            task.encode_batch([good, bad])
    with pytest.raises(InvalidInputError, match=r"\.\.\."):  # a long sequence is not printed whole
        task.encode(good * 1000 + "?")


@each_task
def test_empty_sequences_and_batches_are_refused(task):
    with pytest.raises(InvalidInputError, match="empty sequence"):
        task.encode("")
    with pytest.raises(InvalidInputError, match="row 1: empty sequence"):
        task.encode_batch([task.symbols[0], ""])
    with pytest.raises(InvalidInputError, match="no sequences"):
        task.encode_batch([])
    with pytest.raises(InvalidInputError):
        task.solve("")


@each_task
def test_rows_of_nothing_but_padding_and_unknown_ids_are_refused(task):
    with pytest.raises(InvalidInputError, match="nothing but padding in 3 ids"):
        task.decode([0, 0, 0])
    with pytest.raises(InvalidInputError, match="nothing but padding in 0 ids"):
        task.decode([])
    for bad in (-1, len(task.symbols) + 1):
        with pytest.raises(InvalidInputError, match=f"id {bad} at position 1; {task.name} has ids 0 to"):
            task.decode([1, bad])


@each_task
def test_facts_are_complete(task):
    assert task.name in list_tasks()
    assert isinstance(task.version, int)
    assert task.version >= 1
    for names in (task.symbols, task.labels, [config.name for config in task.configs]):
        assert len(set(names)) == len(names) > 0
    assert task.symbols.isascii()
    assert task.symbols.isprintable()
    for config in task.configs:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", config.name)  # it becomes part of a repository's name
    assert set(task.paper_sequences) <= {config.name for config in task.configs}
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


@pytest.mark.parametrize("address", ["", "/", "qrs", "qrs/easy", "base/easy", "rng", "QRSU/easy", "../tasks/qrsu"])
def test_unknown_tasks_list_the_known_ones(address):
    with pytest.raises(UnknownNameError, match=f"; known: {', '.join(list_tasks())}$"):
        resolve(address)


@each_task
@pytest.mark.parametrize("config", ["", "/", "tough", "easy/train", "Easy"])
def test_unknown_configs_list_the_known_ones(task, config):
    known = ", ".join(config.name for config in task.configs)
    with pytest.raises(UnknownNameError, match=f"no config of {task.name} '{config}'; known: {known}$"):
        resolve(f"{task.name}/{config}")


@each_address
def test_wrong_splits_seeds_and_ranges_are_refused(address):
    with pytest.raises(UnknownNameError, match=f"no split of {address} 'dev'; known: train, validation, test"):
        Split(address, "dev")
    for seed in (1.0, "1", None, True, np.float64(1)):
        with pytest.raises(InvalidInputError, match="a seed is a whole number"):
            Split(address, seed=seed)
    for start, stop in ((-1, 3), (3, 2)):
        with pytest.raises(InvalidInputError, match="need 0 <= start <= stop"):
            next(Split(address).batches(start, stop))
    with pytest.raises(InvalidInputError):
        Split(address)[-1]


def test_nothing_touches_the_global_generator():
    before = np.random.get_state()
    for address in ADDRESSES:
        first_rows(address)
    after = np.random.get_state()
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
