"""Native training loop on the CPU, with many optimizer steps in one native call (see `seqhub.native.trainer`).

A run is equivalent to a run by `train` with the same settings: the same initial weights, batches, validations, criteria
and record, with losses that differ by rounding. It does not write files or change the state of the process, and native
calls release the global interpreter lock, so that threads with one run each use all cores.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqhub.data.collate import CollatedArrays, collate_batch
from seqhub.data.source import DataSource
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.classification import reaches
from seqhub.native.trainer import ErrorRate, NativeTrainer, Objective, OptimizerSettings, unsupported_reason
from seqhub.records import RunRecord
from seqhub.tasks.schema import Batch, TaskSchema
from seqhub.training.artifacts import build_record
from seqhub.training.base_model import base_model
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import ValidationRows, data_source, length_of, training_loader
from seqhub.training.model_setup import create_model
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.stopping import Criteria

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_CALL_SIZE = 4096  # sequences of a native call at most, for little memory and a short delay before a stop
_GENERATOR_LOCK = threading.Lock()  # initial weights use the global generator of torch


class AbandonedError(Exception):
    """Run that was stopped before its end; it leaves no files."""


@dataclass(frozen=True)
class NativeRun:
    """Finished run, not yet saved."""

    model: "PreTrainedModel"
    record: RunRecord
    history: list[dict[str, Any]]  # one row for each validation


def initial_model(config: TrainConfig, schema: TaskSchema) -> "PreTrainedModel":
    """Return the model of `create_model`. Thread-safe; the state of torch's global generator is restored."""
    with _GENERATOR_LOCK, torch.random.fork_rng(devices=[]):
        return create_model(config, schema)


def reason_not_native(config: TrainConfig, source: DataSource | None = None) -> str | None:
    """Return the reason why runs with these settings cannot use the native loop; None if they can.

    Args:
        config: Settings of the run.
        source: Source of the rows, if already created.

    Raises:
        UnknownNameError: Unknown setting of the model.
        InvalidConfigError: The model does not fit the task, or a value is not allowed.
    """
    supports = {
        "precision": "no",
        "trackers": (),
        "record": (),
        "chunk_steps": 0,
        "class_weights": False,
        "freeze": (),
    }
    for name, supported in supports.items():
        if getattr(config, name) != supported:
            return f"{name} {getattr(config, name)}"
    schema = (source or data_source(config)).schema
    if schema.target == "inputs":
        return f"reconstruction of the inputs of {config.task}"
    if schema.target == "sequence":
        return f"targets of {config.task}, which are sequences"
    if schema.target in ("multi_label", "numbers"):
        return f"targets of {config.task}, which are {'labels' if schema.labels else 'numbers'} of any number"
    model = initial_model(config, schema)
    return unsupported_reason(model, _objective(model, schema))


def train_native(
    config: TrainConfig, source: DataSource | None = None, stopped: Callable[[], bool] = lambda: False
) -> NativeRun:
    """Train a model by the native loop.

    Args:
        config: Settings of the run; the folder is ignored.
        source: Source of the rows, if already created.
        stopped: Called before every native call; True stops the run.

    Raises:
        InvalidConfigError: The native loop does not support the settings, see `reason_not_native`; or training
            diverged.
        AbandonedError: `stopped` returned True.
    """
    source = source or data_source(config)
    schema = source.schema
    loader, validation = training_loader(config, source), ValidationRows(config, source)
    total, epoch = length_of(config, loader)
    model = initial_model(config, schema)
    base = base_model(config)
    base_record = None if base is None else base.start(model, config, schema)
    trainer = _native_trainer(config, model, schema)
    scorer = _NativeScorer(trainer, model, schema)
    criteria = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule)
    state, history = TrainerState(), []
    best: dict[str, Tensor] = {}  # weights with the lowest validation loss, for patience

    started = time.perf_counter()
    solved = False
    while state.sequences < total and not solved:
        until = min(total, (state.sequences // config.evaluate_every + 1) * config.evaluate_every)
        rate = config.learning_rate
        while state.sequences < until:
            if stopped():
                raise AbandonedError
            batches = max(1, min(until - state.sequences, _CALL_SIZE) // config.step_size)
            rows = loader.next_arrays(batches)
            first, size = state.sequences, config.step_size
            rates = np.array([learning_rate(config, first + n, total, epoch) for n in range(0, len(rows), size)])
            rates *= state.plateau
            errors = trainer.train(rows.inputs, rows.lengths, rows.labels, size, rates)
            rate = float(rates[-1])
            if config.schedule == "error":
                for largest in np.maximum.reduceat(errors[:, 0], np.arange(0, len(rows), size)).tolist():
                    factor = state.error_factor(largest, config)
                rate *= factor
            state.sequences += len(rows)
            state.steps += len(rates)
            criteria.update(errors[:, 0], errors[:, 1])
            state.add(errors)

        began = time.perf_counter()
        correct, seen, validation_loss = _validate(trainer, validation, config)
        criteria.check(state.sequences, correct, seen, scorer)
        if validation_loss is not None and state.is_best(validation_loss, config) and config.patience:
            trainer.write_to(model)
            best = {name: each.detach().clone() for name, each in model.state_dict().items()}
        state.check_seconds += time.perf_counter() - began
        state.seconds = time.perf_counter() - started
        history.append(state.history_row(config, correct, seen, rate, validation_loss))
        solved = criteria.met(config.stop_at) or 0 < config.patience <= state.waited

    state.seconds = time.perf_counter() - started
    trainer.write_to(model)
    if best:
        model.load_state_dict(best)
    tokens = loader.count_tokens(state.sequences)
    record = build_record(config, source, model, state, criteria.met_at(), tokens, native=True, base_model=base_record)
    return NativeRun(model, record, history)


def _objective(model: Any, schema: TaskSchema) -> Objective:
    head = model.lm_head if schema.target == "next_symbol" else model.classifier
    return Objective(
        target=schema.target,  # type: ignore[arg-type]  # never `inputs`, see `reason_not_native`
        outputs=head.out_features,
        logistic=bool(getattr(model.config, "logistic_outputs", False)),
        tolerance=schema.tolerance,
    )


def _native_trainer(config: TrainConfig, model: "PreTrainedModel", schema: TaskSchema) -> NativeTrainer:
    optimizer = OptimizerSettings(
        name=config.optimizer,
        betas=(config.beta1, config.beta2),
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm or 0.0,
    )
    error_rate = ErrorRate(config.error_reference, config.error_floor) if config.schedule == "error" else None
    return NativeTrainer(model, _objective(model, schema), optimizer, error_rate)


def _validate(
    trainer: NativeTrainer, validation: ValidationRows, config: TrainConfig
) -> tuple[float, int, float | None]:
    """Return the numbers of correct and of evaluated rows of one validation, and the loss, like `train.validate`."""
    correct, loss, seen = 0.0, 0.0, 0
    with_loss = config.computes_validation_loss
    for rows in validation.arrays():
        metrics = _metrics(trainer, rows)
        correct, loss = correct + float(metrics[:, 3].sum()), loss + float(metrics[:, 2].sum(dtype=np.float64))
        seen += len(rows)
        if not with_loss and not reaches(config.accuracy, validation.rows - (seen - correct), validation.rows):
            break
    return correct, seen, loss / seen if with_loss else None


def _metrics(trainer: NativeTrainer, rows: CollatedArrays) -> NDArray[np.float64]:
    return trainer.evaluate(rows.inputs, rows.lengths, rows.labels)


class _NativeScorer:
    """Errors and scores of the model in training, for stopping criteria; see `metrics.grammar.Scorer`."""

    def __init__(self, trainer: NativeTrainer, model: "PreTrainedModel", schema: TaskSchema) -> None:
        self._trainer = trainer
        self._model = model
        self._schema = schema

    def errors(self, rows: Batch) -> NDArray[np.floating]:
        return _metrics(self._trainer, collate_batch(rows, self._schema))

    def scores(self, rows: Batch) -> NDArray[np.floating]:
        self._trainer.write_to(self._model)
        return ModelScorer(self._model, self._schema).scores(rows)
