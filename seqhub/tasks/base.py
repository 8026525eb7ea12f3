"""The shape of a task: facts, named configs, one vectorised generator, one slow rule."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.rng import BlockRandom

PAD_ID = 0  # id of padding in every encoding; symbol number k of a task has id k + 1

IntRange = tuple[int, int]  # both ends included


class Example(NamedTuple):
    """One labelled sequence, as a person reads it."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one character per symbol, padded on the right.

    Shapes: N examples, T at least the longest of them.
    """

    characters: NDArray[np.uint8]  # (N, T), ASCII codes, 0 where padded
    lengths: NDArray[np.int64]  # (N,), steps before the padding
    labels: NDArray[np.int64]  # (N,), index into `Task.labels`

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Batch":
        """Pick rows, as a NumPy array would."""
        return Batch(self.characters[rows], self.lengths[rows], self.labels[rows])

    def texts(self) -> list[str]:
        """The sequences as strings, without padding."""
        return [row[:n].tobytes().decode("ascii") for row, n in zip(self.characters, self.lengths, strict=True)]


@dataclass(frozen=True, slots=True)
class Support:
    """Every sequence that a config can draw, for configs with few of them."""

    batch: Batch
    weights: NDArray[np.int64]  # (N,), probability of each row, times one common factor


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """One published variant of a task; `name` is the `datasets` config name."""

    name: str
    length: IntRange  # steps of a sequence, both ends included

    def parameters(self) -> dict[str, object]:
        """Everything but the name: what decides the bytes."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    def require(self, holds: bool, rule: str) -> None:
        """Raise InvalidConfigError with this config's values unless `holds`."""
        if not holds:
            given = ", ".join(f"{key}={value}" for key, value in self.parameters().items())
            raise InvalidConfigError(f"config {self.name!r} needs {rule}; given {given}")


C = TypeVar("C", bound=TaskConfig)


class Task(ABC, Generic[C]):
    """A synthetic task on symbol sequences, with one label a sequence."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever any published byte changes
    title: ClassVar[str]  # one line, for lists and cards
    symbols: ClassVar[str]  # one character each
    labels: ClassVar[tuple[str, ...]]
    rule: ClassVar[str]  # the rule in one or two sentences, for cards
    source: ClassVar[str]  # BibTeX of where the task comes from
    configs: ClassVar[tuple[TaskConfig, ...]]
    marked: ClassVar[str] = ""  # those of `symbols` that decide the label; pictures point at them
    paper_sequences: ClassVar[dict[str, int]] = {}  # config -> training sequences to success in `source`
    paper_setting: ClassVar[str] = ""  # how that experiment differs from a run here, to follow "in the paper, "

    @abstractmethod
    def generate(self, config: C, random: BlockRandom) -> Batch:
        """Draw `random.size` labelled sequences; field after field, so that each block stands alone."""

    @abstractmethod
    def solve(self, sequence: str) -> str:
        """The rule itself, on one sequence: slow, plain, and what the tests trust.

        Raises:
            InvalidInputError: The sequence is none that this task can draw.
        """

    def support(self, config: C) -> Support | None:
        """Every sequence of `config` with its weight, or None where there are too many to list."""
        return None

    @property
    def chance(self) -> float:
        """Accuracy of the best guess that ignores the input."""
        return 1 / len(self.labels)

    def solve_batch(self, sequences: Sequence[str]) -> list[str]:
        """Apply `solve` to each sequence."""
        return [self.solve(sequence) for sequence in sequences]

    def encode(self, sequence: str) -> list[int]:
        """Turn a string into ids from 1 on, in the order of `symbols`.

        Raises:
            InvalidInputError: The string is empty or holds a symbol outside the alphabet; the message
                names symbol and position.
        """
        if not sequence:
            raise InvalidInputError(f"empty sequence; {self.name} needs at least one of {self.symbols!r}")
        for position, symbol in enumerate(sequence):
            if symbol not in self.symbols:
                where = f"position {position} of {_shorten(sequence)}"
                raise InvalidInputError(f"symbol {symbol!r} at {where}; {self.name} has {self.symbols!r}")
        return [self.symbols.index(symbol) + 1 for symbol in sequence]

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Turn ids into a string; padding, wherever it stands, is left out.

        Raises:
            InvalidInputError: An id beyond the alphabet, or nothing but padding.
        """
        outside = [(step, i) for step, i in enumerate(ids) if not 0 <= i <= len(self.symbols)]
        if outside:
            step, i = outside[0]
            raise InvalidInputError(f"id {i} at position {step}; {self.name} has ids {PAD_ID} to {len(self.symbols)}")
        sequence = "".join(self.symbols[i - 1] for i in ids if i != PAD_ID)
        if not sequence:
            raise InvalidInputError(
                f"nothing but padding in {len(ids)} ids; a {self.name} sequence has a symbol or more"
            )
        return sequence

    def encode_batch(self, sequences: Sequence[str]) -> NDArray[np.int64]:
        """Ids (N, T) of N strings, padded on the right with 0 to the longest; errors name the row."""
        if not sequences:
            raise InvalidInputError(f"no sequences; {self.name} needs at least one")
        rows = []
        for number, sequence in enumerate(sequences):
            try:
                rows.append(self.encode(sequence))
            except InvalidInputError as error:
                raise InvalidInputError(f"row {number}: {error}") from None
        ids = np.full((len(rows), max(map(len, rows))), PAD_ID, dtype=np.int64)
        for row, encoded in zip(ids, rows, strict=True):
            row[: len(encoded)] = encoded
        return ids

    def decode_batch(self, ids: NDArray[np.integer]) -> list[str]:
        """Strings of the rows of ids (N, T)."""
        return [self.decode(row) for row in ids]


def _shorten(sequence: str, width: int = 40) -> str:
    return repr(sequence if len(sequence) <= width else sequence[: width - 3] + "...")
