"""Execution of one cell, in a process that an engine starts."""

import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.errors import DataWarning, InvalidConfigError, OutputExistsError, SeqhubError
from seqhub.evaluation.evaluate import measure
from seqhub.evaluation.load import load_model
from seqhub.experiments.bench.cell import RUN, Cell, read_cell
from seqhub.experiments.bench.grid import TUNING_SEED, mean_length, train_config
from seqhub.experiments.bench.sizes import match_parameters
from seqhub.records import RunRecord, environment
from seqhub.records.bench import CellRecord
from seqhub.sweeps.pool import StoppedError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.splits import Split
from seqhub.training.config import STREAM, TrainConfig
from seqhub.training.dataloaders import content_identity, data_source
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import write_history
from seqhub.training.native_files import save_native_run
from seqhub.training.native_loop import AbandonedError, reason_not_native, train_native
from seqhub.training.runtime import interruptions
from seqhub.training.state import DivergedError
from seqhub.training.train import TrainingInterrupted, train

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAILURE = "failure.txt"  # traceback of an unexpected error
_SECONDS = 0.2  # interval at which a lock is tried again
_PROBE_SECONDS, _PROBE_BATCHES = 0.3, 256  # shortest measurement of the speed, and its largest number of batches
_PROBE_ROWS = 256  # rows of the measurement of an evaluation


def run_cell(cell: Cell, bench: Path) -> None:
    """Run a cell and write its record last. An error of the cell is its result, with the reason.

    Args:
        cell: The cell.
        bench: Folder of the benchmark.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; a run that is not native has saved a checkpoint.
        SaveError: The disk is full.
    """
    folder = cell.folder(bench)
    folder.mkdir(parents=True, exist_ok=True)
    with interruptions() as interrupted, _exclusive(folder, lambda: bool(interrupted)):
        if read_cell(bench, cell) is not None:  # by a worker whose command was killed
            return
        (folder / FAILURE).unlink(missing_ok=True)
        began = time.perf_counter()
        try:
            result, timings = _STAGES[cell.stage](cell, bench, lambda: bool(interrupted))
            record = CellRecord(settings=cell.settings(), status="finished", result=result, timings=timings)
        except (AbandonedError, TrainingInterrupted, StoppedError):
            raise StoppedError from None
        except OSError:
            raise
        except Exception as error:
            record = failed_cell(cell, _reason(error), diverged=isinstance(error, DivergedError))
            if not isinstance(error, SeqhubError):
                (folder / FAILURE).write_text(traceback.format_exc(), encoding="utf-8")
        record.timings["cell"] = round(time.perf_counter() - began, 3)
        record.save(folder)
        if cell.stage != "seeds" or record.status != "finished":  # the models of others are not used
            shutil.rmtree(folder / RUN, ignore_errors=True)


def failed_cell(cell: Cell, reason: str, *, diverged: bool = False) -> CellRecord:
    """Return the record of a cell without a result."""
    status = "diverged" if diverged else "failed"
    return CellRecord(settings=cell.settings(), status=status, reason=reason, environment=environment())


@contextmanager
def _exclusive(folder: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """Lock the folder of a cell; wait for another process, such as a worker whose command was killed."""
    while True:
        if stopped():
            raise StoppedError
        try:
            lock = folder_lock(folder)
            lock.__enter__()
        except OutputExistsError:
            time.sleep(_SECONDS)
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _probe(cell: Cell, bench: Path, stopped: Callable[[], bool]) -> tuple[dict[str, Any], dict[str, float]]:
    """Match and measure the size of a model, and measure its speed in training and evaluation."""
    task = TaskRef.parse(cell.task)
    sized_model = match_parameters(cell.model, task, cell.params)
    sized = replace(cell, sized_model=sized_model, budget=1, learning_rate=1e-3, seed=TUNING_SEED)
    config = replace(train_config(sized, cell.folder(bench)), stop_at="none", evaluate_size=1, warmup=0)
    batches, run = 1, cell.folder(bench) / RUN
    while True:
        shutil.rmtree(run, ignore_errors=True)
        size = batches * config.batch_size
        config = replace(config, max_sequences=size, epochs=size, evaluate_every=size, checkpoint_every=size)
        record = _train(config, run, stopped)
        seconds = record.timings["train"] - record.timings["of which checks"]
        if seconds >= _PROBE_SECONDS or batches >= _PROBE_BATCHES:
            break
        batches = min(_PROBE_BATCHES, 8 * batches)
    model = load_model(run)
    for _ in range(2):  # the first evaluation of a process is slow
        began = time.perf_counter()
        rows = _measure(model, task, "test", _PROBE_ROWS)
        evaluated = time.perf_counter() - began
    steps, sizes = mean_length(task), record.sizes
    assert sizes is not None, "this version writes them"
    result = {
        "sized_model": sized_model,
        "parameters": sizes["parameters"],
        "core_parameters": sizes["parameters"] - sizes["embedding"] - sizes["head"],
        "state_floats": sizes.get("state"),
        "conformance": record.conformance,
        "ms_per_token": 1e3 * seconds / (size * steps),
        "evaluate_ms_per_token": 1e3 * evaluated / (rows["examples"] * rows["mean_length"]),
        "native": bool(record.environment.get("native")),
    }
    return result, {"train": record.timings["train"], "evaluate": round(evaluated, 3)}


def _run(cell: Cell, bench: Path, stopped: Callable[[], bool]) -> tuple[dict[str, Any], dict[str, float]]:
    """Train a model, and evaluate it on validation rows (`tune`) or test rows (`seeds`)."""
    folder = cell.folder(bench)
    config = train_config(cell, folder)
    record = _train(config, folder / RUN, stopped, cell.data)
    sequences = record.sequences_seen or 0
    solved = record.criteria[f"accuracy>={config.accuracy:g}"]
    began = time.perf_counter()
    split = "validation" if cell.stage == "tune" else "test"
    rows = _measure(load_model(folder / RUN), config.task, split, cell.rows or 1)
    result = {
        **rows,
        "sequences": sequences,
        "tokens": _tokens(config, sequences),
        "solved_at": None if solved is None else _tokens(config, solved),
        "native": bool(record.environment.get("native")),
    }
    return result, {"train": record.timings["train"], "evaluate": round(time.perf_counter() - began, 3)}


def _lengths(cell: Cell, bench: Path, stopped: Callable[[], bool]) -> tuple[dict[str, Any], dict[str, float]]:
    """Evaluate the model of a `seeds` cell on a test distribution."""
    run = cell.parent.folder(bench) / RUN
    if not (run / RunRecord.FILE_NAME).is_file():
        raise InvalidConfigError(
            f"the weights of the run are not in {run.parent}; copy them, or delete that folder to train again"
        )
    began = time.perf_counter()
    task = TaskRef.parse(cell.task).test_distributions[cell.distribution or ""]
    rows = _measure(load_model(run), task, "test", cell.rows or 1)
    return rows, {"evaluate": round(time.perf_counter() - began, 3)}


_STAGES = {"probe": _probe, "tune": _run, "seeds": _run, "lengths": _lengths}


def _train(config: TrainConfig, folder: Path, stopped: Callable[[], bool], identity: str = "") -> RunRecord:
    """Train a model by the native loop if it can, otherwise by `train`, which continues from a checkpoint."""
    source = data_source(config)
    if identity and content_identity(source) != identity:
        raise InvalidConfigError(f"{config.task} has other training rows than at the start of the benchmark")
    if (folder / RunRecord.FILE_NAME).is_file():  # stopped during the evaluation
        return RunRecord.load(folder)
    if reason_not_native(config, source) is None:
        run = train_native(config, source, stopped)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_history(folder, run.history)
        save_native_run(folder, run, source)
        return run.record
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        record = train(replace(config, output_dir=folder), resume=True)
    assert record is not None
    return record


def _measure(model: "PreTrainedModel", task: TaskRef, split: str, rows: int) -> dict[str, Any]:
    """Return accuracy, chance level and scaled score of a model on the first rows of a split."""
    metrics = measure(model, Split(task, split), rows)
    chance = _chance(task)
    accuracy = metrics["accuracy"]
    return {
        "accuracy": accuracy,
        "chance": chance,
        "score": max(0.0, (accuracy - chance) / (1 - chance)),
        "loss": metrics["loss"] if isfinite(metrics["loss"]) else None,
        **{name: metrics[name] for name in ("examples", "length", "mean_length", "digest")},
    }


def _chance(task: TaskRef) -> float:
    """Return the accuracy of the best constant prediction; 0 if the task does not define it."""
    definition, config = task.definition, task.config
    if (chance := definition.chance(config)) is not None:
        return chance
    constant = definition.constant_baseline(config)
    return 0.0 if constant is None else constant.within


def _tokens(config: TrainConfig, sequences: int) -> int:
    """Return the number of steps of the first training sequences of a run, without padding."""
    source = data_source(config)
    if config.data == STREAM:
        return sum(int(batch.lengths.sum()) for batch in source.split("train", config.seed).batches(0, sequences))
    return round(sequences * mean_length(config.task))


def _reason(error: Exception) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SeqhubError) else f"{type(error).__name__}: {text}"
