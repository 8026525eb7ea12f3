"""Base class of the tasks of Delétang et al. (2023) with a string as the answer, which is given at blank steps."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID

BLANK = "_"
SYMBOLS = (1, 40)  # of an input string in training
TEST_SYMBOLS = {"len41-100": (41, 100), "len41-500": (41, 500)}  # the second is the test of the paper
TEST_LENGTHS = {"len40-256": (40, 256), "len41-500": (41, 500), "len256": (256, 256), "len512": (512, 512)}
SIZES = {"train": 10_000, "validation": 1_000, "test": 1_000}
SOURCE = r"""@inproceedings{deletang2023neural,
  author    = {Del{\'e}tang, Gr{\'e}goire and Ruoss, Anian and Grau-Moya, Jordi and Genewein, Tim and
               Wenliang, Li Kevin and Catt, Elliot and Cundy, Chris and Hutter, Marcus and Legg, Shane and
               Veness, Joel and Ortega, Pedro A.},
  title     = {Neural Networks and the {Chomsky} Hierarchy},
  booktitle = {International Conference on Learning Representations},
  year      = {2023}
}"""

C = TypeVar("C", bound=TaskConfig)


def longer(config: C) -> dict[str, C]:
    """Return a config with the longer sequences on which papers test models that are trained on up to 40 symbols."""
    return {name: replace(config, name=name, length=length) for name, length in TEST_LENGTHS.items()}


@dataclass(frozen=True, kw_only=True)
class StringConfig(TaskConfig):
    """Range of the length of the input strings; `length` also has the blank steps."""

    symbols: IntRange  # of an input string
    copies: int  # answer symbols for each input symbol

    def __post_init__(self) -> None:
        ratio = 1 + self.copies
        self.require(
            1 <= self.symbols[0] <= self.symbols[1] and self.copies >= 1, "1 <= shortest <= longest and copies >= 1"
        )
        self.require(
            self.length == (ratio * self.symbols[0], ratio * self.symbols[1]), "a length of (1 + copies) * symbols"
        )


def string_config(name: str, symbols: IntRange, copies: int = 1) -> StringConfig:
    """Return the config of strings of `symbols` symbols with answers that are `copies` times as long."""
    length = ((1 + copies) * symbols[0], (1 + copies) * symbols[1])
    return StringConfig(name=name, length=length, symbols=symbols, copies=copies)


class StringTask(Task[StringConfig]):
    """Task on strings of uniform symbols with a string as the answer.

    A text is the string, then a blank for each symbol of the answer. The class of a blank is that symbol; other steps
    have no class.
    """

    labels: ClassVar[tuple[str, ...]] = ("0", "1")  # also the symbols of the strings
    symbols = (*labels, BLANK)
    limits = (
        "The data are synthetic. They test whether a model can store a whole string, and whether it can do so for "
        "strings that are longer than those in training. Short strings occur in all splits."
    )
    source = SOURCE

    @abstractmethod
    def answer(self, string: str) -> str:
        """Return the answer to a string by the definition."""

    @abstractmethod
    def answers(self, strings: NDArray[np.int64], sizes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """Return the answers (N, steps) to strings of class numbers (N, T), which have `sizes` symbols each.

        Values after the end of a string or an answer are arbitrary.
        """

    def schema(self, config: StringConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: StringConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: StringConfig) -> bool:
        return config.symbols[0] < 10  # fewer than 1,000 binary strings of the shortest length

    def test_distributions(self, config: StringConfig) -> Mapping[str, StringConfig]:
        return {name: string_config(name, symbols, config.copies) for name, symbols in TEST_SYMBOLS.items()}

    def generate(self, config: StringConfig, random: BlockRandom) -> Batch:
        sizes = random.integers(*config.symbols)
        strings = random.integers_2d(0, len(self.labels) - 1, config.symbols[1])
        answers = self.answers(strings, sizes, config.copies * config.symbols[1])
        characters = np.frombuffer("".join(self.labels).encode(), np.uint8)
        return write_answers(characters[strings], sizes, answers, config.copies * sizes, config.length[1])

    def solve(self, sequence: str) -> list[str | None]:
        string = sequence.rstrip(BLANK)
        blanks = len(sequence) - len(string)
        answer = "" if set(string) - set(self.labels) else self.answer(string)
        if not answer or len(answer) != blanks:
            form = f"one or more of {''.join(self.labels)}, then {BLANK} for each symbol of the answer"
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid {self.name} sequence: must be {form}")
        return [*(None for _ in string), *answer]


def write_answers(
    heads: NDArray[Any],
    sizes: NDArray[np.int64],
    answers: NDArray[np.int64],
    blanks: NDArray[np.int64],
    steps: int,
    blank: int = ord(BLANK),
) -> Batch:
    """Return texts with blanks after the first `sizes` symbols of each row, and the answers as their labels.

    Args:
        heads: (N, S), characters or ids, as in `Batch.inputs`.
        sizes: (N,), number of symbols of each row that belong to its text.
        answers: (N, A), classes of the blanks, with NO_LABEL for blanks without a class.
        blanks: (N,), number of blanks of each row.
        steps: Length of the longest text.
        blank: Character or id of a blank.
    """
    lengths = sizes + blanks
    step = np.arange(steps)
    texts = np.full((len(sizes), steps), blank, heads.dtype)
    np.copyto(texts[:, : heads.shape[1]], heads, where=step[: heads.shape[1]] < sizes[:, None])
    texts[step >= lengths[:, None]] = PAD_ID
    labels = np.full(texts.shape, NO_LABEL, np.int64)
    # both masks have the blanks of all rows in the same order
    labels[(step >= sizes[:, None]) & (step < lengths[:, None])] = answers[
        np.arange(answers.shape[1]) < blanks[:, None]
    ]
    return Batch(texts, lengths, labels)
