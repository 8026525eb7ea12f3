"""Settings of one training run and their defaults."""

from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_type_hints

from seqhub.errors import InvalidConfigError
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
    hidden_size: Annotated[int | None, "width of the hidden state; default: that of the model"] = None
    num_hidden_layers: Annotated[int | None, "stacked layers; default: that of the model"] = None
    initialization: Annotated[str | None, "default, forget_bias, chrono, identity or hs97"] = None
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
        from seqhub.training.check_config import check_config  # not above: NumPy, which `--help` does without

        object.__setattr__(self, "output_dir", Path(self.output_dir))  # a string will do
        check_config(self)

    @property
    def stopping_rule(self) -> "StoppingRule | None":
        """Stopping rule of the source of the task; None if it has none."""
        from seqhub.tasks.stopping import stopping_rule_of

        return stopping_rule_of(self.task, self.criterion_scale, self.allowed_wrong)

    def model_settings(self) -> dict[str, Any]:
        """Return the settings of the model's config class that were chosen, beyond those that the task decides."""
        usual = ("hidden_size", "num_hidden_layers", "initialization")
        settings: dict[str, Any] = {name: value for name in usual if (value := getattr(self, name)) is not None}
        if self.initialization == "forget_bias":
            settings["forget_bias"] = self.forget_bias
        if self.initialization == "chrono":
            settings["chrono_max_steps"] = self.chrono_max_steps
        twice = ", ".join(sorted(self.model_options.keys() & {*usual, "forget_bias", "chrono_max_steps"}))
        if twice:
            raise InvalidConfigError(f"{twice} in model_options: it is a setting of its own ({self.task})")
        return settings | self.model_options

    @property
    def may_change(self) -> frozenset[str]:
        """Settings that may differ when a run is resumed, since none changes what happened before.

        `data` and `data_options` may name a moved file or folder: its content is compared instead. Where the learning
        rate is decided by the length of the whole run, that may not change.
        """
        length = set() if self.schedule in ("linear", "cosine") else {"max_sequences", "epochs"}
        return frozenset({"stop_at", "threads", "trackers", "checkpoint_every", "data", "data_options", *length})

    @property
    def file(self) -> Path | None:
        """File that has the rows, if the user supplies them."""
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
    """One field of `TrainConfig` for a command line."""

    name: str
    type: Any
    help: str
    default: Any  # dataclasses.MISSING where there is none


def settings() -> tuple[Setting, ...]:
    """Return all settings, in order.

    >>> settings()[4]
    Setting(name='num_hidden_layers', type=int | None, help='stacked layers; default: that of the model', default=None)
    """
    hints = get_type_hints(TrainConfig, include_extras=True)
    return tuple(
        Setting(each.name, hints[each.name].__origin__, hints[each.name].__metadata__[0], _default(each))
        for each in fields(TrainConfig)
    )


def _default(setting: "Field[Any]") -> Any:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()
