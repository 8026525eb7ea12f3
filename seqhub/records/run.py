"""Record of a training run: `run.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, TypedDict

from seqhub.errors import CorruptFileError
from seqhub.models.ids import ModelId
from seqhub.models.reports import Conformance, Sizes
from seqhub.records.base import Record
from seqhub.records.environment import Environment
from seqhub.records.schema import mismatches
from seqhub.tasks.ref import FILE, TaskField, file_stem
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.vocabulary import TOKENIZER, Vocabulary


class ClassCounts(TypedDict):
    """Correct predictions for one class, for sequences of one length, or sequences with a correct prefix."""

    correct: int
    total: int


class LabelCounts(TypedDict):
    """Counts of one of several labels: correct predictions, rows predicted to have it, and rows that have it."""

    correct: int
    predicted: int
    total: int


class CalibrationMetrics(TypedDict):
    """Reliability of the most probable class.

    Attributes:
        error: Expected calibration error (Naeini et al., 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
            Binning"): mean over predictions of the difference between confidence and accuracy of their bin.
        counts: Number of predictions in each of ten bins of their probability.
        confidence: Mean probability in each bin, 0 in empty ones.
        accuracy: Share of right predictions in each bin, 0 in empty ones.
    """

    error: float
    counts: list[int]
    confidence: list[float]
    accuracy: list[float]


class SplitMetrics(TypedDict):
    """Metrics of a model on the rows of one split; see `metrics.classification` for their definitions."""

    examples: int
    accuracy: float
    loss: float
    length: list[int]  # shortest and longest sequence
    mean_length: float
    seed: int
    digest: str
    # dependent on the target, see `_REQUIRED`
    per_class: NotRequired[dict[str, ClassCounts]]
    confusion: NotRequired[list[list[int]]]
    interval: NotRequired[list[float]]
    abs_wrong: NotRequired[int]
    steps: NotRequired[int]
    whole: NotRequired[int]
    prefix: NotRequired[dict[str, ClassCounts]]  # number of steps with a class -> sequences
    mean_prefix: NotRequired[float]
    scaled: NotRequired[float]  # accuracy relative to the chance level of the config
    mse: NotRequired[float]
    worst_mse: NotRequired[float]
    mean_absolute_error: NotRequired[float]
    label_accuracy: NotRequired[float]
    label_interval: NotRequired[list[float]]
    micro_f1: NotRequired[float]
    micro_interval: NotRequired[list[float]]
    macro_f1: NotRequired[float]
    per_label: NotRequired[dict[str, LabelCounts]]
    per_number: NotRequired[dict[str, dict[str, Any]]]  # see `metrics.multi_label.metrics_by_number`
    tolerance: NotRequired[float]
    tokens: NotRequired[int]
    token_accuracy: NotRequired[float]
    token_interval: NotRequired[list[float]]
    edit_distance: NotRequired[float]
    edit_interval: NotRequired[list[float]]
    by_length: NotRequired[dict[str, ClassCounts]]  # number of steps -> sequences, for the target `sequence`
    calibration: NotRequired[CalibrationMetrics]  # of a file with classes
    legal: NotRequired[dict[str, float]]  # metrics of the grammar of a task
    paper: NotRequired[dict[str, Any]]  # metrics by the rule of the task's source
    # `verify` and later versions may add other keys


_CLASS_TABLE = ("per_class", "confusion")
_REQUIRED = {  # target -> metrics of every evaluated split
    "class": (*_CLASS_TABLE, "interval", "abs_wrong"),
    "step_class": (*_CLASS_TABLE, "steps", "whole"),
    "next_symbol": ("steps", "whole"),
    "sequence": ("interval", "tokens", "token_accuracy", "token_interval", "edit_distance", "edit_interval"),
    "number": ("interval", "mse", "mean_absolute_error", "tolerance"),
    "multi_label": ("interval", "label_accuracy", "micro_f1", "micro_interval", "macro_f1", "per_label"),
    "numbers": ("interval", "mse", "mean_absolute_error", "tolerance", "per_number"),
    "inputs": ("interval", "mse", "worst_mse", "tolerance"),
}


class TrainingData(TypedDict, total=False):
    """Training data of a run."""

    task_version: int
    source: str  # `stream`, `splits`, or the name of the folder or file
    seed: int
    rows: int
    digest: str
    tokens: int  # steps of all presented sequences, without padding
    identity: str  # SHA-256 of the content, see `data.source.DataSource.identity`
    split_rule: int  # version of the rule that assigns the rows of a file to splits
    statistics: dict[str, Any]
    reading: dict[str, Any]  # how a file of the task `file` is read: columns, tokens, filling and scaling
    found: dict[str, Any]  # counts of what was found in it: missing values, rows that were cut off or are repeated
    baselines: dict[str, dict[str, float]]  # name -> split -> accuracy, or mean squared error of numbers


class BaseModelRecord(TypedDict):
    """Saved model from which a run started, see `training.base_model`."""

    name: str  # repository id, or name of the folder
    weights: str  # SHA-256 of model.safetensors; empty if it has another file
    new: list[str]  # parameters with new initial values, such as those of new outputs
    frozen: list[str]  # parameters that were not trained


class Probe(TypedDict, total=False):
    """First sequences of the test split and their logits, from the model in memory with batches of one."""

    texts: list[str]
    input_ids: list[list[int]]  # of a tokenizer of transformers, for these texts
    input_values: list[list[list[float]]]
    logits: list[Any]


@dataclass(kw_only=True)
class RunRecord(Record):
    """Record of a training run and its evaluation, in the folder of the weights.

    `task` may be given as a string, and is converted to a `TaskRef`.
    """

    FILE_NAME = "run.json"
    OPTIONAL = ("model_id", "sizes", "conformance", "best", "base_model")
    KEYS = {"task": "address"}  # noqa: RUF012  a ClassVar, as in the base class

    task: TaskField = TaskField()
    model: str  # id without options: lstm, transformers:mamba, ...
    model_config: dict[str, Any]  # chosen settings of the config class, and its sizes
    num_parameters: int
    seed: int | None  # None, as the counts below, if the model was trained without `seqhub train`
    training: dict[str, Any]  # all settings of TrainConfig except the folder
    data: TrainingData
    sequences_seen: int | None  # training sequences presented, over all processes
    optimizer_steps: int | None
    processes: int | None
    criteria: dict[str, int | None]  # criterion -> training sequences until it was first met; None if never met
    evaluation: dict[str, SplitMetrics] = field(default_factory=dict)
    """Metrics by split, of the config of the run ("test") or of another config ("hard/test")."""
    probe: Probe = field(default_factory=Probe)
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256 of weights, config, code and tokenizer
    timings: dict[str, float] = field(default_factory=dict)  # stage -> seconds
    environment: Environment = field(default_factory=Environment)
    command: str = ""
    model_id: str | None = None
    """Complete id of the model with its options, as `--model` takes it."""
    sizes: Sizes | None = None
    conformance: Conformance | None = None
    """Result of the tests of a wrapped model before training, see `models.conformance`."""
    best: dict[str, float] | None = None
    """Lowest validation loss of a run with patience, and the training sequences presented until then."""
    base_model: BaseModelRecord | None = None
    """Model from which a run with fine-tuning started; None for new weights."""

    @property
    def probes(self) -> list[Any]:
        """Sequences of `probe`: texts or nested lists of values."""
        return self.probe.get("texts") or self.probe.get("input_values") or []

    @property
    def schema(self) -> TaskSchema:
        """Schema of the rows; for a file with its classes, values and separator of symbols, but not its symbols."""
        schema = self.task.schema
        if not self.task.is_custom:
            return schema
        if schema.labels:
            evaluated: Any = next(iter(self.evaluation.values()), {})
            names = self.data.get("statistics", {}).get("classes") or evaluated.get("per_class") or ("not recorded",)
            schema = replace(schema, labels=tuple(names))
        if schema.numbers:
            schema = replace(schema, numbers=tuple(self.data.get("reading", {}).get("numbers", schema.numbers)))
        reading: Mapping[str, Any] = self.data.get("reading", {})
        vocabulary = schema.text_vocabulary
        if (tokens := reading.get("tokens", "")) == "tokens":
            vocabulary = Vocabulary(("?",), " ", boundaries=TOKENIZER)
        elif "words" in tokens:
            vocabulary = Vocabulary(("?",), " ")
        changes: dict[str, Any] = {"vocabulary": vocabulary}
        if schema.vocabulary is None:
            changes = {"step_shape": (len(self.probes[0][0]),)}
        if schema.target == "sequence":
            changes |= {"target_vocabulary": vocabulary, "max_target": reading.get("max_target", schema.max_target)}
        return replace(schema, **changes)

    def require_metrics(self, schema: TaskSchema) -> None:
        """Raise CorruptFileError unless every evaluated split has the metrics of the target of a schema."""
        table = () if schema.has_class_table or not schema.labels else _CLASS_TABLE
        missing = [
            f"evaluation.{split}.{name}"
            for split, metrics in self.evaluation.items()
            for name in _REQUIRED[schema.target]
            if name not in metrics and name not in table
        ]
        wrong = ", ".join([*missing, *mismatches(self.evaluation, dict[str, SplitMetrics], "evaluation")])
        if wrong:
            raise CorruptFileError(f"record of {self.name}: missing values or values of a wrong type: {wrong}")

    @property
    def name(self) -> str:
        """Name of the repository for this run, such as qrsu-hard-lstm or, for a file of rows, reviews-lstm."""
        rows = self.task.slug if self.task.name != FILE else file_stem(self.data.get("source", ""))
        return f"{rows}-{ModelId(self.model).short}"
