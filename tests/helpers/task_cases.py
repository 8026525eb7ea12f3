"""Every config of every task of the registry, for the tests of tasks."""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import NO_LABEL, Batch, Example
from seqhub.tasks.splits import SPLITS, Split

TASK_IDS = [f"{name}/{config.name}" for name in list_tasks() for config in get_task(name).configs]
TASK_ID_SPLITS = [(task_id, split) for task_id in TASK_IDS for split in SPLITS]


def first_rows(task_id: str, split: str = "train", rows: int = 2048, seed: int = 0) -> Batch:
    return Split(task_id, split, seed).blocks(0, -(-rows // BLOCK_SIZE))[:rows]


def first_examples(task_id: str, split: str = "train", rows: int = 1024) -> list[Example]:
    """Return the first rows of a split in human-readable form; much faster than one by one."""
    whole = Split(task_id, split)
    return whole.examples(first_rows(task_id, split, rows))


def seed_for(task_id: str, seed: int) -> int:
    """Return `seed` if the rows of a config are generated; 0, the only seed, if they are fixed."""
    return seed if Split(task_id).size is None else 0


def rows_for(task_id: str, split: str, rows: int) -> int:
    """Return `rows`, or the number of fixed rows if there are fewer."""
    size = Split(task_id, split).size
    return rows if size is None else min(rows, size)


def contents(batch: Batch) -> list[tuple[bytes, object]]:
    """Return each row without padding as a hashable value: inputs, then target."""
    per_step = batch.labels.ndim == 2
    return [
        (values[:n].tobytes(), np.trim_zeros(label - NO_LABEL, "b").tolist() if per_step else label.item())
        for values, n, label in zip(batch.inputs, batch.lengths, batch.labels, strict=True)
    ]


def chi_squared_bound(freedom: int) -> float:
    """Return the value that chi-squared exceeds once in 30,000 samples (Wilson & Hilferty, 1931).

    The data of the tests never change, so the result of a test does not change either.
    """
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + 4 * spread**0.5) ** 3


def assert_follows(counts: NDArray[np.integer], shares: NDArray[np.floating] | None = None) -> None:
    """Assert that counts are from a distribution with these shares (equal ones if None)."""
    expected = counts.sum() * (np.full(len(counts), 1 / len(counts)) if shares is None else shares / shares.sum())
    assert expected.min() > 5, "too few for a chi-squared test"
    value = float(((counts - expected) ** 2 / expected).sum())
    assert value < chi_squared_bound(len(counts) - 1), f"chi-squared {value} with {len(counts) - 1} degrees of freedom"


def assert_same_distribution(one: NDArray[np.integer], two: NDArray[np.integer]) -> None:
    """Assert that counts of the same classes in two samples are from one distribution."""
    seen = (one + two) > 0
    one, two = one[seen], two[seen]
    both = (one + two) / (one.sum() + two.sum())
    assert min(one.sum(), two.sum()) * both.min() > 5, "too few for a chi-squared test"
    value = sum(float(((counts - counts.sum() * both) ** 2 / (counts.sum() * both)).sum()) for counts in (one, two))
    assert value < chi_squared_bound(len(both) - 1), f"chi-squared {value} with {len(both) - 1} degrees of freedom"
