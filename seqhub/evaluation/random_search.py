"""The trivial baseline of 1997: guess all weights of a small network at random until it happens to be right.

Source: Schmidhuber & Hochreiter (1996), "Guessing can outperform many long time lag algorithms", and the paragraph
"Guessing" of Hochreiter & Schmidhuber (1997), section 5.3. What is guessed sooner than learnt tests no learning.
"""

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Batch
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.splits import Split

UNITS = 2  # recurrent ones, tanh, each with a bias and seeing all
RANGE = 100.0  # of all weights, which are uniform in [-RANGE, RANGE]

_AT_ONCE = 64  # guesses, all looked at on a few rows first
_FEW = 16


def random_guessing(address: str, seed: int = 0, trials: int = 10_000, rows: int = 256) -> int | None:
    """Guesses until a network is right on a small set, the successful one included.

    The output is a logistic unit, read at the last step. It is right within the tolerance that the source of the task
    has for a success, of 0 or 1 where there are two classes, else of the number. As many rows may be wrong as
    there, and the mean error has the same bound.

    Args:
        address: A config with real values, and two classes or a number as target.
        seed: Of the weights and of the rows.
        trials: Guesses after which to give up.
        rows: Of the validation split, where no target is noisy; 1 to 1,024.

    Returns:
        None if no guess was right.

    Raises:
        InvalidInputError: The config is of another kind, or a count is outside its range.

    >>> random_guessing("two_sequence/3c-t100-n1", trials=20) is None
    True
    """
    split = Split(address, "validation", seed)
    layout, success = split.layout, split.task.success(split.config)
    two = layout.target == "class" and len(layout.labels) == 2
    if layout.alphabet is not None or not (two or layout.target == "number") or success is None:
        raise InvalidInputError(f"guessing weights for {address}; need real values, two classes or a number, a success")
    if trials < 1 or not 1 <= rows <= BLOCK_SIZE:
        raise InvalidInputError(f"{trials} trials on {rows} rows; need 1 or more, and 1 to {BLOCK_SIZE:,} rows")
    batch = split.blocks(0, 1)[:rows]
    random = np.random.Generator(np.random.Philox(seed % 2**64))
    few, allowed = batch[:_FEW], success.wrong * rows / success.window
    for first in range(0, trials, _AT_ONCE):
        weights = random.uniform(-RANGE, RANGE, (_AT_ONCE, UNITS, layout.num_features + UNITS + 2))
        near = (np.abs(_answers(weights, few) - few.labels) >= success.tolerance).sum(axis=1) <= allowed
        hopeful = np.flatnonzero(near)
        errors = np.abs(_answers(weights[hopeful], batch) - batch.labels)
        solved = (errors >= success.tolerance).sum(axis=1) <= allowed
        if success.mean_error is not None:
            solved &= errors.mean(axis=1) < success.mean_error
        right = hopeful[solved]
        if len(right) and first + right[0] < trials:
            return int(first + right[0]) + 1
    return None


def _answers(weights: NDArray[np.float64], batch: Batch) -> NDArray[np.float64]:
    """Of G networks on N rows, (G, N). Weights of a unit: each input, each unit, the bias, and to the output."""
    features = batch.inputs.shape[2]
    across, out = weights[:, :, features : features + UNITS].swapaxes(1, 2), weights[:, :, -1:]
    given = np.concatenate([batch.inputs, np.ones_like(batch.inputs[:, :, :1])], axis=2).astype(np.float64)
    into = weights[:, :, [*range(features), -2]].swapaxes(1, 2)
    state = np.zeros((len(weights), len(batch), UNITS))
    for step in range(batch.inputs.shape[1]):
        after = np.tanh(given[:, step] @ into + state @ across)
        state = np.where((step < batch.lengths)[:, None], after, state)
    answers: NDArray[np.float64] = 0.5 + 0.5 * np.tanh((state @ out)[:, :, 0] / 2)  # the logistic function
    return answers
