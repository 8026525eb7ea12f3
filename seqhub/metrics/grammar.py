"""Texts with a step at which a symbol that the grammar forbids is as active as an allowed one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import Split


class Scorer(Protocol):
    """A model in training, which a check asks about sequences of a task; `evaluation.inference` asks one of torch."""

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        """(N, 4), what `judging.example_metrics` says of its outputs."""

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        """(N, T, C), its outputs at every step, column k for the symbol of id k."""


def illegal(split: Split, rows: int, model: Scorer, enough: int | None = None) -> int:
    """Count texts with a step at which a symbol that may not follow is as active as one that may, or more.

    Args:
        split: Of a task that says what is `legal`.
        rows: How many texts, the first ones.
        model: Whose outputs.
        enough: Stop counting at so many.
    """
    count = 0
    for batch in split.batches(0, rows):
        scores = model.scores(batch)[:, : batch.inputs.shape[1]]
        count += int(illegal_texts(split, batch, scores).sum())
        if enough is not None and count >= enough:
            break
    return count


def illegal_texts(split: Split, batch: Batch, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which texts have such a step, (..., N), by the scores (..., N, T, C) of one model or of several."""
    may_follow, counted = _legal_steps(split, batch, scores.shape[-3:])
    least = np.where(may_follow, scores, np.inf).min(axis=-1)
    most = np.where(may_follow, -np.inf, scores).max(axis=-1)
    wrong: NDArray[np.bool_] = (~(least > most) & counted).any(axis=-1)
    return wrong


def _legal_steps(split: Split, batch: Batch, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which ids may follow each step, (N, T, C), and which steps have one that follows, (N, T)."""
    task, vocabulary = split.task, split.schema.vocabulary
    assert vocabulary is not None, "a grammar is one of texts"
    may_follow = np.zeros(shape, dtype=bool)
    for row, (text, _) in enumerate(split.examples(batch)):
        for step, symbols in enumerate(task.legal(text)):
            may_follow[row, step, vocabulary.encode(symbols)] = True
    return may_follow, np.arange(shape[1]) < batch.lengths[:, None] - 1
