"""The shape of a task: facts, named configs, one vectorised generator, one slow rule."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, FiniteDomain, StoppingRule, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

C = TypeVar("C", bound=TaskConfig)


class Task(ABC, Generic[C]):
    """A task on sequences.

    Most tasks draw without end: they have `generate`. One whose rows are given once and for all, like real images, has
    `rows` instead.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever any published byte changes
    title: ClassVar[str]  # one line, for lists and cards
    symbols: ClassVar[Sequence[str]] = ()  # of texts: one character each, or words with `separator` between
    separator: ClassVar[str] = ""
    labels: ClassVar[tuple[str, ...]] = ()
    description: ClassVar[str]  # in one or two sentences, for cards
    source: ClassVar[str]  # BibTeX of where the task comes from
    configs: ClassVar[tuple[TaskConfig, ...]]
    custom_format: ClassVar[Literal["", "lines", "csv", "vectors"]] = ""  # of a file for the config `custom`; "": none
    marked: ClassVar[Sequence[str]] = ()  # those of `symbols` that decide the label; pictures point at them
    license: ClassVar[str] = "apache-2.0"  # of the rows, in the Hub's spelling
    paper_sequences: ClassVar[dict[str, int]] = {}  # config -> training sequences to success in `source`
    paper_wrong: ClassVar[dict[str, float]] = {}  # config -> share of the test sequences that were wrong there
    paper_setting: ClassVar[str] = ""  # how that experiment differs from a run here, to follow "in the paper, "
    limits: ClassVar[str] = "The data are synthetic: they test memory over many steps, and nothing about language."

    def __repr__(self) -> str:
        """Name, title and configs, as in `<Task square: ...; configs: fixed, random>`."""
        return f"<Task {self.name}: {self.title}; configs: {', '.join(config.name for config in self.configs)}>"

    def generate(self, config: C, random: BlockRandom) -> Batch:
        """Draw `random.size` labelled sequences; field after field, so that each block stands alone."""
        raise NotImplementedError(f"{self.name}/{config.name} is a given set of rows")

    def rows(self, config: C, split: str) -> Batch | None:
        """All rows of a split where they are given once and for all, or None where they are drawn."""
        return None

    @abstractmethod
    def solve(self, sequence: Any) -> Any:
        """The rule itself, on one sequence: slow, plain, and what the tests trust.

        Args:
            sequence: A text, or real values (T, F).

        Returns:
            The target as in `Example`: a class name, a number, or a class name per step (None where it does not count).

        Raises:
            InvalidInputError: The sequence is none that this task can draw.
        """

    def finite_domain(self, config: C) -> FiniteDomain | None:
        """Every sequence of `config` with its weight, or None where there are too many to list."""
        return None

    def splits_overlap(self, config: C) -> bool:
        """Whether given rows stand in more than one split, because whoever gave them had it so."""
        return False

    def schema(self, config: C) -> TaskSchema:
        """What the rows of `config` hold; here, of texts with one class each."""
        return TaskSchema(vocabulary=self.vocabulary, labels=self.labels)

    def sizes(self, config: C) -> Mapping[str, int] | None:
        """Rows of each split to publish of a config that is drawn, where the usual ones do not suit it."""
        return None

    def stopping_rule(self, config: C) -> StoppingRule | None:
        """When `source` calls a run successful, or None where it says nothing of the kind."""
        return None

    def legal_next_symbols(self, sequence: Any) -> list[str]:
        """Which symbols may follow each step of a text but its last; for tasks whose success is to know them."""
        raise NotImplementedError(f"{self.name} has no grammar")

    def chance(self, config: C) -> float | None:
        """Accuracy of the best guess that ignores the input; None for targets without classes."""
        labels = self.schema(config).labels
        return 1 / len(labels) if labels else None

    def constant_baseline(self, config: C) -> ConstantBaseline | None:
        """The answer with the least mean squared error of those that ignore the input; None but for a `number`."""
        return None

    def has_exact_targets(self, config: C, split: str) -> bool:
        """Whether `solve` knows every target of a split; not where noise hides them, or is part of them."""
        return True

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the texts of this task."""
        return Vocabulary(self.symbols, self.separator, self.name)

    def solve_batch(self, sequences: Sequence[Any], config: C | None = None) -> list[Any]:
        """Apply `solve` to each sequence; `config` matters only where the rule differs between configs."""
        return [self.solve(sequence) for sequence in sequences]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, see `Vocabulary.encode`."""
        return self.vocabulary.encode(text)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids, see `Vocabulary.decode`."""
        return self.vocabulary.decode(ids)

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Ids (N, T) of N texts, see `Vocabulary.encode_batch`."""
        return self.vocabulary.encode_batch(texts)

    def decode_batch(self, ids: NDArray[np.integer]) -> list[str]:
        """Texts of the rows of ids (N, T)."""
        return self.vocabulary.decode_batch(ids)
