"""The shape of a task: facts, named configs, one vectorised generator, one slow rule."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

__all__ = [
    "NO_LABEL",
    "PAD_ID",
    "Batch",
    "ConstantBaseline",
    "Example",
    "FiniteDomain",
    "IntRange",
    "StoppingRule",
    "Task",
    "TaskConfig",
    "TaskSchema",
    "Vocabulary",
]

NO_LABEL = -100  # per-step label of a step that does not count, as the losses of PyTorch and transformers have it

IntRange = tuple[int, int]  # both ends included

Target = Literal["class", "number", "step_class", "next_symbol", "inputs"]


class Example(NamedTuple):
    """One sequence with what is to be learnt of it, as a person reads it."""

    inputs: Any  # a text, or real values (T, F)
    target: Any  # a class name, a number, a class name per step; None where the inputs themselves are the target


class ConstantBaseline(NamedTuple):
    """The best answer to a `number` that ignores the input, and what it is worth on test rows."""

    value: float
    squared_error: float  # mean
    within: float  # share of the targets that are within the tolerance of it


@dataclass(frozen=True)
class TaskSchema:
    """What the rows of a config hold: everything that the stages after the task need to know of it.

    Args:
        alphabet: Of texts; None where the inputs are real values.
        step_shape: Of the real values at one step; they are published flattened, in C order.
        target: What is to be learnt: one `class` or `number` a sequence, a class per step (`step_class`), the
            `next_symbol` of every step, or the `inputs` themselves, which are to be reconstructed.
        labels: Class names in the order of their numbers; for the targets that have classes.
        tolerance: Largest absolute error at which a `number` counts as right; for `inputs`, largest mean squared
            error of a sequence.

    >>> Layout(alphabet=Alphabet("ab"), labels=("even", "odd")).columns
    ('text', 'label')
    >>> Layout(step_shape=(2, 2), target="inputs", tolerance=1e-4).num_features
    4
    """

    alphabet: Vocabulary | None = None
    step_shape: tuple[int, ...] = ()
    target: Target = "class"
    labels: tuple[str, ...] = ()
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        classes = self.target in ("class", "step_class")
        for holds, rule in (
            ((self.alphabet is None) != (not self.step_shape), "an alphabet or a step_shape, not both"),
            (all(size >= 1 for size in self.step_shape), "sizes of 1 or more in step_shape"),
            (classes == bool(self.labels), "labels for targets that have classes, and for no others"),
            (
                (self.target in ("number", "inputs")) == (self.tolerance > 0),
                "a tolerance above 0 for real targets only",
            ),
            (self.target != "next_symbol" or self.alphabet is not None, "an alphabet for target next_symbol"),
            (self.target != "inputs" or self.alphabet is None, "a step_shape for target inputs"),
        ):
            if not holds:
                raise InvalidConfigError(f"a layout needs {rule}; given {self}")

    @property
    def num_features(self) -> int:
        """Real values at one step; 0 for texts."""
        return math.prod(self.step_shape) if self.step_shape else 0

    @property
    def head(self) -> Literal["sequence", "token", "causal", "base"]:
        """What a model needs for the target, see `models.registry.HEADS`; `base` reconstructs its inputs."""
        heads: dict[Target, Literal["sequence", "token", "causal", "base"]] = {
            "class": "sequence",
            "number": "sequence",
            "step_class": "token",
            "next_symbol": "causal",
            "inputs": "base",
        }
        return heads[self.target]

    @property
    def loss_unit(self) -> str:
        """What a loss is counted in: the cross-entropy of classes and symbols, or the mean squared error."""
        return "mean squared error" if self.tolerance else "nats"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the published columns."""
        inputs = "text" if self.alphabet is not None else "input_values"
        target = {"class": "label", "number": "label", "step_class": "labels"}.get(self.target)
        return (inputs,) if target is None else (inputs, target)


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """When the source of a task calls a run successful: a rule of Hochreiter & Schmidhuber (1997), with its numbers.

    Errors are absolute differences of outputs from their targets, and a sequence is wrong if its worst output is
    `tolerance` or more off, ABS(tolerance).

    Args:
        rule: `st3`: of the last `window` training sequences at most `wrong` are wrong, and their mean error is below
            `mean_error`. `st2`: at a check, the same of `window` fresh sequences. `streak`: `window` training sequences
            in a row are right, and what counts are those before them. `legal`: at every step of all train and test
            texts the symbols that may follow are the most active outputs.
        section: Of the paper.
        tolerance: See above; above 0, or 0 for `legal`, which has none.
        window: Sequences that the rule looks at; 0 for `legal`, which looks at all.
        mean_error: Bound of the mean error; None for no bound.
        wrong: How many may be wrong.

    >>> Success(rule="streak", section="5.2", tolerance=0.25, window=10_000).wrong
    0
    """

    rule: Literal["st3", "st2", "streak", "legal"]
    section: str
    tolerance: float = 0.0
    window: int = 0
    mean_error: float | None = None
    wrong: int = 0

    def __post_init__(self) -> None:
        legal = self.rule == "legal"
        for holds, rule in (
            ((self.tolerance > 0) != legal and (self.window > 0) != legal, "a tolerance and a window, unless legal"),
            (self.mean_error is None or self.rule in ("st3", "st2"), "no mean_error but for st3 and st2"),
            (0 <= self.wrong <= self.window and (not self.wrong or self.rule in ("st3", "st2")), "wrong in its window"),
        ):
            if not holds:
                raise InvalidConfigError(f"a success needs {rule}; given {self}")

    def over(self, times: int) -> "StoppingRule":
        """The same rule on `times` as many sequences, of which the same share may be wrong; not for `legal`.

        >>> Success(rule="st2", section="5.3", tolerance=0.2, window=256, wrong=5).over(10).wrong
        50
        """
        return replace(self, window=self.window * times, wrong=self.wrong * times)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences padded on the right, with their targets.

    Shapes: N examples, T at least the longest of them, F values at a step.

    Args:
        inputs: Of texts whose symbols are ASCII characters (`Vocabulary.bytewise`), their codes, (N, T) uint8; of other
            texts, ids, (N, T) uint16; 0 where padded. Of real values, (N, T, F) float32, 0.0 where padded.
        lengths: (N,) int64, steps before the padding, 1 or more.
        labels: By `TaskSchema.target`: `class` (N,) int64, `number` (N,) float32, `step_class` (N, T) int64 with NO_LABEL
            where a step does not count, the padded ones included; else (N, 0).
    """

    inputs: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Batch":
        """Pick rows, as a NumPy array would."""
        return Batch(self.inputs[rows], self.lengths[rows], self.labels[rows])

    def texts(self) -> list[str]:
        """The sequences of a bytewise alphabet as strings, without padding."""
        return [row[:n].tobytes().decode("ascii") for row, n in zip(self.inputs, self.lengths, strict=True)]


@dataclass(frozen=True, slots=True)
class FiniteDomain:
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


OWN = TaskConfig(name="own", length=(1, 65_536))
"""The config of tasks that can also be learnt from a file of the user's (`Task.own`), which then has the rows."""

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
    rule: ClassVar[str]  # the rule in one or two sentences, for cards
    source: ClassVar[str]  # BibTeX of where the task comes from
    configs: ClassVar[tuple[TaskConfig, ...]]
    own: ClassVar[Literal["", "lines", "csv", "vectors"]] = (
        ""  # what a file for the config OWN holds; "": no such config
    )
    marked: ClassVar[Sequence[str]] = ()  # those of `symbols` that decide the label; pictures point at them
    license: ClassVar[str] = "apache-2.0"  # of the rows, in the Hub's spelling
    paper_sequences: ClassVar[dict[str, int]] = {}  # config -> training sequences to success in `source`
    paper_wrong: ClassVar[dict[str, float]] = {}  # config -> share of the test sequences that were wrong there
    paper_setting: ClassVar[str] = ""  # how that experiment differs from a run here, to follow "in the paper, "
    limits: ClassVar[str] = "The data are synthetic: they test memory over many steps, and nothing about language."

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

    def support(self, config: C) -> FiniteDomain | None:
        """Every sequence of `config` with its weight, or None where there are too many to list."""
        return None

    def splits_overlap(self, config: C) -> bool:
        """Whether given rows stand in more than one split, because whoever gave them had it so."""
        return False

    def layout(self, config: C) -> TaskSchema:
        """What the rows of `config` hold; here, of texts with one class each."""
        return TaskSchema(alphabet=self.alphabet, labels=self.labels)

    def sizes(self, config: C) -> Mapping[str, int] | None:
        """Rows of each split to publish of a config that is drawn, where the usual ones do not suit it."""
        return None

    def success(self, config: C) -> StoppingRule | None:
        """When `source` calls a run successful, or None where it says nothing of the kind."""
        return None

    def legal(self, sequence: Any) -> list[str]:
        """Which symbols may follow each step of a text but its last; for tasks whose success is to know them."""
        raise NotImplementedError(f"{self.name} has no grammar")

    def chance(self, config: C) -> float | None:
        """Accuracy of the best guess that ignores the input; None for targets without classes."""
        labels = self.layout(config).labels
        return 1 / len(labels) if labels else None

    def constant(self, config: C) -> ConstantBaseline | None:
        """The answer with the least mean squared error of those that ignore the input; None but for a `number`."""
        return None

    def certain(self, config: C, split: str) -> bool:
        """Whether `solve` knows every target of a split; not where noise hides them, or is part of them."""
        return True

    @cached_property
    def alphabet(self) -> Vocabulary:
        """Of the texts of this task."""
        return Vocabulary(self.symbols, self.separator, self.name)

    def solve_batch(self, sequences: Sequence[Any], config: C | None = None) -> list[Any]:
        """Apply `solve` to each sequence; `config` matters only where the rule differs between configs."""
        return [self.solve(sequence) for sequence in sequences]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, see `Vocabulary.encode`."""
        return self.alphabet.encode(text)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids, see `Vocabulary.decode`."""
        return self.alphabet.decode(ids)

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Ids (N, T) of N texts, see `Vocabulary.encode_batch`."""
        return self.alphabet.encode_batch(texts)

    def decode_batch(self, ids: NDArray[np.integer]) -> list[str]:
        """Texts of the rows of ids (N, T)."""
        return self.alphabet.decode_batch(ids)
