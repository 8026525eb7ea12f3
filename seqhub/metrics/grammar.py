"""Evaluation of next-symbol predictions against a grammar.

A text is illegal if, at some step, the score of a symbol that the grammar forbids is at least the score of one that it
allows.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
        split: Split of a task with `legal`.
        rows: Number of texts.
        model: Model to evaluate.
        limit: Count at which to stop early; None for no limit.
    """
    count = 0
    for batch in split.batches(0, rows):
        scores = model.scores(batch)[:, : batch.inputs.shape[1]]
        count += int(illegal_texts(split, batch, scores).sum())
        if limit is not None and count >= limit:
            break
    return count


def illegal_texts(split: Split, batch: Batch, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return a mask (..., N) of illegal texts, from the scores (..., N, T, C) of one or several models."""
    may_follow, counted = _legal_steps(split, batch, scores.shape[-3:])
    least = np.where(may_follow, scores, np.inf).min(axis=-1)
    most = np.where(may_follow, -np.inf, scores).max(axis=-1)
    wrong: NDArray[np.bool_] = (~(least > most) & counted).any(axis=-1)
    return wrong


def _legal_steps(split: Split, batch: Batch, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the ids that may follow each step, (N, T, C), and of the steps before the last one, (N, T)."""
    task, vocabulary = split.task, split.schema.vocabulary
    assert vocabulary is not None, "a grammar needs texts"
    may_follow = np.zeros(shape, dtype=bool)
    for row, (text, _) in enumerate(split.examples(batch)):
        for step, symbols in enumerate(task.legal_next_symbols(text)):
            may_follow[row, step, vocabulary.encode(symbols)] = True
    return may_follow, np.arange(shape[1]) < batch.lengths[:, None] - 1
