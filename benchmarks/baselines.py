"""Baselines from tutorials, reimplemented from descriptions of their code.

`CourseGenerator` follows the generator of the course "NYU Deep Learning" (Canziani & LeCun, 2020, notebook 08) step
by step: one sequence at a time, as a string, encoded symbol by symbol through dictionaries, made one-hot and padded
by Keras' helpers. Its batches equal those of `seqhub.tasks.qrsu.tutorial_stream` bit by bit
(tests/tasks/test_tutorial_stream.py), which uses the same random numbers with less work. It does not import torch,
since some benchmarks measure it without torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RANGES = {  # of length, first and second mark, upper ends excluded
    "easy": ((7, 9), (1, 3), (4, 6)),
    "normal": ((30, 41), (2, 6), (20, 28)),
    "moderate": ((60, 81), (10, 21), (45, 55)),
    "hard": ((100, 111), (10, 21), (50, 61)),
    "nightmare": ((300, 501), (10, 81), (250, 291)),
}
_MARKS = {"Q": ("X", "X"), "R": ("X", "Y"), "S": ("Y", "X"), "U": ("Y", "Y")}


class CourseGenerator:
    """One-hot batches of temporal order, generated like those of the course."""

    def __init__(self, level: str, batch_size: int = 32, seed: int = 8382) -> None:
        self.length_range, self.first_range, self.second_range = _RANGES[level]
        self.batch_size = batch_size
        self.random = np.random.RandomState(seed)  # the course uses NumPy's global generator, at the same cost
        self.symbols = ["X", "Y", "a", "b", "c", "d", "B", "E"]
        self.classes = ["Q", "R", "S", "U"]
        self.number_of_symbol = {symbol: number for number, symbol in enumerate(self.symbols)}
        self.number_of_class = {name: number for number, name in enumerate(self.classes)}

    def pair(self) -> tuple[str, str]:
        """Return one sequence and its class."""
        length = self.random.randint(*self.length_range)
        first = self.random.randint(*self.first_range)
        second = self.random.randint(*self.second_range)
        characters = self.random.choice(["a", "b", "c", "d"], length)
        characters[0] = "B"
        characters[-1] = "E"
        name = self.random.choice(self.classes)
        characters[first], characters[second] = _MARKS[name]
        return "".join(characters), name

    def batch(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the next batch: one-hot (batch_size, width, 8) with zero rows in front, and one-hot classes."""
        sequences, targets = [], []
        for _ in range(self.batch_size):
            text, name = self.pair()
            sequences.append(to_categorical([self.number_of_symbol[c] for c in text], len(self.symbols)))
            targets.append(to_categorical([self.number_of_class[name]], len(self.classes))[0])
        return pad_sequences(sequences, self.length_range[1]), np.stack(targets)


def to_categorical(numbers: Sequence[int], classes: int) -> NDArray[np.float32]:
    """Return one-hot rows, like `keras.utils.to_categorical`."""
    flat = np.array(numbers, dtype="int").ravel()
    one_hot = np.zeros((flat.shape[0], classes), dtype=np.float32)
    one_hot[np.arange(flat.shape[0]), flat] = 1
    return np.reshape(one_hot, (len(numbers), classes))


def pad_sequences(sequences: Sequence[NDArray[Any]], width: int) -> NDArray[np.int32]:
    """Pad each sequence with zeros in front, like `keras.utils.pad_sequences` by default."""
    shape = np.asarray(sequences[0]).shape[1:]
    padded = np.full((len(sequences), width, *shape), 0.0, dtype=np.int32)
    for number, sequence in enumerate(sequences):
        if len(sequence):
            kept = np.asarray(sequence[-width:], dtype=np.int32)
            padded[number, -len(kept) :] = kept
    return padded
