"""Schema of the rows of a task: columns, targets, examples and batches."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError
from seqhub.tasks.vocabulary import TOKENIZER, Vocabulary

NO_LABEL = -100  # label of ignored steps, the default `ignore_index` of PyTorch and transformers
_MAX_BATCH_NUMBERS = 1 << 26  # 256 MiB in single precision
_MAX_LISTED_CLASSES = 1_000  # Parquet files have the names of all classes
_MAX_TABLE_CLASSES = 100  # the confusion matrix has a square of counts


IntRange = tuple[int, int]  # both ends included


Target = Literal["class", "number", "multi_label", "numbers", "step_class", "next_symbol", "sequence", "inputs"]
WHOLE_TARGETS = ("class", "number", "multi_label", "numbers")  # targets of whole sequences that are not texts


class Example(NamedTuple):
    """One sequence and its target in human-readable form."""

    inputs: Any  # a text, or real values (T, F)
    target: Any  # a class name, a list of them, a number, several numbers, a class name per step, or a text; None if
    # the inputs are the target


class ConstantBaseline(NamedTuple):
    """Best constant prediction of a `number`, and its expected metrics on test rows."""

    value: float
    squared_error: float  # mean
    within: float  # share of the targets within the tolerance of `value`


@dataclass(frozen=True)
class TaskSchema:
    """Schema of the rows of a config: inputs, target and classes.

    Args:
        vocabulary: Vocabulary of texts; None if the inputs are real values.
        step_shape: Shape of the real values at one step; they are published flattened, in C order.
        target: Prediction target: one `class` or `number` for each sequence, any number of labels (`multi_label`) or
            several `numbers` for each sequence, a class for each step (`step_class`), the `next_symbol` of each step,
            another `sequence` of symbols, or the `inputs` themselves, to be reconstructed.
        labels: Class names in the order of their numbers; for targets with classes, and for `multi_label`.
        tolerance: Largest absolute error of a correct `number`, or of each of several; for `inputs`, largest mean
            squared error of a correctly reconstructed sequence.
        target_vocabulary: Vocabulary of the target `sequence`; that of the inputs if these are texts.
        max_target: Largest number of symbols of the target `sequence`, in all configs and test distributions.
        numbers: Names of the `numbers`, two or more, in their order.

    >>> TaskSchema(vocabulary=Vocabulary("ab"), labels=("even", "odd")).columns
    ('text', 'label')
    >>> TaskSchema(step_shape=(2, 2), target="inputs", tolerance=1e-4).num_features
    4
    >>> TaskSchema(step_shape=(2,), target="sequence", target_vocabulary=Vocabulary("ab"), max_target=9).columns
    ('input_values', 'target')
    """

    vocabulary: Vocabulary | None = None
    step_shape: tuple[int, ...] = ()
    target: Target = "class"
    labels: tuple[str, ...] = ()
    tolerance: float = 0.0
    target_vocabulary: Vocabulary | None = None
    max_target: int = 0
    numbers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        classes = self.target in ("class", "step_class", "multi_label")
        for holds, rule in (
            ((self.vocabulary is None) != (not self.step_shape), "either a vocabulary or a step_shape"),
            (all(size >= 1 for size in self.step_shape), "sizes of at least 1 in step_shape"),
            (classes == bool(self.labels), "labels if and only if the target has classes"),
            (
                (self.target in ("number", "numbers", "inputs")) == (self.tolerance > 0),
                "a tolerance above 0 if and only if the target is number, numbers or inputs",
            ),
            ((self.target == "numbers") == (len(self.numbers) > 1), "two names or more for the target numbers only"),
            (self.target != "next_symbol" or self.vocabulary is not None, "a vocabulary for the target next_symbol"),
            (self.target != "inputs" or self.vocabulary is None, "a step_shape for the target inputs"),
            (
                (self.target == "sequence") == (self.target_vocabulary is not None) == (self.max_target > 0),
                "a target_vocabulary and a max_target if and only if the target is sequence",
            ),
            (
                None in (self.vocabulary, self.target_vocabulary) or self.vocabulary == self.target_vocabulary,
                "one vocabulary for texts and their targets",
            ),
        ):
            if not holds:
                raise InvalidConfigError(f"a TaskSchema needs {rule}; given {self}")

    @property
    def has_class_table(self) -> bool:
        """True if metrics contain counts by class and the confusion matrix; only for up to 100 classes."""
        return self.target != "multi_label" and 0 < len(self.labels) <= _MAX_TABLE_CLASSES

    @property
    def lists_classes(self) -> bool:
        """True if dataset cards and records list the classes; only for up to 1,000."""
        return 0 < len(self.labels) <= _MAX_LISTED_CLASSES

    @property
    def num_features(self) -> int:
        """Number of real values at one step; 0 for texts."""
        return math.prod(self.step_shape) if self.step_shape else 0

    @property
    def text_vocabulary(self) -> Vocabulary | None:
        """Vocabulary of texts among inputs and targets; None if there are none."""
        return self.vocabulary or self.target_vocabulary

    @property
    def has_tokenizer(self) -> bool:
        """True if the rows have the ids of a tokenizer of transformers, which alone can encode a text."""
        return self.vocabulary is not None and self.vocabulary.boundaries == TOKENIZER

    @property
    def end_id(self) -> int:
        """Id of the end of a target `sequence`, after the ids of the symbols."""
        assert self.target_vocabulary is not None, "only the target sequence has an end"
        return len(self.target_vocabulary) + 1

    @property
    def head(self) -> Literal["sequence", "token", "causal", "seq2seq", "base"]:
        """Model head for the target, see `models.registry.HEADS`; `base` models reconstruct their inputs."""
        heads: dict[Target, Literal["sequence", "token", "causal", "seq2seq", "base"]] = {
            "class": "sequence",
            "number": "sequence",
            "multi_label": "sequence",
            "numbers": "sequence",
            "step_class": "token",
            "next_symbol": "causal",
            "sequence": "seq2seq",
            "inputs": "base",
        }
        return heads[self.target]

    def num_outputs(self, steps: int) -> int:
        """Return the number of outputs of a model for a sequence of this number of steps.

        >>> TaskSchema(vocabulary=Vocabulary("ab"), target="step_class", labels=("no", "yes")).num_outputs(10)
        20
        """
        symbols = 0 if self.vocabulary is None else len(self.vocabulary) + 1
        if self.target == "sequence":
            return (self.max_target + 1) * (self.end_id + 1)
        return {
            "class": len(self.labels),
            "number": 1,
            "multi_label": len(self.labels),
            "numbers": len(self.numbers),
            "step_class": steps * len(self.labels),
            "next_symbol": steps * symbols,
            "inputs": steps * self.num_features,
        }[self.target]

    def rows_at_once(self, steps: int, most: int) -> int:
        """Return the number of sequences of an evaluation batch, from 1 to `most`, fewer if they are long.

        A batch has up to 2**26 outputs, and as many pairs of steps, since attention computes numbers for each pair;
        unless a single sequence has more.
        """
        return max(1, min(most, _MAX_BATCH_NUMBERS // max(1, self.num_outputs(steps), steps**2)))

    @property
    def loss_unit(self) -> str:
        """Unit of the loss: nats of the cross-entropy of classes, labels and symbols, or mean squared error."""
        return "mean squared error" if self.tolerance else "nats"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the published columns."""
        inputs = "text" if self.vocabulary is not None else "input_values"
        if self.has_tokenizer:
            inputs = "input_ids"
        target = self.target_column
        return (inputs,) if target is None else (inputs, target)

    @property
    def target_column(self) -> str | None:
        """Name of the column with the target; None if the inputs are the target."""
        columns = {"class": "label", "number": "label", "sequence": "target"}
        lists = ("step_class", "multi_label", "numbers")
        return "labels" if self.target in lists else columns.get(self.target)


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """Stopping rule of Hochreiter & Schmidhuber (1997), with its parameters.

    Errors are absolute differences of outputs from their targets. A sequence is wrong if the error of its worst output
    is `tolerance` or more, ABS(tolerance).

    Args:
        rule: `st3`: at most `wrong` of the last `window` training sequences are wrong, and their mean error is below
            `mean_error`. `st2`: the same for `window` newly generated sequences at a validation. `streak`: `window`
            consecutive training sequences are right; the sequences before them are counted. `legal`: at every step of
            all train and test texts the symbols that may follow have the highest outputs.
        section: Section of the paper.
        tolerance: Tolerance of an output, above 0; 0 for `legal`, which has none.
        window: Number of sequences that the rule covers; 0 for `legal`, which covers all.
        mean_error: Upper bound of the mean error; None for no bound.
        wrong: Number of sequences that may be wrong.

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
            (
                (self.tolerance > 0) != legal and (self.window > 0) != legal,
                "a tolerance and a window, except for the rule legal",
            ),
            (self.mean_error is None or self.rule in ("st3", "st2"), "mean_error=None, except for st3 and st2"),
            (
                0 <= self.wrong <= self.window and (not self.wrong or self.rule in ("st3", "st2")),
                "wrong from 0 to window, and 0 except for st3 and st2",
            ),
        ):
            if not holds:
                raise InvalidConfigError(f"a StoppingRule needs {rule}; given {self}")

    def scaled(self, factor: int) -> "StoppingRule":
        """Return the rule for `factor` times as many sequences, with the same share of wrong ones; not for `legal`.

        >>> StoppingRule(rule="st2", section="5.3", tolerance=0.2, window=256, wrong=5).scaled(10).wrong
        50
        """
        return replace(self, window=self.window * factor, wrong=self.wrong * factor)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences padded on the right, with their targets.

    Shapes: N examples, T steps (at least the length of the longest example), F values at each step.

    Args:
        inputs: For texts with ASCII characters as symbols (`Vocabulary.bytewise`), character codes (N, T) uint8; for
            other texts, ids (N, T) uint16, or int32 of a tokenizer; both 0 in the padding. For real values, (N, T, F)
            float32, 0.0 in the padding.
        lengths: (N,) int64, number of steps before the padding, at least 1.
        labels: By `TaskSchema.target`: `class` (N,) int64, `number` (N,) float32, `multi_label` (N, C) float32 with 1
            for the labels of a row and 0 for others, `numbers` (N, K) float32, `step_class` (N, T) int64 with NO_LABEL
            for ignored steps and for the padding, `sequence` (N, S) int64 ids of the target's symbols, with NO_LABEL in
            the padding on the right; otherwise (N, 0).
    """

    inputs: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Batch":
        """Select rows by NumPy indexing."""
        return Batch(self.inputs[rows], self.lengths[rows], self.labels[rows])

    def texts(self) -> list[str]:
        """Return the sequences as strings without padding; for bytewise vocabularies."""
        return [row[:n].tobytes().decode("ascii") for row, n in zip(self.inputs, self.lengths, strict=True)]


@dataclass(frozen=True, slots=True)
class FiniteDomain:
    """All possible sequences of a config, for configs with few of them."""

    batch: Batch
    weights: NDArray[np.int64]  # (N,), proportional to the probability of each row


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Published variant of a task; `name` is the config name in `datasets`."""

    name: str
    length: IntRange  # number of steps of a sequence

    def parameters(self) -> dict[str, object]:
        """Return all fields except the name; the generated bytes depend on them."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    def require(self, holds: bool, rule: str) -> None:
        """Raise InvalidConfigError with the values of the config unless `holds`."""
        if not holds:
            given = ", ".join(f"{key}={value}" for key, value in self.parameters().items())
            raise InvalidConfigError(f"config {self.name!r} needs {rule}; given {given}")


CUSTOM = TaskConfig(name="custom", length=(1, 65_536))
"""Config of tasks that accept a file that the user supplies; see `Task.custom_format`."""
