"""Settings of one training run and their defaults."""

from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_type_hints

from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.tasks.ref import FILE, TaskField
from seqhub.training.launch import launcher_cpu, launcher_precision

if TYPE_CHECKING:
    from seqhub.tasks.schema import StoppingRule

Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["constant", "linear", "cosine", "one_cycle", "step", "plateau", "error"]
Precision = Literal["no", "bf16"]
Tracker = Literal["tensorboard", "trackio"]
Recorded = Literal["gradients", "activations"]

_RECORDED_AS = {"task": "address", "criterion_scale": "strictness"}  # names in records of format 1

_ADDED = (
    "patience",
    "class_weights",
    "accumulation_steps",
    "plateau_patience",
    "balanced_sampling",
    "base_model",
    "freeze",
)
"""Settings that earlier checkpoints do not have."""

STREAM, SPLITS = "stream", "splits"  # values of `data` that are not paths


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run; the command line has the same names, defaults and descriptions.

    Raises:
        UnknownNameError: Unknown task, config, model, criterion, optimizer, ...; the message lists the known names.
        InvalidConfigError: Number out of range, or combination of settings that is not allowed.
    """

    task: Annotated[TaskField, "Task id, as in qrsu/hard"] = TaskField()
    output_dir: Annotated[Path, "Folder of this run; must not have another run"]

    model: Annotated[
        str, "Model: a preset such as lstm, or an id such as transformers:mamba or file.py:Class; see seqhub models ls"
    ] = "lstm"
    hidden_size: Annotated[int | None, "Width of the hidden state; default: that of the model"] = None
    num_hidden_layers: Annotated[int | None, "Number of stacked layers; default: that of the model"] = None
    initialization: Annotated[str | None, "Initialisation: default, forget_bias, chrono, identity or hs97"] = None
    forget_bias: Annotated[float, "Bias of the forget gate, for --initialization forget_bias"] = 1.0
    chrono_max_steps: Annotated[int | None, "Longest lag for --initialization chrono, in steps"] = None
    model_options: Annotated[dict[str, Any], "Other fields of the model's config class"] = field(default_factory=dict)
    base_model: Annotated[
        str | None, "Saved model to start from: a folder or a repository; its outputs are new where the labels differ"
    ] = None
    freeze: Annotated[
        tuple[str, ...], "Parameters of the base model that are not trained, as in 'model.*'; may be repeated"
    ] = ()
    single_logit: Annotated[bool, "One logit with a logistic loss for two classes, instead of two logits"] = False

    data: Annotated[
        str, "Training data: stream (endless, newly generated), splits (the train split), a built folder or a file"
    ] = STREAM
    data_options: Annotated[dict[str, Any], "Options for reading a file"] = field(default_factory=dict)
    epochs: Annotated[int, "Number of passes over the data; not for a stream"] = 1
    max_sequences: Annotated[int, "Number of training sequences after which an unsolved run ends"] = 100_000
    batch_size: Annotated[int, "Number of sequences in a batch, over all processes"] = 16
    accumulation_steps: Annotated[
        int, "Gradient accumulation: batches for an optimizer step, like one larger batch in less memory"
    ] = 1
    seed: Annotated[int, "Seed of weights, data and order"] = 0
    weights_seed: Annotated[int | None, "Seed for torch.manual_seed, to initialise weights as torch's modules do"] = (
        None
    )
    order_seed: Annotated[int | None, "Seed for torch.manual_seed, to order rows as torch's DataLoader does"] = None

    chunk_steps: Annotated[int, "Steps of a truncated BPTT segment, with an optimizer step for each; 0 for none"] = 0
    carry_state: Annotated[bool, "Initial state of a segment taken from the previous one, without its gradient"] = True

    optimizer: Annotated[Optimizer, "Optimizer: adam, adamw, rmsprop or sgd"] = "adam"
    learning_rate: Annotated[float, "Learning rate at the start, or after warm-up"] = 1e-2
    schedule: Annotated[
        Schedule,
        "Learning-rate schedule: constant, linear, cosine (to zero at the end), one_cycle, step, plateau or error",
    ] = "constant"
    decay: Annotated[float, "Factor on the learning rate, for --schedule step and plateau; it rises if above 1"] = 0.1
    decay_every: Annotated[int, "Training sequences between two factors; 0 for a pass over the data"] = 0
    plateau_patience: Annotated[
        int, "Validations without a lower loss after which the rate falls, for --schedule plateau"
    ] = 3
    error_reference: Annotated[float, "Error below which the learning rate falls, for --schedule error"] = 0.1
    error_floor: Annotated[float, "Smallest factor on the learning rate, for --schedule error"] = 0.01
    warmup: Annotated[int, "Number of sequences over which the learning rate rises from zero"] = 0
    weight_decay: Annotated[float, "Weight decay: decoupled for adamw, L2 for the others"] = 0.0
    momentum: Annotated[float, "Momentum of sgd and rmsprop"] = 0.0
    beta1: Annotated[float, "Decay rate of the mean of gradients, for adam and adamw"] = 0.9
    beta2: Annotated[float, "Decay rate of the mean of squared gradients, for adam and adamw"] = 0.999
    max_grad_norm: Annotated[float | None, "Largest norm of all gradients, by clipping; 0 for no clipping"] = 1.0

    stop_at: Annotated[
        str, "Criterion that ends the run: accuracy, st3, paper (that of the task's source), both or none"
    ] = "accuracy"
    criterion_scale: Annotated[int, "Factor on the number of sequences that the source's criterion covers"] = 1
    allowed_wrong: Annotated[int | None, "Number of these that may be wrong, instead of the source's share"] = None
    accuracy: Annotated[float, "Accuracy on newly generated sequences at which a task counts as solved"] = 0.999
    evaluate_every: Annotated[int, "Number of training sequences between validations"] = 320
    evaluate_size: Annotated[int, "Newly generated sequences for a validation, which ends early if it must fail"] = (
        10_240
    )
    checkpoint_every: Annotated[int, "Number of training sequences between checkpoints"] = 3_200
    patience: Annotated[
        int, "Validations without a lower loss after which the run ends, with the best weights; 0 for neither"
    ] = 0
    class_weights: Annotated[bool, "Loss weighted by the inverse of the number of training rows of each class"] = False
    balanced_sampling: Annotated[bool, "Epochs with equally many rows of each class, rows of rare classes repeated"] = (
        False
    )

    # The defaults are the arguments of `accelerate launch`
    precision: Annotated[Precision, "Precision: no, or bf16 for mixed precision"] = field(
        default_factory=launcher_precision
    )
    cpu: Annotated[bool, "Training on the CPU even if there is a GPU"] = field(default_factory=launcher_cpu)
    threads: Annotated[int, "Number of CPU threads of torch; more than one is slower for small recurrences"] = 1
    trackers: Annotated[tuple[Tracker, ...], "Trackers besides history.jsonl: tensorboard and trackio"] = ()
    trust_remote_code: Annotated[bool, "Running the code of a repository, for --model hub:OWNER/NAME"] = False
    record: Annotated[tuple[Recorded, ...], "Norms to record in history.jsonl: gradients and activations"] = ()

    def __post_init__(self) -> None:
        from seqhub.training.check_config import check_config  # imported here because NumPy is slow for `--help`

        object.__setattr__(self, "output_dir", Path(self.output_dir))  # may be given as a string
        for name, value in self._settings_of_id().items():
            object.__setattr__(self, name, value)
        check_config(self)

    @property
    def stopping_rule(self) -> "StoppingRule | None":
        """Stopping rule of the source of the task; None if it has none."""
        from seqhub.tasks.stopping import stopping_rule_of

        return stopping_rule_of(self.task, self.criterion_scale, self.allowed_wrong)

    def _settings_of_id(self) -> dict[str, Any]:
        """Return the settings with the options of the model id, and the id without them."""
        model = ModelId.parse(self.model)
        changed: dict[str, Any] = {"model": model.name}
        own = ("hidden_size", "num_hidden_layers", "initialization", "forget_bias", "chrono_max_steps")
        others = dict(self.model_options)
        for name, value in model.options:
            given = getattr(self, name) if name in own and name != "forget_bias" else self.model_options.get(name)
            if given is not None and given != value:
                raise InvalidConfigError(f"{name}={given!r}: is {value!r} in the model id {self.model}")
            (changed if name in own else others)[name] = value
        return changed | {"model_options": others}

    @property
    def model_id(self) -> str:
        """Complete id of the model with all chosen settings."""
        return str(ModelId.of(self.model, self.model_settings()))

    def model_settings(self) -> dict[str, Any]:
        """Return the chosen settings of the model's config class, without those that the task determines."""
        names = ("hidden_size", "num_hidden_layers", "initialization")
        settings: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.initialization == "forget_bias":
            settings["forget_bias"] = self.forget_bias
        if self.initialization == "chrono":
            settings["chrono_max_steps"] = self.chrono_max_steps
        repeated = ", ".join(sorted(self.model_options.keys() & {*names, "forget_bias", "chrono_max_steps"}))
        if repeated:
            raise InvalidConfigError(f"{repeated} in model_options: is a separate setting ({self.task})")
        return settings | self.model_options

    @property
    def may_change(self) -> frozenset[str]:
        """Settings that may differ when a run is resumed, because they do not affect the steps before.

        `data` and `data_options` may name a moved file or folder, as its content is compared instead. The length of
        the run may not change if the learning rate depends on it.
        """
        length = set() if self.schedule in ("linear", "cosine", "one_cycle") else {"max_sequences", "epochs"}
        return frozenset(
            {"stop_at", "threads", "trackers", "trust_remote_code", "checkpoint_every", "data", "data_options", *length}
        )

    @property
    def step_size(self) -> int:
        """Number of sequences for each optimizer step, over all processes."""
        return self.batch_size * self.accumulation_steps

    @property
    def computes_validation_loss(self) -> bool:
        """True if validations compute the loss of all their rows; others may end early."""
        return self.patience > 0 or self.schedule == "plateau" or self.task.name == FILE

    @property
    def file(self) -> Path | None:
        """File that has the rows, if the user supplies them."""
        return Path(self.data) if self.task.is_custom else None

    def as_json(self) -> dict[str, Any]:
        """Return all settings except folders and consent of this machine as JSON values, by their names in records."""
        from seqhub.models.plain_config import plain_config
        from seqhub.models.registry import build_config

        names = [each.name for each in fields(self) if each.name not in ("output_dir", "trust_remote_code")]
        values = {name: getattr(self, name) for name in names}
        values |= {"task": str(self.task), "trackers": list(self.trackers), "record": list(self.record)}
        values |= {name: dict(getattr(self, name)) for name in ("model_options", "data_options")}
        defaults: Any = plain_config(self.model, {})
        if defaults is None:
            defaults = build_config(self.model, trust_remote_code=self.trust_remote_code)  # imports transformers
        for name in ("hidden_size", "num_hidden_layers", "initialization"):  # None means the default of the model
            if values[name] is None:
                values[name] = getattr(defaults, name, None)
        values["freeze"] = list(self.freeze)
        if self.base_model is not None and Path(self.base_model).is_dir():
            values["base_model"] = Path(self.base_model).resolve().name
        if self.data not in (STREAM, SPLITS):
            values["data"] = Path(self.data).name
        tokens = values["data_options"].get("tokens")
        if tokens is not None and Path(tokens).is_dir():  # a tokenizer, which is saved with the model
            values["data_options"]["tokens"] = Path(tokens).name
        added = {each.name: each.default for each in fields(self) if each.name in _ADDED}
        for name, default in added.items():  # omitted when default, so that earlier checkpoints can be resumed
            if values[name] == ([] if name == "freeze" else default):
                del values[name]
        return {_RECORDED_AS.get(name, name): value for name, value in values.items()}


class Setting(NamedTuple):
    """Field of `TrainConfig`, for a command line."""

    name: str
    type: Any
    help: str
    default: Any  # dataclasses.MISSING for a required field


def settings() -> tuple[Setting, ...]:
    """Return all settings, in the order of the fields.

    >>> next(each for each in settings() if each.name == "seed")
    Setting(name='seed', type=<class 'int'>, help='Seed of weights, data and order', default=0)
    """
    hints = get_type_hints(TrainConfig, include_extras=True)
    return tuple(
        Setting(each.name, hints[each.name].__origin__, hints[each.name].__metadata__[0], _default(each))
        for each in fields(TrainConfig)
    )


def _default(setting: "Field[Any]") -> Any:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()
