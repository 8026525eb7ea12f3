"""Shuffled padded batches of qrsu/hard: torch format, DataLoader and pad_sequence against `DatasetLoader`.

The baseline's dataset has the ids as lists (torch format cannot make tensors of strings), seqhub's the published text.
Both give input_ids, attention_mask and labels.
"""

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import torch
from datasets import Dataset, Features, List, Value
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from benchmarks.timing import Goal, Job, Row, compare, rate
from seqhub.data.builder import load_dataset
from seqhub.data.loader import DatasetLoader
from seqhub.tasks.qrsu import TASK

_ROWS = 100_000
_THEIRS = 6_400  # rows in each round
_GOALS: dict[int, Goal] = {32: ("ratio", ">=", 30.0), 256: ("ratio", ">=", 40.0)}


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        published = load_dataset("qrsu", "hard", split="train", train_size=_ROWS, cache_dir=cache)
        tokenized = tokenized_dataset(published)
        rows = []
        for batch_size, goal in _GOALS.items():
            assert_equal(torch_loader(tokenized, batch_size, False), seqhub_loader(published, batch_size, False))
            theirs = Job(partial(read, torch_loader(tokenized, batch_size, True), _THEIRS // batch_size), _THEIRS)
            loader = seqhub_loader(published, batch_size, True)
            ours = Job(partial(read, loader, len(loader)), _ROWS)  # an epoch
            rows.append(compare(f"batches of {batch_size}", theirs, ours, rounds, unit="rows/s", goal=goal))
        opened = median(rate(Job(partial(seqhub_loader, published, 32, True), _ROWS)) for _ in range(rounds))
        return [*rows, Row(case="opening the loader, once per run", unit="rows/s", theirs=None, ours=opened)]


def tokenized_dataset(published: Dataset) -> Dataset:
    """Return the published rows with ids instead of text, as `map` leaves them in the cache."""
    return published.map(
        lambda rows: {"input_ids": [TASK.encode(text) for text in rows["text"]]},
        batched=True,
        remove_columns=["text"],
        features=Features({"input_ids": List(Value("uint8")), "label": Value("int64")}),
    ).with_format("torch")


def torch_loader(rows: Dataset, batch_size: int, shuffle: bool) -> "DataLoader[Any]":
    def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        ids = pad_sequence([example["input_ids"] for example in examples], batch_first=True)
        labels = torch.stack([example["label"] for example in examples])
        return {"input_ids": ids.long(), "attention_mask": (ids != 0).long(), "labels": labels}

    return DataLoader(rows, batch_size=batch_size, shuffle=shuffle, collate_fn=collate)


def seqhub_loader(published: Dataset, batch_size: int, shuffle: bool) -> DatasetLoader:
    return DatasetLoader(published, TASK.schema(TASK.configs[0]), batch_size, shuffle=shuffle)


def read(batches: Iterable[Any], count: int) -> None:
    for _ in islice(batches, count):
        pass


def assert_equal(theirs: "DataLoader[Any]", ours: DatasetLoader) -> None:
    """Assert that both sides give the same batches without shuffling."""
    pairs: Iterator[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = zip(theirs, ours, strict=False)
    for one, two in islice(pairs, 3):
        assert all(torch.equal(one[name], two[name]) for name in two)
