"""A whole run on the CPU in native calls: all steps between two checks are one call (see `seqhub.native.trainer`).

It is the run that `train` makes of the same settings: the same first weights, batches, checks, criteria and record, and
losses that differ by rounding. Nothing is written, nothing of the process is changed and no lock of Python's is held
while it computes, so many of them, each in a thread of its own, keep all cores busy.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqhub.data.collate import Columns, drawn_columns
from seqhub.data.source import DataSource
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.classification import reaches
from seqhub.native.trainer import ErrorRate, NativeTrainer, Objective, OptimizerSettings, unsupported_reason
from seqhub.records import RunRecord
from seqhub.tasks.schema import Batch, TaskSchema
from seqhub.training.artifacts import build_record
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import ValidationRows, data_source, length_of, training_rows
from seqhub.training.model_setup import create_model
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.stopping import Criteria

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_AT_ONCE = 4096  # sequences of one call, so that a run stops soon when it is told to, and its rows stay few
_DRAWING = threading.Lock()  # first weights come from torch's global generator


class AbandonedError(Exception):
    """The run was told to stop before its end; nothing is left of it."""


@dataclass(frozen=True)
class NativeRun:
    """A finished run, of which nothing is saved yet."""

    model: "PreTrainedModel"
    record: RunRecord
    history: list[dict[str, Any]]  # a row per check


def first_model(config: TrainConfig, schema: TaskSchema) -> "PreTrainedModel":
    """The model of `create_model`, from any thread; torch's global generator is left as it was."""
    with _DRAWING, torch.random.fork_rng(devices=[]):
        return create_model(config, schema)


def reason_not_native(config: TrainConfig, source: DataSource | None = None) -> str | None:
    """Why runs of these settings are not made natively; None where they are.

    Args:
        config: All settings.
        source: Of the rows, where the caller has it already.

    Raises:
        UnknownNameError: A setting that the model does not have.
        InvalidConfigError: The model does not take what the task has, or a value is not allowed.
    """
    for name, plain in (("precision", "no"), ("trackers", ()), ("record", ()), ("chunk_steps", 0)):
        if getattr(config, name) != plain:
            return f"{name} {getattr(config, name)}"
    schema = (source or data_source(config)).schema
    if schema.target == "inputs":
        return f"{config.task} is to be reconstructed"
    model = first_model(config, schema)
    return unsupported_reason(model, _objective(model, schema))


def train_native(
    config: TrainConfig, source: DataSource | None = None, stopped: Callable[[], bool] = lambda: False
) -> NativeRun:
    """Train to the end.

    Args:
        config: All settings; the folder is not looked at.
        source: Of the rows, where the caller has it already.
        stopped: Asked before every call; when it says so, the run is given up.

    Raises:
        InvalidConfigError: What `reason_not_native` says, or training diverged.
        AbandonedError: `stopped` said so.
    """
    source = source or data_source(config)
    schema = source.schema
    loader, validation = training_rows(config, source), ValidationRows(config, source)
    total, epoch = length_of(config, loader)
    model = first_model(config, schema)
    fit = _fit(config, model, schema)
    asked = _AskedFit(fit, model, schema)
    criteria = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule)
    now, history = TrainerState(), []

    started = time.perf_counter()
    solved = False
    while now.sequences < total and not solved:
        until = min(total, (now.sequences // config.evaluate_every + 1) * config.evaluate_every)
        rate = config.learning_rate
        while now.sequences < until:
            if stopped():
                raise AbandonedError
            at_once = max(1, min(until - now.sequences, _AT_ONCE) // config.batch_size)
            rows = loader.columns(at_once)
            first, size = now.sequences, config.batch_size
            rates = np.array([learning_rate(config, first + n, total, epoch) for n in range(0, len(rows), size)])
            errors = fit.train(rows.inputs, rows.lengths, rows.labels, size, rates)
            rate = float(rates[-1])
            if config.schedule == "error":
                for worst in np.maximum.reduceat(errors[:, 0], np.arange(0, len(rows), size)).tolist():
                    factor = now.error_factor(worst, config)
                rate *= factor
            now.sequences += len(rows)
            now.steps += len(rates)
            criteria.update(errors[:, 0], errors[:, 1])
            now.add(errors)

        began = time.perf_counter()
        correct, seen = _validate(fit, validation, config)
        criteria.check(now.sequences, correct, seen, asked)
        now.check_seconds += time.perf_counter() - began
        now.seconds = time.perf_counter() - started
        history.append(now.row(config, correct, seen, rate))
        solved = criteria.met(config.stop_at)

    now.seconds = time.perf_counter() - started
    fit.write_to(model)
    return NativeRun(model, build_record(config, source, model, now, criteria.met_at(), native=True), history)


def _objective(model: Any, schema: TaskSchema) -> Objective:
    head = model.lm_head if schema.target == "next_symbol" else model.classifier
    return Objective(
        target=schema.target,  # type: ignore[arg-type]  # `inputs` has no head
        outputs=head.out_features,
        logistic=bool(getattr(model.config, "logistic_outputs", False)),
        tolerance=schema.tolerance,
    )


def _fit(config: TrainConfig, model: "PreTrainedModel", schema: TaskSchema) -> NativeTrainer:
    method = OptimizerSettings(
        name=config.optimizer,
        betas=(config.beta1, config.beta2),
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm or 0.0,
    )
    error_rate = ErrorRate(config.error_reference, config.error_floor) if config.schedule == "error" else None
    return NativeTrainer(model, _objective(model, schema), method, error_rate)


def _validate(fit: NativeTrainer, validation: ValidationRows, config: TrainConfig) -> tuple[float, int]:
    """Return the right answers of one validation and the rows it looked at, as `train.validate` does."""
    correct, seen = 0.0, 0
    for rows in validation.columns():
        correct += float(_judged(fit, rows)[:, 3].sum())
        seen += len(rows)
        if not reaches(config.accuracy, validation.rows - (seen - correct), validation.rows):
            break
    return correct, seen


def _judged(fit: NativeTrainer, rows: Columns) -> NDArray[np.float64]:
    return fit.evaluate(rows.inputs, rows.lengths, rows.labels)


class _AskedFit:
    """What criteria want to know of a model in training, see `criteria.Asked`."""

    def __init__(self, fit: NativeTrainer, model: "PreTrainedModel", schema: TaskSchema) -> None:
        self._fit = fit
        self._model = model
        self._layout = schema

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        return _judged(self._fit, drawn_columns(rows, self._layout))

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        self._fit.write_to(self._model)
        return ModelScorer(self._model, self._layout).scores(rows)
