"""Native training loop on the CPU, with many optimizer steps in one native call (see `seqhub.native.trainer`).

A run is equivalent to a run in torch with the same settings: the same initial weights, batches, validations, criteria
and record, with losses that differ by rounding. It does not write files or change the state of the process, and native
calls release the global interpreter lock, so that threads with one run each use all cores. Most runs need neither torch
nor transformers, whose imports would take much longer than a short run.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.native_inference import NativeScorer
from seqhub.metrics.classification import reaches
from seqhub.models.plain_config import PlainConfig
from seqhub.native.loader import reason
from seqhub.native.model import HEADS, NativeModel
from seqhub.native.trainer import (
    ErrorRate,
    NativeTrainer,
    Objective,
    OptimizerSettings,
    unsupported_reason,
    unsupported_settings,
)
from seqhub.records import RunRecord
from seqhub.tasks.schema import TaskSchema
from seqhub.training.artifacts import build_record
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import ValidationRows, data_source, length_of, training_loader
from seqhub.training.model_setup import create_model, plain_model, plain_model_config, require_conformance
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.stopping import Criteria

if TYPE_CHECKING:
    from seqhub.records.run import BaseModelRecord

_CALL_SIZE = 4096  # sequences of a native call at most, for little memory and a short delay before a stop
_GENERATOR_LOCK = threading.Lock()  # torch draws initial weights from its global generator


class AbandonedError(Exception):
    """Run that was stopped before its end; it leaves no files."""


@dataclass(frozen=True)
class NativeRun:
    """Finished run, not yet saved."""

    model: NativeModel
    scorer: NativeScorer
    record: RunRecord
    loop: "LoopState"

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of the history, one for each validation."""
        return self.loop.history


@dataclass
class LoopState:
    """State of a run between two native calls, for checkpoints.

    Args:
        trainer: Weights and optimizer.
        state: Counters.
        positions: Objects with `state_dict` and `load_state_dict`, by name: data loaders and criteria.
        criteria: The stopping criteria, also among the positions.
        history: Rows of the validations so far; of a resumed run, since then.
        ended: Whether the run has ended, and is only to be saved.
        best: State of the trainer at the lowest validation loss, for patience; empty for none.
        last: State of the trainer after the last step, if `best` replaced it in the trainer at the end.
    """

    trainer: NativeTrainer
    state: TrainerState
    positions: dict[str, Any]
    criteria: Criteria
    history: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    best: bytes = b""
    last: bytes = b""


def _ignore(*_: Any) -> None:
    pass


def torch_model(config: TrainConfig, schema: TaskSchema) -> Any:
    """Return the model of `create_model`. Thread-safe; the state of torch's global generator is restored."""
    import torch

    with _GENERATOR_LOCK, torch.random.fork_rng(devices=[]):
        return create_model(config, schema)


def initial_model(config: TrainConfig, schema: TaskSchema, *, with_torch: bool = False) -> NativeModel:
    """Return the newly initialised model of a run, with the same weights with and without torch.

    Args:
        config: Settings of the run.
        schema: Schema of the rows.
        with_torch: Create the model by torch and transformers in any case.

    Raises:
        UnknownNameError: Unknown setting of the model.
        InvalidConfigError: The model does not fit the task, or cannot be trained natively.
    """
    plain = None if with_torch else plain_model(config, schema)
    return plain or _native_model(torch_model(config, schema), schema)


def _fine_tuned_model(config: TrainConfig, schema: TaskSchema) -> "tuple[NativeModel, BaseModelRecord]":
    """Return the model of a run with the weights of its base model, and the record of the base model."""
    from seqhub.training.base_model import base_model  # needs torch

    base = base_model(config)
    assert base is not None, "only for runs with a base model"
    model = torch_model(config, schema)
    record = base.start(model, config, schema)
    return _native_model(model, schema), record


def _native_model(model: Any, schema: TaskSchema) -> NativeModel:
    found = _native_form(model, schema)
    if isinstance(found, str):
        raise InvalidConfigError(f"{type(model).__name__} cannot be trained natively: {found}")
    return found


def _native_form(model: Any, schema: TaskSchema) -> NativeModel | str:
    """Return the native form of a model of torch, or the reason why it cannot be trained natively."""
    if model.config.model_type == "seqhub_wrapped":
        from seqhub.cells.native_model import native_model as compiled_model

        with _GENERATOR_LOCK:
            found = compiled_model(model, schema.head)
        if isinstance(found, str):
            return found
        return unsupported_reason(found, _objective(model.config, found.num_outputs, schema)) or found
    head: Any = getattr(model, HEADS.get(schema.head, ""), None)
    outputs = getattr(head, "out_features", 1)  # 1 for a model without a head, which is unsupported
    unsupported = unsupported_reason(model, _objective(model.config, outputs, schema))
    if unsupported is not None:
        return unsupported
    from seqhub.native.torch_model import native_model

    return native_model(model, schema.head)


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
    if schema.has_tokenizer:
        return f"texts of {config.task}, which are divided by a tokenizer of transformers"
    if (missing := reason()) is not None:
        return missing
    plain = plain_model_config(config, schema)
    if plain is not None:
        return unsupported_settings(plain, _objective(plain, _num_outputs(plain, schema), schema))
    found = _native_form(torch_model(config, schema), schema)
    return found if isinstance(found, str) else None


def train_native(
    config: TrainConfig,
    source: DataSource | None = None,
    stopped: Callable[[], bool] = lambda: False,
    *,
    with_torch: bool = False,
    restore: Callable[[LoopState], None] = _ignore,
    on_validation: Callable[[LoopState, bool], None] = _ignore,
    on_stop: Callable[[LoopState], None] = _ignore,
) -> NativeRun:
    """Train a model by the native loop.

    Args:
        config: Settings of the run; the folder is ignored.
        source: Source of the rows, if already created.
        stopped: Called before every native call; True stops the run.
        with_torch: Create the model by torch and transformers in any case.
        restore: Called before the first step, to continue from a checkpoint.
        on_validation: Called after each validation, and with True if a checkpoint is due.
        on_stop: Called before a stop.

    Raises:
        InvalidConfigError: The native loop does not support the settings, see `reason_not_native`; or training
            diverged.
        AbandonedError: `stopped` returned True.
    """
    source = source or data_source(config)
    schema = source.schema
    loader, validation = training_loader(config, source), ValidationRows(config, source)
    total, epoch = length_of(config, loader)
    base: BaseModelRecord | None = None
    if config.base_model is None:
        model = initial_model(config, schema, with_torch=with_torch)
    else:
        model, base = _fine_tuned_model(config, schema)
    conformance = None
    if model.cells is not None:
        with _GENERATOR_LOCK:
            conformance = require_conformance(config, model.module, schema)
    trainer = _native_trainer(config, model, schema)
    scorer = NativeScorer(trainer, model.config.pad_token_id, schema)
    criteria = Criteria(config.task, config.accuracy, config.seed, config.stopping_rule)
    state = TrainerState()
    loop = LoopState(trainer, state, {"loader": loader, "validation": validation, "criteria": criteria}, criteria)
    restore(loop)

    started = time.perf_counter() - state.seconds
    solved = loop.ended and (criteria.met(config.stop_at) or _is_out_of_patience(config, state))
    while state.sequences < total and not solved:
        until = min(total, (state.sequences // config.evaluate_every + 1) * config.evaluate_every)
        rate = config.learning_rate
        before = state.sequences
        while state.sequences < until:
            if stopped():
                state.seconds = time.perf_counter() - started
                on_stop(loop)
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
            before = state.sequences - ((len(rows) - 1) % size + 1)  # before the last batch
            state.steps += len(rates)
            criteria.update(errors[:, 0], errors[:, 1])
            state.add(errors)

        began = time.perf_counter()
        correct, seen, loss = _validate(scorer, validation, config)
        criteria.check(state.sequences, correct, seen, scorer)
        if loss is not None and state.is_best(loss, config) and config.patience:
            loop.best = trainer.state()
        state.check_seconds += time.perf_counter() - began
        state.seconds = time.perf_counter() - started
        loop.history.append(state.history_row(config, correct, seen, rate, loss))
        solved = criteria.met(config.stop_at) or _is_out_of_patience(config, state)
        is_due = before // config.checkpoint_every != state.sequences // config.checkpoint_every and not solved
        on_validation(loop, is_due)

    state.seconds = time.perf_counter() - started
    if loop.best:
        loop.last = trainer.state()
        trainer.restore(loop.best)
    trainer.write_to(model)
    tokens = loader.count_tokens(state.sequences)
    record = build_record(
        config, source, model, state, criteria.met_at(), tokens, conformance=conformance, base_model=base
    )
    loop.ended = True
    return NativeRun(model, scorer, record, loop)


def _is_out_of_patience(config: TrainConfig, state: TrainerState) -> bool:
    return 0 < config.patience <= state.waited


def _num_outputs(config: PlainConfig, schema: TaskSchema) -> int:
    settings: Any = config
    outputs: int = settings.num_symbols if schema.head == "causal" else settings.num_labels
    return outputs


def _objective(config: Any, outputs: int, schema: TaskSchema) -> Objective:
    return Objective(
        target=schema.target,  # type: ignore[arg-type]  # never `inputs`, see `reason_not_native`
        outputs=outputs,
        logistic=bool(getattr(config, "logistic_outputs", False)),
        tolerance=schema.tolerance,
    )


def _native_trainer(config: TrainConfig, model: NativeModel, schema: TaskSchema) -> NativeTrainer:
    optimizer = OptimizerSettings(
        name=config.optimizer,
        betas=(config.beta1, config.beta2),
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm or 0.0,
    )
    error_rate = ErrorRate(config.error_reference, config.error_floor) if config.schedule == "error" else None
    return NativeTrainer(model, _objective(model.config, model.num_outputs, schema), optimizer, error_rate)


def _validate(scorer: NativeScorer, validation: ValidationRows, config: TrainConfig) -> tuple[float, int, float | None]:
    """Return the result of `torch_loop.validate`: numbers of correct and of evaluated rows, and the loss."""
    correct, loss, seen = 0.0, 0.0, 0
    with_loss = config.computes_validation_loss
    for rows in validation.arrays():
        metrics = scorer.metrics(rows)
        correct, loss = correct + float(metrics[:, 3].sum()), loss + float(metrics[:, 2].sum(dtype=np.float64))
        seen += len(rows)
        if not with_loss and not reaches(config.accuracy, validation.rows - (seen - correct), validation.rows):
            break
    return correct, seen, loss / seen if with_loss else None
