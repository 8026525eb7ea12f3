"""Evaluation of next-symbol predictions against a grammar.

A text is illegal if, at some step, the score of a symbol that the grammar forbids is at least the score of one that it
allows.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import Split


class Scorer(Protocol):
    """Interface of a model for validation; `evaluation.inference.ModelScorer` implements it for torch models."""

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        """Return the result of `per_example.example_metrics` for each row, (N, 4)."""

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        """Return the outputs at every step, (N, T, C), with column k for the symbol with id k."""


def count_illegal(split: Split, rows: int, model: Scorer, limit: int | None = None) -> int:
    """Return the number of illegal texts among the first rows of a split.

    Args:
        split: Split of a task with a grammar.
        rows: Number of texts.
        model: Model to evaluate.
        limit: Count at which to stop early; None for no limit.
    """
    count = 0
    for batch, legal, scores in _scored(split, rows, model):
        count += int(illegal_texts(batch, legal, scores).sum())
        if limit is not None and count >= limit:
            break
    return count


def legal_metrics(split: Split, rows: int, model: Scorer) -> dict[str, Any]:
    """Return the metrics of the grammar on the first rows of a split, as plain JSON values.

    Returns:
        `accuracy`, the share of all steps, except the last of each text, whose most probable next symbol is legal, and
        `wrong`, the number of illegal texts.
    """
    steps = right = wrong = 0
    for batch, legal, scores in _scored(split, rows, model):
        wrong += int(illegal_texts(batch, legal, scores).sum())
        best = np.take_along_axis(legal, scores.argmax(axis=-1)[..., None], axis=-1)[..., 0]
        counted = _counted(batch, legal.shape[1])
        right += int((best & counted).sum())
        steps += int(counted.sum())
    return {"accuracy": right / steps, "wrong": wrong}


def illegal_texts(batch: Batch, legal: NDArray[np.bool_], scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return a mask (..., N) of illegal texts, from the scores (..., N, T, C) of one or several models.

    Args:
        batch: Texts.
        legal: (N, T, C), ids that may follow each step, see `Task.legal_steps`.
        scores: Outputs for each id.
    """
    legal = legal[:, : scores.shape[-2]]  # scores end with the longest text
    least = np.where(legal, scores, np.inf).min(axis=-1)
    most = np.where(legal, -np.inf, scores).max(axis=-1)
    wrong: NDArray[np.bool_] = (~(least > most) & _counted(batch, scores.shape[-2])).any(axis=-1)
    return wrong


def _scored(split: Split, rows: int, model: Scorer) -> Iterator[tuple[Batch, NDArray[np.bool_], NDArray[np.floating]]]:
    """Yield texts with their legal ids and the scores of a model, block by block."""
    for start in range(0, rows, BLOCK_SIZE):
        stop = min(start + BLOCK_SIZE, rows)
        (batch,) = split.batches(start, stop)
        scores = model.scores(batch)
        yield batch, split.legal_steps(start, stop)[:, : scores.shape[1]], scores


def _counted(batch: Batch, steps: int) -> NDArray[np.bool_]:
    """Return a mask (N, T) of the steps before the last one of each text."""
    counted: NDArray[np.bool_] = np.arange(steps) < batch.lengths[:, None] - 1
    return counted
