"""Checks of the settings of a training run."""

from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Literal, get_args, get_type_hints

from seqhub.data.file_names import is_image_folder
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.registry import family_of, list_heads, list_inputs, list_presets
from seqhub.tasks.ref import FILE
from seqhub.training.config import SPLITS, STREAM, Recorded, Tracker, TrainConfig
from seqhub.training.stopping import check_stop

_LARGEST = {  # upper bounds that catch typing errors
    "hidden_size": 65_536,
    "num_hidden_layers": 1_000,
    "batch_size": 1_000_000,
    "accumulation_steps": 100_000,
    "evaluate_size": 10_000_000,
    "threads": 1_024,
}


_FILES = {
    "lines": "a text file",
    "csv": "a table of texts and labels",
    "vectors": "a Parquet file of vectors",
    "table": "a table of texts, series or images",
}  # by format


def check_config(config: TrainConfig) -> None:
    """Check every setting and combination of settings.

    Raises:
        UnknownNameError: Unknown name.
        InvalidConfigError: Value or combination of values that is not allowed.
    """
    _check_names(config)
    _check_ranges(config)
    _check_data(config)
    _check_combinations(config)


def _require(config: TrainConfig, name: str, holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidConfigError.of(name, getattr(config, name), rule, config.task)


def _check_names(config: TrainConfig) -> None:
    family, head = family_of(config.model), config.task.schema.head
    inputs = list_inputs(family)
    takes: Literal["input_ids", "input_values"] = (
        "input_values" if config.task.schema.vocabulary is None else "input_ids"
    )
    kind = "symbols" if takes == "input_ids" else "real values"
    writes = "seq2seq" in list_heads(family)
    others = () if head == "seq2seq" else list_presets(head="seq2seq")
    fitting = ", ".join(preset for preset in list_presets(takes, head=head) if preset not in others)
    _require(config, "model", takes in inputs, f"one of {fitting}, as the task has {kind}")
    what = "targets that are sequences" if head == "seq2seq" else "no targets that are sequences"
    _require(config, "model", writes == (head == "seq2seq"), f"one of {fitting}, as the task has {what}")
    check_stop(config.stop_at)
    for name in ("optimizer", "schedule", "precision"):
        allowed = get_args(get_type_hints(TrainConfig)[name])
        if getattr(config, name) not in allowed:
            raise UnknownNameError.of(name, getattr(config, name), allowed)
    for tracker in config.trackers:
        if tracker not in get_args(Tracker):
            raise UnknownNameError.of("tracker", tracker, get_args(Tracker))
    for recorded in config.record:
        if recorded not in get_args(Recorded):
            raise UnknownNameError.of("record", recorded, get_args(Recorded))


def _check_ranges(config: TrainConfig) -> None:
    for each in fields(config):  # also unused settings, because the record, as JSON, has all of them
        value = getattr(config, each.name)
        _require(config, each.name, not isinstance(value, float) or isfinite(value), "a finite number")
    sizes = ("hidden_size", "num_hidden_layers", "epochs", "max_sequences", "batch_size", "threads")
    for name in (*sizes, "evaluate_every", "evaluate_size", "checkpoint_every", "criterion_scale",
                 "accumulation_steps", "plateau_patience"):  # fmt: skip
        value = getattr(config, name)
        _require(config, name, value is None or value >= 1, "at least 1")
    for name, largest in _LARGEST.items():
        value = getattr(config, name)
        _require(config, name, value is None or value <= largest, f"at most {largest:,}")
    for name in ("warmup", "weight_decay", "momentum", "chunk_steps", "decay_every", "patience"):
        _require(config, name, getattr(config, name) >= 0, "at least 0")
    for name in ("beta1", "beta2"):
        _require(config, name, 0 <= getattr(config, name) < 1, "at least 0 and below 1")
    for name in ("seed", "weights_seed", "order_seed"):
        _require(config, name, -(2**63) <= (getattr(config, name) or 0) < 2**63, "a number of 64 bits")
    for name in ("learning_rate", "decay", "error_reference"):
        _require(config, name, getattr(config, name) > 0, "above 0")
    _require(config, "error_floor", 0 <= config.error_floor <= 1, "at least 0 and at most 1")
    _require(config, "momentum", config.momentum < 1, "below 1")
    _require(config, "accuracy", 0 < config.accuracy <= 1, "above 0 and at most 1")
    _require(config, "max_grad_norm", config.max_grad_norm is None or config.max_grad_norm >= 0, "at least 0")


def _check_data(config: TrainConfig) -> None:
    if config.task.is_custom:
        kind = _FILES[config.task.definition.custom_format]
        readable = Path(config.data).is_file() or (config.task.name == FILE and is_image_folder(Path(config.data)))
        _require(config, "data", readable, f"the file with the rows, {kind}")
    else:
        known = config.data in (STREAM, SPLITS) or Path(config.data).is_dir()
        _require(config, "data", known, f"{STREAM}, {SPLITS} or a folder that `seqhub data build` made")
        _require(config, "data_options", not config.data_options, "empty without a file")


def _check_combinations(config: TrainConfig) -> None:
    valid_stop = config.stop_at != "paper" or config.stopping_rule is not None
    _require(config, "stop_at", valid_stop, "accuracy, st3, both or none for a task whose source has no stopping rule")
    default = config.weights_seed is None or config.initialization in (None, "default")
    _require(config, "weights_seed", default, f"used with initialization=default, not {config.initialization}")
    finite = config.order_seed is None or config.data != STREAM
    _require(config, "order_seed", finite, f"used with data={SPLITS} or a folder")
    per_step = not config.chunk_steps or config.task.schema.target == "step_class"
    _require(config, "chunk_steps", per_step, "0 for a task without a class per step")
    weighted = not config.class_weights or (
        config.task.schema.target in ("class", "step_class") and config.data != STREAM and not config.single_logit
    )
    _require(config, "class_weights", weighted, "False without classes, with single_logit, or with data=stream")
    balanced = not config.balanced_sampling or (config.task.schema.target == "class" and config.data != STREAM)
    _require(config, "balanced_sampling", balanced, "False without a class for each row, or with data=stream")
    once = not (config.balanced_sampling and config.class_weights)
    _require(config, "balanced_sampling", once, "False with class_weights, which has the same purpose")
    ordered = not config.balanced_sampling or config.order_seed is None
    _require(config, "balanced_sampling", ordered, "False with order_seed, which determines the order of all rows")
    whole = config.accumulation_steps == 1 or not config.chunk_steps
    _require(config, "accumulation_steps", whole, "1 with chunk_steps, which has a step for each segment")
    _require(config, "freeze", not config.freeze or config.base_model is not None, "omitted without a base model")
    own = config.base_model is None or config.weights_seed is None
    _require(config, "weights_seed", own, "omitted with a base model, which has the initial weights")
    rises = config.warmup == 0 or config.schedule != "one_cycle"
    _require(config, "warmup", rises, "0 with schedule=one_cycle, which begins with a rise of its own")
    passes = config.schedule != "step" or config.data != STREAM or config.decay_every > 0
    _require(config, "decay_every", passes, f"at least 1 with data={STREAM}, which has no end")
