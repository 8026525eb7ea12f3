"""Schema of the rows of a task: columns, targets, examples and batches."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError
from seqhub.tasks.vocabulary import Vocabulary

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
        vocabulary: Of texts; None where the inputs are real values.
        step_shape: Of the real values at one step; they are published flattened, in C order.
        target: What is to be learnt: one `class` or `number` a sequence, a class per step (`step_class`), the
            `next_symbol` of every step, or the `inputs` themselves, which are to be reconstructed.
        labels: Class names in the order of their numbers; for the targets that have classes.
        tolerance: Largest absolute error at which a `number` counts as right; for `inputs`, largest mean squared
            error of a sequence.

    >>> TaskSchema(vocabulary=Vocabulary("ab"), labels=("even", "odd")).columns
    ('text', 'label')
    >>> TaskSchema(step_shape=(2, 2), target="inputs", tolerance=1e-4).num_features
    4
    """

    vocabulary: Vocabulary | None = None
    step_shape: tuple[int, ...] = ()
    target: Target = "class"
    labels: tuple[str, ...] = ()
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        classes = self.target in ("class", "step_class")
        for holds, rule in (
            ((self.vocabulary is None) != (not self.step_shape), "an alphabet or a step_shape, not both"),
            (all(size >= 1 for size in self.step_shape), "sizes of 1 or more in step_shape"),
            (classes == bool(self.labels), "labels for targets that have classes, and for no others"),
            (
                (self.target in ("number", "inputs")) == (self.tolerance > 0),
                "a tolerance above 0 for real targets only",
            ),
            (self.target != "next_symbol" or self.vocabulary is not None, "an alphabet for target next_symbol"),
            (self.target != "inputs" or self.vocabulary is None, "a step_shape for target inputs"),
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
        inputs = "text" if self.vocabulary is not None else "input_values"
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

    >>> StoppingRule(rule="streak", section="5.2", tolerance=0.25, window=10_000).wrong
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

    def scaled(self, factor: int) -> "StoppingRule":
        """The same rule on `times` as many sequences, of which the same share may be wrong; not for `legal`.

        >>> StoppingRule(rule="st2", section="5.3", tolerance=0.2, window=256, wrong=5).scaled(10).wrong
        50
        """
        return replace(self, window=self.window * factor, wrong=self.wrong * factor)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences padded on the right, with their targets.

    Shapes: N examples, T at least the longest of them, F values at a step.

    Args:
        inputs: Of texts whose symbols are ASCII characters (`Vocabulary.bytewise`), their codes, (N, T) uint8; of other
            texts, ids, (N, T) uint16; 0 where padded. Of real values, (N, T, F) float32, 0.0 where padded.
        lengths: (N,) int64, steps before the padding, 1 or more.
        labels: By `TaskSchema.target`: `class` (N,) int64, `number` (N,) float32, `step_class` (N, T) int64 with
            NO_LABEL where a step does not count, the padded ones included; else (N, 0).
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


CUSTOM = TaskConfig(name="custom", length=(1, 65_536))
"""Config of tasks that can also be learnt from a file that the user supplies; see `Task.custom_format`."""
