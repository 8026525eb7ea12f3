"""Settings of one training run: the only place where their defaults stand."""

from collections.abc import Collection
from dataclasses import MISSING, Field, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.tasks.ref import TaskField
from seqhub.training.launch import launcher_cpu, launcher_precision

if TYPE_CHECKING:
    from seqhub.tasks.schema import StoppingRule

Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["constant", "linear", "cosine", "step", "error"]
Precision = Literal["no", "bf16"]
Tracker = Literal["tensorboard", "trackio"]
Recorded = Literal["gradients", "activations"]

_RECORDED_AS = {"task": "address", "criterion_scale": "strictness"}  # names in records of format 1

STREAM, SPLITS = "stream", "splits"  # sources of training data that are no folder

_MOST = {  # beyond these a slip of the keyboard is likelier than a wish, and memory or patience would end first
    "hidden_size": 65_536,
    "num_hidden_layers": 1_000,
    "batch_size": 1_000_000,
    "evaluate_size": 10_000_000,
    "threads": 1_024,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; the command line shows these names, defaults and texts.

    Raises:
        UnknownNameError: No such task, config, model, criterion, optimizer ...; the message lists those there are.
        InvalidConfigError: A number outside its range.
    """

    task: Annotated[TaskField, "task and config, as in qrsu/hard"] = TaskField()
    output_dir: Annotated[Path, "folder of this run; must not hold another one"]

    model: Annotated[str, "preset of the model: lstm, gru, rnn_tanh, rnn_relu, lstm_hs97; more for real values"] = (
        "lstm"
    )
    hidden_size: Annotated[int, "width of the hidden state"] = 8
    num_hidden_layers: Annotated[int, "stacked recurrences"] = 1
    initialization: Annotated[str, "default, forget_bias, chrono, identity or hs97"] = "default"
    forget_bias: Annotated[float, "bias of the forget gate, for initialization=forget_bias"] = 1.0
    chrono_max_steps: Annotated[int | None, "longest lag that chrono prepares for, in steps"] = None
    model_options: Annotated[dict[str, Any], "further fields of the model's config class"] = field(default_factory=dict)
    single_logit: Annotated[bool, "one logit for two classes, with a logistic loss, instead of two"] = False

    data: Annotated[str, "stream (endless fresh draws), splits (the task's train split), a built folder or a file"] = (
        STREAM
    )
    data_options: Annotated[dict[str, Any], "how to read a file"] = field(default_factory=dict)
    epochs: Annotated[int, "passes over the data, unless they are a stream"] = 1
    max_sequences: Annotated[int, "training sequences after which a run ends unsolved"] = 100_000
    batch_size: Annotated[int, "sequences per optimizer step, over all processes"] = 16
    seed: Annotated[int, "seed of weights, data and order"] = 0
    weights_seed: Annotated[int | None, "draw first weights as torch's modules do after torch.manual_seed of this"] = (
        None
    )
    order_seed: Annotated[int | None, "order rows as torch's DataLoader does after torch.manual_seed of this"] = None

    chunk_steps: Annotated[int, "cut sequences into chunks of so many steps, an optimizer step each; 0 for whole"] = 0
    carry_state: Annotated[bool, "start a chunk from the state, without its gradient, that the one before left"] = True

    optimizer: Annotated[Optimizer, "adam, adamw, rmsprop or sgd"] = "adam"
    learning_rate: Annotated[float, "at the start, or after warm-up"] = 1e-2
    schedule: Annotated[Schedule, "constant, linear or cosine decay to zero at max_sequences, step or error"] = (
        "constant"
    )
    decay: Annotated[float, "factor on the learning rate, for schedule=step; above 1 it rises"] = 0.1
    decay_every: Annotated[int, "training sequences from one factor to the next; 0 for a pass over the data"] = 0
    error_reference: Annotated[float, "largest error below which the rate falls with it, for schedule=error"] = 0.1
    error_floor: Annotated[float, "least factor on the learning rate, for schedule=error"] = 0.01
    warmup: Annotated[int, "sequences over which the learning rate rises from zero"] = 0
    weight_decay: Annotated[float, "decoupled for adamw, L2 for the others"] = 0.0
    momentum: Annotated[float, "for sgd and rmsprop"] = 0.0
    beta1: Annotated[float, "memory of the mean of gradients, for adam and adamw"] = 0.9
    beta2: Annotated[float, "memory of the mean of their squares, for adam and adamw"] = 0.999
    max_grad_norm: Annotated[float | None, "clip the norm of all gradients to this; 0 for no clipping"] = 1.0

    stop_at: Annotated[
        str, "criterion that ends the run: accuracy, st3, paper (the rule of its source), both or none"
    ] = "accuracy"
    criterion_scale: Annotated[int, "times as many sequences as the criterion of the source looks at"] = 1
    allowed_wrong: Annotated[int | None, "how many of all those may be wrong, not the source's share"] = None
    accuracy: Annotated[float, "share of right classes on fresh sequences that counts as solved"] = 0.999
    evaluate_every: Annotated[int, "training sequences between two checks"] = 320
    evaluate_size: Annotated[int, "fresh sequences per check; a check that must fail ends early"] = 10_240
    checkpoint_every: Annotated[int, "training sequences between two checkpoints"] = 3_200

    # By default what `accelerate launch` was told
    precision: Annotated[Precision, "bf16 for mixed precision"] = field(default_factory=launcher_precision)
    cpu: Annotated[bool, "stay on the CPU even where there is a GPU"] = field(default_factory=launcher_cpu)
    threads: Annotated[int, "CPU threads of torch; more than one is slower for recurrences this small"] = 1
    trackers: Annotated[tuple[Tracker, ...], "tensorboard and trackio; history.jsonl is always written"] = ()
    record: Annotated[tuple[Recorded, ...], "gradients and activations, whose norms go into history.jsonl"] = ()

    def __post_init__(self) -> None:
        from seqhub.models.registry import list_presets
        from seqhub.tasks.schema import CUSTOM
        from seqhub.training.stopping import check_stop  # not above: NumPy, which `--help` does without

        task, task_config = self.task.definition, self.task.config
        schema = task.schema(task_config)
        if self.model not in list_presets():
            raise UnknownNameError.of("model", self.model, list_presets())
        texts = schema.vocabulary is not None
        if self.model not in (fit := list_presets("input_ids" if texts else "input_values")):
            kind = "symbols" if texts else "real values"
            raise InvalidConfigError(f"model {self.model} for {self.task}, which has {kind}; need {', '.join(fit)}")
        check_stop(self.stop_at)
        self._require("criterion_scale", self.criterion_scale >= 1, "at least 1")
        own = self.stop_at != "paper" or self.stopping_rule is not None
        self._require("stop_at", own, "accuracy, st3, both or none for a task whose source has no criterion of its own")
        if task_config is CUSTOM:
            what = {"lines": "a text", "csv": "a CSV of texts and labels", "vectors": "Parquet of vectors"}[
                task.custom_format
            ]
            self._require("data", Path(self.data).is_file(), f"the file that has the rows, {what}")
        else:
            known = self.data in (STREAM, SPLITS) or Path(self.data).is_dir()
            self._require("data", known, f"{STREAM}, {SPLITS} or a folder that `seqhub data build` made")
            self._require("data_options", not self.data_options, "none without a file")
        for name in ("optimizer", "schedule", "precision"):
            allowed = get_args(get_type_hints(type(self))[name])
            if getattr(self, name) not in allowed:
                raise UnknownNameError.of(name, getattr(self, name), allowed)
        for tracker in self.trackers:
            if tracker not in get_args(Tracker):
                raise UnknownNameError.of("tracker", tracker, get_args(Tracker))
        for recorded in self.record:
            if recorded not in get_args(Recorded):
                raise UnknownNameError.of("record", recorded, get_args(Recorded))
        whole = ("hidden_size", "num_hidden_layers", "epochs", "max_sequences", "batch_size", "threads")
        for name in (*whole, "evaluate_every", "evaluate_size", "checkpoint_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name, most in _MOST.items():
            self._require(name, getattr(self, name) <= most, f"at most {most:,}")
        for name in ("warmup", "weight_decay", "momentum", "chunk_steps", "decay_every"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("seed", "weights_seed", "order_seed"):
            self._require(name, -(2**63) <= (getattr(self, name) or 0) < 2**63, "64 bits at most")
        own = self.weights_seed is None or self.initialization == "default"
        self._require("weights_seed", own, f"initialization default with it, not {self.initialization}")
        self._require(
            "order_seed", self.order_seed is None or self.data != STREAM, f"data {SPLITS} or a folder with it"
        )
        per_step = not self.chunk_steps or schema.target == "step_class"
        self._require("chunk_steps", per_step, "0 for a task without a class per step")
        self._require("learning_rate", self.learning_rate > 0, "above 0")
        self._require("decay", self.decay > 0, "above 0")
        self._require("error_reference", self.error_reference > 0, "above 0")
        self._require("error_floor", 0 <= self.error_floor <= 1, "at least 0 and at most 1")
        passes = self.schedule != "step" or self.data != STREAM
        self._require("decay_every", passes or self.decay_every > 0, f"1 or more with data {STREAM}, which never ends")
        self._require("momentum", self.momentum < 1, "below 1")
        self._require("accuracy", 0 < self.accuracy <= 1, "above 0 and at most 1")
        self._require("max_grad_norm", self.max_grad_norm is None or self.max_grad_norm >= 0, "at least 0")
        for each in fields(self):  # also those that this run does not use: its record, as JSON, holds them all
            value = getattr(self, each.name)
            self._require(each.name, not isinstance(value, float) or isfinite(value), "a finite number")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InvalidConfigError(f"{name} {getattr(self, name)}; need {rule} ({self.task})")

    @property
    def stopping_rule(self) -> "StoppingRule | None":
        """When this run is successful by the source of its task; None where that says nothing of the kind."""
        from seqhub.tasks.stopping import stopping_rule_of

        return stopping_rule_of(self.task, self.criterion_scale, self.allowed_wrong)

    def model_settings(self, fields: Collection[str]) -> dict[str, Any]:
        """What is asked of the model's config class, beyond what the task decides.

        Args:
            fields: Those that the class has. A setting that it lacks is left out where nobody chose it.
        """
        usual = ("hidden_size", "num_hidden_layers", "initialization")
        settings: dict[str, Any] = {
            name: getattr(self, name)
            for name in usual
            if name in fields or getattr(self, name) != getattr(type(self), name)
        }
        if self.initialization == "forget_bias":
            settings["forget_bias"] = self.forget_bias
        if self.initialization == "chrono":
            settings["chrono_max_steps"] = self.chrono_max_steps
        twice = ", ".join(sorted(self.model_options.keys() & {*usual, "forget_bias", "chrono_max_steps"}))
        if twice:
            raise InvalidConfigError(f"{twice} among model_options; it is a setting by itself ({self.task})")
        return settings | self.model_options

    @property
    def may_change(self) -> frozenset[str]:
        """The settings in which a resumed run may differ from the run that was stopped: none changes what comes before.

        `data` and `data_options` may name a moved file or folder: its content is compared instead. Where the learning
        rate is decided by the length of the whole run, that may not change.
        """
        length = set() if self.schedule in ("linear", "cosine") else {"max_sequences", "epochs"}
        return frozenset({"stop_at", "threads", "trackers", "checkpoint_every", "data", "data_options", *length})

    @property
    def file(self) -> Path | None:
        """The file that has the rows, where it is not the task that has them."""
        return Path(self.data) if self.task.is_custom else None

    def as_json(self) -> dict[str, Any]:
        """Return every setting but the folders of this machine as JSON values, under their names in records."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "output_dir"}
        values |= {"task": str(self.task), "trackers": list(self.trackers), "record": list(self.record)}
        values |= {name: dict(getattr(self, name)) for name in ("model_options", "data_options")}
        if self.data not in (STREAM, SPLITS):
            values["data"] = Path(self.data).name
        return {_RECORDED_AS.get(name, name): value for name, value in values.items()}


class Setting(NamedTuple):
    """One field of `TrainConfig`, as a command line needs it."""

    name: str
    type: Any
    help: str
    default: Any  # dataclasses.MISSING where there is none


def settings() -> tuple[Setting, ...]:
    """All settings, in order.

    >>> settings()[4]
    Setting(name='num_hidden_layers', type=<class 'int'>, help='stacked recurrences', default=1)
    """
    hints = get_type_hints(TrainConfig, include_extras=True)
    return tuple(
        Setting(each.name, hints[each.name].__origin__, hints[each.name].__metadata__[0], _default(each))
        for each in fields(TrainConfig)
    )


def _default(setting: "Field[Any]") -> Any:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()
