"""Base class of the tasks: metadata, named configs, a vectorised generator and a reference solution."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, FiniteDomain, StoppingRule, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

C = TypeVar("C", bound=TaskConfig)


def longer(config: C, *factors: int) -> dict[str, C]:
    """Return a config with sequences that are several times as long, by name, for `Task.test_distributions`."""
    found = {}
    for factor in factors:
        low, high = (factor * steps for steps in config.length)
        name = f"len{low}" if low == high else f"len{low}-{high}"
        found[name] = replace(config, name=name, length=(low, high))
    return found


class Task(ABC, Generic[C]):
    """Base class of a task on sequences.

    Most tasks generate any number of rows and implement `generate`. Tasks with fixed rows, such as real images,
    implement `rows` instead.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # increased whenever a published byte changes
    title: ClassVar[str]  # one line, for lists and cards
    symbols: ClassVar[Sequence[str]] = ()  # of texts: one character each, or words separated by `separator`
    separator: ClassVar[str] = ""
    labels: ClassVar[tuple[str, ...]] = ()
    description: ClassVar[str]  # one or two sentences, for cards
    source: ClassVar[str]  # BibTeX entry of the publication that introduced the task
    configs: ClassVar[tuple[TaskConfig, ...]]
    custom_format: ClassVar[Literal["", "lines", "csv", "vectors", "table"]] = ""  # of the file for `custom`; "": none
    marked: ClassVar[Sequence[str]] = ()  # the symbols that determine the label, highlighted in figures
    license: ClassVar[str] = "apache-2.0"  # of the rows, as a license identifier of the Hub
    paper_sequences: ClassVar[dict[str, int]] = {}  # config -> training sequences until the criterion of `source`
    paper_wrong: ClassVar[dict[str, float]] = {}  # config -> error rate on the test sequences in `source`
    paper_setting: ClassVar[str] = ""  # setting of the experiment in `source`; follows "in the paper, "
    limits: ClassVar[str] = "The data are synthetic. They test memory over many steps, not language understanding."

    def __repr__(self) -> str:
        """Return name, title and configs, as in `<Task square: ...; configs: fixed, random>`."""
        return f"<Task {self.name}: {self.title}; configs: {', '.join(config.name for config in self.configs)}>"

    def generate(self, config: C, random: BlockRandom) -> Batch:
        """Generate `random.size` labelled sequences.

        Draw the values of one field for all sequences before those of the next, so that blocks are independent.
        """
        raise NotImplementedError(f"{self.name}/{config.name} has fixed rows; generate is not implemented")

    def rows(self, config: C, split: str) -> Batch | None:
        """Return all rows of a split if they are fixed; None if they are generated."""
        return None

    @abstractmethod
    def solve(self, sequence: Any) -> Any:
        """Return the target of one sequence by the definition of the task. The tests use it as the reference.

        Args:
            sequence: A text, or real values (T, F).

        Returns:
            The target as in `Example`: a class name, a number, a class name per step (None for ignored steps), or a
            text.

        Raises:
            InvalidInputError: The sequence is not valid for this task.
        """

    def finite_domain(self, config: C) -> FiniteDomain | None:
        """Return all possible sequences of `config` with their weights; None if there are too many to list."""
        return None

    def splits_overlap(self, config: C) -> bool:
        """Return True if the same rows occur in more than one split, as in the source."""
        return False

    def schema(self, config: C) -> TaskSchema:
        """Return the schema of the rows of `config`; by default texts with one class each."""
        return TaskSchema(vocabulary=self.vocabulary, labels=self.labels)

    def sizes(self, config: C) -> Mapping[str, int] | None:
        """Return the published number of rows of each split of a generated config; None for the default numbers."""
        return None

    def stopping_rule(self, config: C) -> StoppingRule | None:
        """Return the stopping rule that `source` uses, or None if it has none."""
        return None

    def legal_next_symbols(self, sequence: Any) -> list[str]:
        """Return the symbols that may follow each step of a text except the last; for tasks with a grammar."""
        raise NotImplementedError(f"{self.name} has no grammar")

    @property
    def has_grammar(self) -> bool:
        """True if the symbols that may follow each step are known."""
        own = type(self)
        return own.legal_next_symbols is not Task.legal_next_symbols or own.legal_steps is not Task.legal_steps

    def legal_steps(self, config: C, batch: Batch, random: BlockRandom | None) -> NDArray[np.bool_]:
        """Return the ids that may follow each step of a batch of texts, by default those of `legal_next_symbols`.

        Args:
            config: Config of the texts.
            batch: Texts.
            random: Random numbers in the state from which `generate` returned the batch, for tasks whose texts do not
                determine the symbols; None for fixed rows.

        Returns:
            (N, T, V + 1), column k for the symbol with id k; all False from the last step of a text on.
        """
        vocabulary = self.schema(config).vocabulary
        assert vocabulary is not None, "a grammar needs texts"
        legal = np.zeros((*batch.inputs.shape, len(vocabulary) + 1), dtype=np.bool_)
        texts = batch.texts() if vocabulary.bytewise else vocabulary.decode_batch(batch.inputs)
        for row, text in enumerate(texts):
            for step, symbols in enumerate(self.legal_next_symbols(text)):
                legal[row, step, vocabulary.encode(symbols)] = True
        return legal

    def test_distributions(self, config: C) -> Mapping[str, C]:
        """Return configs of other lengths or parameters that models of `config` are also tested on, by name."""
        return {}

    def chance(self, config: C) -> float | None:
        """Return the accuracy of the best constant prediction; None for targets without classes."""
        labels = self.schema(config).labels
        return 1 / len(labels) if labels else None

    def constant_baseline(self, config: C) -> ConstantBaseline | None:
        """Return the constant prediction with the least mean squared error; None unless the target is a `number`."""
        return None

    def has_exact_targets(self, config: C, split: str) -> bool:
        """Return True if `solve` reproduces every target of a split; False if inputs or targets are noisy."""
        return True

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the texts of this task."""
        return Vocabulary(self.symbols, self.separator, self.name)

    def solve_batch(self, sequences: Sequence[Any], config: C | None = None) -> list[Any]:
        """Apply `solve` to each sequence; `config` is used only if the definition differs between configs."""
        return [self.solve(sequence) for sequence in sequences]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, see `Vocabulary.encode`."""
        return self.vocabulary.encode(text)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the text of ids, see `Vocabulary.decode`."""
        return self.vocabulary.decode(ids)

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids (N, T) of N texts, see `Vocabulary.encode_batch`."""
        return self.vocabulary.encode_batch(texts)

    def decode_batch(self, ids: NDArray[np.integer]) -> list[str]:
        """Return the texts of the rows of ids (N, T)."""
        return self.vocabulary.decode_batch(ids)
