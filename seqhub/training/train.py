"""Training of one model on one task, natively or in torch."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from seqhub.data.describe import warn
from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError, SaveError
from seqhub.records import RunRecord
from seqhub.tasks.ref import FILE
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.configure import configure
from seqhub.training.dataloaders import content_identity, data_source
from seqhub.training.history import History, append_history
from seqhub.training.launch import launch, require_supported_settings
from seqhub.training.main_guard import require_main_guard
from seqhub.training.native_files import save_native_run
from seqhub.training.native_loop import LoopState, reason_not_native, train_native
from seqhub.training.run_folder import checkpoint_message, claim_folder
from seqhub.training.runtime import TrainingInterrupted, has_accelerator, interruptions
from seqhub.training.state import TrainerState

__all__ = ["TrainingInterrupted", "train"]

_STATE, _BEST = "native", "best"  # arrays of the checkpoint: weights and optimizer now, and at the lowest loss
_ENGINE = {"processes": 1, "native": True}  # compared with those of a checkpoint, like the settings


def train(
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    callback: Callable[[TrainerState], None] | None = None,
    **settings: Any,
) -> RunRecord | None:
    """Train a model, and save weights, config, tokenizer, history and record into `config.output_dir`.

    Recurrent models on a CPU with one thread train natively if possible, see `native_loop`: many times faster, with
    losses that differ from those of torch by rounding. SEQHUB_KERNELS=0 in the environment prevents it.

    A run on a file of rows is evaluated, too: `train(data="reviews.csv")`. Instead of a file, `data` may be the id of a
    dataset of a Hub, as in `me/reviews`, or anything that `data.user_sources.as_file` takes: a dataset, a data frame,
    or a dictionary of columns.

    The function is called once, or in each process of `accelerate launch` or `torchrun`. The random state and the
    number of threads of the caller are restored.

    Args:
        config: Settings of the run; None for those of the recipe of a task or file, and `settings`.
        resume: Continue from the checkpoint in the folder, with exactly the same results as an uninterrupted run; start
            a new run if there is no checkpoint.
        callback: Called in the main process after every validation.
        **settings: Without `config`: `task` or `data`, and other arguments of `configure.configure`.

    Returns:
        The record in the main process, None in the others.

    Raises:
        OutputExistsError: The folder contains another run, or this run without `resume`, or another process uses it.
        InvalidConfigError: The checkpoint belongs to a run with other settings, training diverged, or the launcher has
            settings that are not supported.
        CorruptFileError: The checkpoint is truncated.
        SaveError: The disk is full; the last complete checkpoint, if any, is unchanged.
        TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was saved.
        PeerFailedError: Another process of the run failed.
    """
    require_main_guard()
    if config is not None and settings:
        raise InvalidConfigError(f"{', '.join(settings)}: must be in the config, or omit the config")
    with ExitStack() as stack:
        if config is None:
            if not isinstance(settings.get("data"), (str, Path, NoneType)):
                from seqhub.data.user_sources import as_file

                settings["data"] = stack.enter_context(as_file(settings["data"]))
            config = configure(**settings)
        return _train(config, resume, callback)


def _train(config: TrainConfig, resume: bool, callback: Callable[[TrainerState], None] | None) -> RunRecord | None:
    require_supported_settings()
    source = data_source(config)
    if _is_native(config, source, resume):
        record: RunRecord | None = _train_natively(config, source, resume, callback)
    else:
        from seqhub.training.torch_loop import train_in_torch  # torch and Accelerate take seconds to import

        record = train_in_torch(config, source, resume, callback)
    if record is None or config.task.name != FILE:
        return record
    from seqhub.evaluation.evaluate import evaluate

    return evaluate(config.output_dir, data=config.file, trust_remote_code=config.trust_remote_code)


def _is_native(config: TrainConfig, source: DataSource, resume: bool) -> bool:
    """Return whether a run trains natively; a resumed one like its checkpoint."""
    if launch().size > 1 or config.threads > 1 or not (config.cpu or not has_accelerator()):
        return False
    saved = checkpoints.load_metadata(config.output_dir) if resume else None
    if saved is not None and not saved["config"].get("native", False):
        return False
    return reason_not_native(config, source) is None


def _train_natively(
    config: TrainConfig, source: DataSource, resume: bool, callback: Callable[[TrainerState], None] | None
) -> RunRecord:
    folder = config.output_dir
    content_identity(source)
    warn(source)
    with ExitStack() as stack:
        interrupted = stack.enter_context(interruptions())

        def restore(loop: LoopState) -> None:
            claim_folder(folder, resume, stack)  # now that the model exists, which may be too large for the memory
            if resume:
                _restore(loop, config, source)
            History(folder, loop.state.sequences, active=True)  # removes later rows

        def on_validation(loop: LoopState, checkpoint_is_due: bool) -> None:
            append_history(folder, loop.history[-1])
            if callback is not None:
                callback(loop.state)
            if checkpoint_is_due:
                _save_checkpoint(loop, config, source)

        def on_stop(loop: LoopState) -> None:
            _save_checkpoint(loop, config, source)
            raise TrainingInterrupted(
                f"stopped after {loop.state.sequences:,} sequences; to continue, run the same command with --resume"
            )

        stopped = partial(bool, interrupted)
        run = train_native(config, source, stopped, restore=restore, on_validation=on_validation, on_stop=on_stop)
        # A checkpoint is saved first, so that the run can be resumed at its end if saving fails
        with suppress(SaveError):
            _save_checkpoint(run.loop, config, source)
        try:
            save_native_run(folder, run, source)
        except SaveError as error:
            raise SaveError(f"{error}; {checkpoint_message(folder)}") from error
    return run.record


def _save_checkpoint(loop: LoopState, config: TrainConfig, source: DataSource) -> None:
    metadata = {
        "config": config.as_json() | _ENGINE,
        "data": {"source": source.name, "identity": source.identity},
        "progress": vars(loop.state),
        "ended": loop.ended,
        **{name: each.state_dict() for name, each in loop.positions.items()},
    }
    states = {_STATE: loop.last or loop.trainer.state(), _BEST: loop.best}
    arrays = {name: np.frombuffer(state, np.uint8) for name, state in states.items() if state}
    checkpoints.save(config.output_dir, arrays, metadata)


def _restore(loop: LoopState, config: TrainConfig, source: DataSource) -> None:
    """Continue from the checkpoint in the folder, if there is one."""
    saved = checkpoints.load(config.output_dir, "numpy")
    if saved is None:
        return
    arrays, metadata = saved
    path = config.output_dir / checkpoints.FILE_NAME
    checkpoints.require_same_data(path, metadata.get("data", {}), source)
    checkpoints.require_same_run(
        path, {"native": False} | metadata["config"], config.as_json() | _ENGINE, config.may_change
    )
    loop.trainer.restore(arrays[_STATE].tobytes())
    loop.best = arrays[_BEST].tobytes() if _BEST in arrays else b""
    for name, each in loop.positions.items():
        each.load_state_dict(metadata[name])
    vars(loop.state).update(metadata["progress"])
    loop.ended = metadata["ended"]
