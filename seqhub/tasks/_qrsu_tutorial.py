"""Exact reproduction of the QRSU batches of the tutorial, with a separate random state.

The generator of the course "NYU Deep Learning" (Canziani & LeCun, 2020, notebook 08) draws from NumPy's global random
state, one call for each field. This module makes the same calls in the same order on a private legacy `RandomState`.
NumPy has frozen its values, so the batches equal those of the course, and the global state does not change.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError, UnknownNameError

# level -> ranges of length, first and second mark, upper ends excluded: the arguments of the original's random calls
_RANGES = {
    "easy": ((7, 9), (1, 3), (4, 6)),
    "normal": ((30, 41), (2, 6), (20, 28)),
    "moderate": ((60, 81), (10, 21), (45, 55)),
    "hard": ((100, 111), (10, 21), (50, 61)),
    "nightmare": ((300, 501), (10, 81), (250, 291)),
}
_X, _Y, _NOISE, _BEGIN, _END = 0, 1, 2, 6, 7  # columns; noise takes four of them
_SYMBOLS, _CLASSES = 8, 4


def tutorial_stream(
    level: str, batch_size: int = 32, seed: int = 8382
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Yield the batches of the tutorial without end.

    Args:
        level: `easy`, `normal`, `moderate`, `hard` or `nightmare`.
        batch_size: Number of sequences in a batch.
        seed: Seed of the legacy generator, 0 to 2**32 - 1.

    Yields:
        x: (batch_size, width, 8) one-hot int32, columns X Y a b c d B E, padded with zero rows in front; width is one
            more than the longest sequence, as in the original.
        y: (batch_size, 4) one-hot float32, columns Q R S U.

    Raises:
        UnknownNameError: No such level.
        InvalidInputError: `batch_size` below 1.

    >>> x, y = next(tutorial_stream("easy"))
    >>> "".join("XYabcdBE"[column] for step in x[0] for column in step.nonzero()[0]), "QRSU"[y[0].argmax()]
    ('BbXcXcbE', 'Q')
    """
    if level not in _RANGES:
        raise UnknownNameError.of("level", level, _RANGES)
    if batch_size < 1:
        raise InvalidInputError(f"batch_size={batch_size}: must be at least 1")
    return _batches(level, batch_size, np.random.RandomState(seed))


def _batches(
    level: str, batch_size: int, random: np.random.RandomState
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    lengths, firsts, seconds = _RANGES[level]
    width = lengths[1]
    while True:
        x = np.zeros((batch_size, width, _SYMBOLS), dtype=np.int32)
        y = np.zeros((batch_size, _CLASSES), dtype=np.float32)
        for row in range(batch_size):
            length = random.randint(*lengths)
            first = random.randint(*firsts)
            second = random.randint(*seconds)
            columns = _NOISE + random.choice(4, length)
            label = random.choice(4)
            columns[0], columns[-1] = _BEGIN, _END
            columns[first] = _Y if label & 2 else _X
            columns[second] = _Y if label & 1 else _X
            x[row, np.arange(width - length, width), columns] = 1
            y[row, label] = 1
        yield x, y
