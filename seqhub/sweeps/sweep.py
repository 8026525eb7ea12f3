"""Sweeps: runs with the same settings and many seeds, as many simultaneously as there are cores.

The folder of a sweep contains a folder for each seed, such as `seed-3`, with the record and history of its run, and
`sweep.json` once all runs have ended. Runs that native code supports are trained in threads (see
`training.native_loop`), others by `train` in worker processes (see `sweeps.pool`). A failed seed has `failure.txt`
instead of a record; the other seeds continue.
"""

import os
import queue
import shutil
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.data.describe import warn
from seqhub.data.source import DataSource
from seqhub.errors import CorruptFileError, DataWarning, InvalidConfigError, OutputExistsError, SaveError
from seqhub.evaluation.evaluate import MAX_ROWS, FixedRows
from seqhub.records import RunRecord, SweepRecord
from seqhub.sweeps.pool import StoppedError, Worker
from seqhub.sweeps.summary import is_solved, summarize
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import content_identity, data_source
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import write_history
from seqhub.training.launch import require_one_process, require_supported_settings
from seqhub.training.main_guard import MissingGuardError, require_main_guard
from seqhub.training.native_files import save_native_run
from seqhub.training.native_loop import AbandonedError, NativeRun, reason_not_native, train_native
from seqhub.training.runtime import interruptions, torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEST_ROWS = 2_560  # as in Hochreiter & Schmidhuber (1997)
FAILURE = "failure.txt"

_MAX_SEEDS = 1_000_000
_HINT = "finished seeds are kept; --resume repeats this one from its start"
# Settings that may differ when a sweep is resumed, like its seeds, `threads`, `keep_models` and `run`. None of them
# changes the result of a seed. The other settings, test rows, content of the data and native or not are compared.
_MAY_CHANGE = {"seed", "threads", "trackers", "checkpoint_every", "data", "data_options"}


class AllFailedError(InvalidConfigError):
    """Sweep in which all seeds failed."""


class SweepInterrupted(KeyboardInterrupt):
    """Sweep interrupted by Ctrl-C or SIGTERM; finished seeds are kept, and the message says how to continue."""


@dataclass(frozen=True)
class SweepProgress:
    """Progress of a sweep, in numbers of seeds."""

    total: int
    done: int  # finished, with a record
    solved: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """Settings and seeds of a sweep.

    Args:
        config: Settings of all runs; its seed is ignored, its folder is the folder of the sweep.
        seeds: Seeds, in order.
        threads: Number of simultaneous runs.
        test_rows: Number of test sequences, the same for all models; 0 for no test.
        keep_models: Save weights, config and tokenizer of each run.
        identity: Content identity of the data, which every process of the sweep compares with its own.

    Raises:
        InvalidConfigError: No seeds, repeated seeds, or numbers out of range.
    """

    config: TrainConfig
    seeds: tuple[int, ...]
    threads: int
    test_rows: int = TEST_ROWS
    keep_models: bool = False
    identity: str = ""

    def __post_init__(self) -> None:
        for name, value, lowest, highest in (
            ("seeds", len(self.seeds), 1, _MAX_SEEDS),
            ("threads", self.threads, 1, 1_024),
            ("test_rows", self.test_rows, 0, MAX_ROWS),
        ):
            if not lowest <= value <= highest:
                raise InvalidConfigError.of(name, value, f"{lowest} to {highest:,}")
        if repeated := [seed for seed, count in Counter(self.seeds).items() if count > 1]:
            raise InvalidConfigError(f"seeds: must be different; given several times: {', '.join(map(str, repeated))}")
        for seed in (min(self.seeds), max(self.seeds)):
            replace(self.config, seed=seed)  # raises an error for a seed out of range

    def folder(self, seed: int) -> Path:
        """Return the folder of the run of a seed."""
        return self.config.output_dir / f"seed-{seed}"

    def run_config(self, seed: int) -> TrainConfig:
        """Return the settings of the run of a seed."""
        return replace(self.config, seed=seed, output_dir=self.folder(seed))


def sweep(
    config: TrainConfig,
    seeds: Iterable[int],
    *,
    threads: int | None = None,
    test_rows: int = TEST_ROWS,
    keep_models: bool = False,
    resume: bool = False,
    run: Callable[[SweepPlan, Sequence[int], Callable[[int], None]], None] | None = None,
    callback: Callable[[SweepProgress], None] | None = None,
) -> SweepRecord:
    """Train with the same settings and many seeds, and write a record of all runs into `config.output_dir`.

    Args:
        config: Settings of all runs, as for `train`; the seed is ignored.
        seeds: Seeds of the runs.
        threads: Number of simultaneous runs; default: the number of cores that this process may use.
        test_rows: Number of test sequences, the same for all models; 0 for no test.
        keep_models: Save weights, config and tokenizer of each run.
        resume: Continue with the seeds that have no record yet. Failed seeds are repeated, with `keep_models` also
            seeds without a saved model. The record of a finished sweep is returned unchanged.
        run: Function that trains the seeds; default: `run_locally`. `slurm.Cluster` runs them on a cluster.
        callback: Called when a seed has ended.

    Raises:
        OutputExistsError: The folder contains something else, or this sweep without `resume`, or another process uses
            it.
        InvalidConfigError: The folder contains a sweep with other settings, data or test rows; or these settings do not
            fit the task; or a launcher started several processes.
        MissingGuardError: Called by a script without `if __name__ == "__main__":` for runs that are not native.
        AllFailedError: All seeds failed.
        SaveError: The disk is full.
        SweepInterrupted: Ctrl-C or SIGTERM.
    """
    require_main_guard()
    require_one_process("a sweep")
    require_supported_settings()
    plan = SweepPlan(
        config=config,
        seeds=tuple(seeds),
        threads=available_cores() if threads is None else threads,
        test_rows=test_rows,
        keep_models=keep_models,
    )
    source = data_source(config)
    native = reason_not_native(config, source) is None  # raises an error for invalid settings, before a folder is made
    plan = replace(plan, identity=content_identity(source))
    with ExitStack() as stack:
        before = _prepare(plan, resume, source, native, stack)
        warn(source)
        try:
            return _sweep(plan, before, native, run or run_locally, callback)
        except MissingGuardError:
            with suppress(OSError):  # the folder is not empty
                config.output_dir.rmdir()
            raise


def _sweep(
    plan: SweepPlan,
    before: dict[int, RunRecord],
    native: bool,
    run: Callable[[SweepPlan, Sequence[int], Callable[[int], None]], None],
    callback: Callable[[SweepProgress], None] | None,
) -> SweepRecord:
    config = plan.config
    started = time.perf_counter()
    remaining = [seed for seed in plan.seeds if seed not in before]
    if not remaining and (config.output_dir / SweepRecord.FILE_NAME).exists():
        existing = SweepRecord.load(config.output_dir)
        if [run["seed"] for run in existing.runs] == list(plan.seeds):
            return existing

    done = dict(before)

    def on_finish(seed: int) -> None:
        record = finished_run(plan, seed)
        if record is not None:
            done[seed] = record
        if callback is not None:
            solved = sum(is_solved(config, record) for record in done.values())
            failed = sum((plan.folder(each) / FAILURE).exists() for each in remaining if each not in done)
            callback(SweepProgress(len(plan.seeds), len(done), solved, failed))

    if remaining:
        run(plan, remaining, on_finish)
    records = [done[seed] for seed in plan.seeds if seed in done]
    failures = {seed: _failure_message(plan, seed) for seed in plan.seeds if seed not in done}
    if not records:
        seed, reason = next(iter(failures.items()))
        raise AllFailedError(f"all {len(failures)} seeds failed; seed {seed}: {reason}")
    record = summarize(config, records, failures, threads=plan.threads, native=native)
    if not before:
        record.timings["wall"] = round(time.perf_counter() - started, 3)
    record.save(config.output_dir)
    return record


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_locally(plan: SweepPlan, seeds: Sequence[int], on_finish: Callable[[int], None]) -> None:
    """Train some seeds of a sweep on this machine.

    Args:
        plan: The sweep.
        seeds: Seeds to train, without a record yet.
        on_finish: Called in this thread when a seed has a record or has failed.

    Raises:
        SaveError: The disk is full; finished seeds are kept.
        SweepInterrupted: Ctrl-C or SIGTERM.
    """
    native = reason_not_native(plan.config) is None
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in seeds:
        waiting.put(seed)
    results: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()
    train_seed: Callable[..., None] = (
        partial(_train_natively, plan, _SharedData.of(plan)) if native else partial(_train_in_worker, plan)
    )

    def work() -> None:
        worker = Worker()
        try:
            while not stop.is_set():
                try:
                    seed = waiting.get_nowait()
                except queue.Empty:
                    return
                results.put((seed, _run_seed(plan, seed, partial(train_seed, seed, worker, stop.is_set))))
        finally:
            worker.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(plan.threads, len(seeds)))]
    open_seeds = set(seeds)
    with nullcontext() if native else torch_threads(plan.config.threads), interruptions() as interrupted:
        for thread in threads:
            thread.start()
        failure: BaseException | None = None
        while open_seeds:
            if interrupted:
                stop.set()
            ended = not any(thread.is_alive() for thread in threads)  # before reading, so that no result is missed
            try:
                seed, error = results.get(timeout=0 if ended else 0.05)
            except queue.Empty:
                if ended:
                    break
                continue
            if isinstance(error, (AbandonedError, StoppedError)):
                continue
            open_seeds.discard(seed)
            if error is not None:
                failure = error
                stop.set()
            else:
                on_finish(seed)
        for thread in threads:
            thread.join()
    if failure is not None:
        raise failure
    if open_seeds:
        done = len(plan.seeds) - len(open_seeds)
        raise SweepInterrupted(
            f"stopped after {done:,} of {len(plan.seeds):,} seeds; to continue, run the same command with --resume"
        )


def finished_run(plan: SweepPlan, seed: int) -> RunRecord | None:
    """Return the record of a finished seed; None if it has failed, is unfinished, or lacks the model to be kept."""
    record = _record(plan.folder(seed))
    if record is None or (plan.test_rows and "test" not in record.evaluation):
        return None
    return record if record.files or not plan.keep_models else None


def _record(folder: Path) -> RunRecord | None:
    """Return the record of a folder; None if it is missing or incomplete."""
    if not (folder / RunRecord.FILE_NAME).is_file():
        return None
    try:
        return RunRecord.load(folder)
    except CorruptFileError:  # written only in part, because of a power failure
        return None


def _run_seed(plan: SweepPlan, seed: int, train_seed: Callable[[], None]) -> BaseException | None:
    """Train one seed. Write an error of this run into its folder, and return an error that ends the sweep."""
    folder = plan.folder(seed)
    try:
        (folder / FAILURE).unlink(missing_ok=True)
        train_seed()
    except (AbandonedError, StoppedError, MissingGuardError, OSError) as error:
        return error
    except Exception as error:
        expected = isinstance(error, InvalidConfigError)
        text = str(error) if expected else "".join(traceback.format_exception(error))
        try:
            folder.mkdir(exist_ok=True)
            (folder / FAILURE).write_text(text.rstrip() + "\n", encoding="utf-8")
        except OSError as os_error:
            return SaveError(f"cannot write {folder / FAILURE}: {os_error.strerror or os_error}")
    return None


@dataclass(frozen=True)
class _SharedData:
    """Data that all seeds of a sweep share."""

    source: DataSource
    test_rows: FixedRows | None

    @classmethod
    def of(cls, plan: SweepPlan) -> "_SharedData":
        source = data_source(plan.config)
        _require_unchanged(plan, source.name, content_identity(source))
        return cls(source, FixedRows(source.split("test"), plan.test_rows) if plan.test_rows else None)


def _train_natively(
    plan: SweepPlan, shared: _SharedData, seed: int, worker: Worker, stopped: Callable[[], bool]
) -> None:
    """Train one seed by the native loop, and write its folder atomically."""
    run = train_native(plan.run_config(seed), shared.source, stopped)
    if shared.test_rows is not None:
        began = time.perf_counter()
        run.record.evaluation["test"] = shared.test_rows.measure_natively(run.scorer)
        run.record.timings["evaluate"] = round(time.perf_counter() - began, 3)
    try:
        _save(plan, shared, seed, run)
    except SaveError as error:
        raise SaveError(f"{error}; {_HINT}") from error
    except OSError as error:
        raise SaveError(f"cannot write {plan.folder(seed)}: {error.strerror or error}; {_HINT}") from error


def _evaluate_test(test_rows: FixedRows, model: "PreTrainedModel", record: RunRecord) -> None:
    began = time.perf_counter()
    model.eval()
    record.evaluation["test"] = test_rows.measure(model)
    record.timings["evaluate"] = round(time.perf_counter() - began, 3)


def _save(plan: SweepPlan, shared: _SharedData, seed: int, run: NativeRun) -> None:
    """Write a temporary folder and rename it.

    A record without a model is not flushed to disk, because this would take a large part of the time of a short run.
    If a power failure leaves an incomplete record, the seed is repeated.
    """
    temporary = _temporary_folder(plan, seed)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    write_history(temporary, run.history)
    if plan.keep_models:
        save_native_run(temporary, run, shared.source)
    else:
        (temporary / RunRecord.FILE_NAME).write_text(run.record.text(), encoding="utf-8", newline="\n")
    shutil.rmtree(plan.folder(seed), ignore_errors=True)
    temporary.replace(plan.folder(seed))


def _train_in_worker(plan: SweepPlan, seed: int, worker: Worker, stopped: Callable[[], bool]) -> None:
    worker.run(train_one, plan, seed, stopped=stopped)


def train_one(plan: SweepPlan, seed: int) -> None:
    """Train and test one seed by `train`, from its checkpoint if there is one. Called in a worker process.

    If the seed has a record but its model was not saved, the run is repeated in a temporary folder, which then
    replaces the first one.
    """
    from seqhub.evaluation.load import load_model
    from seqhub.training.train import TrainingInterrupted, train

    target = folder = plan.folder(seed)
    before = _record(folder)
    if before is None and (folder / RunRecord.FILE_NAME).exists():
        shutil.rmtree(folder)
    if before is not None and not before.files:
        folder = _temporary_folder(plan, seed)
    if _record(folder) is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)  # the sweep has already issued it
                train(replace(plan.run_config(seed), output_dir=folder), resume=True)
        except TrainingInterrupted:
            raise StoppedError from None
    record = RunRecord.load(folder)
    _require_unchanged(plan, record.data["source"], record.data["identity"])
    test_rows = _SharedData.of(plan).test_rows
    if test_rows is not None:
        _evaluate_test(test_rows, load_model(folder), record)
    files = [] if plan.keep_models else list(record.files)
    if files:
        record.files, record.probe = {}, {}
    record.save(folder)
    for name in files:
        (folder / name).unlink(missing_ok=True)
    if folder != target:
        shutil.rmtree(target)
        folder.replace(target)


def _temporary_folder(plan: SweepPlan, seed: int) -> Path:
    """Return the folder in which the run of a seed is written before it is renamed."""
    return plan.config.output_dir / f".seed-{seed}"


def _require_unchanged(plan: SweepPlan, name: str, identity: str) -> None:
    """Raise InvalidConfigError if the data were replaced after the start of a sweep."""
    if plan.identity and identity != plan.identity:
        raise InvalidConfigError(
            f"{name} was replaced during the sweep: content {plan.identity[:16]} before, {identity[:16]} now"
        )


def _prepare(plan: SweepPlan, resume: bool, source: DataSource, native: bool, stack: ExitStack) -> dict[int, RunRecord]:
    """Create the folder and lock it until the end of `stack`; return the records of finished seeds."""
    folder = plan.config.output_dir
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file; give another output folder")
    existed = folder.exists()
    if existed:
        stack.enter_context(folder_lock(folder))
    if existed and any(folder.iterdir()):
        prefixes = ("seed-", ".seed-", SweepRecord.FILE_NAME)
        if not any(path.name.startswith(prefixes) for path in folder.iterdir()):
            raise OutputExistsError(f"{folder} is not empty; give another output folder")
        if not resume:
            raise OutputExistsError(f"{folder} contains a sweep; --resume continues it, or give another output folder")
    if not existed:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(folder_lock(folder))
    for temporary in folder.glob(".seed-*"):
        shutil.rmtree(temporary, ignore_errors=True)
    done = {}
    for seed in plan.seeds:
        record = _record(plan.folder(seed))
        if record is None:
            continue
        _require_same(plan, plan.folder(seed) / RunRecord.FILE_NAME, record, source, native)
        if finished_run(plan, seed) is not None:
            done[seed] = record
    return done


def _require_same(plan: SweepPlan, path: Path, record: RunRecord, source: DataSource, native: bool) -> None:
    """Raise InvalidConfigError if the run of a seed has other settings or data than this sweep."""
    saved: dict[str, Any] = {"task_version": record.data["task_version"]}
    current: dict[str, Any] = {"task_version": source.split().task.version}
    if "native" in record.environment:
        saved["native"], current["native"] = record.environment["native"], native
    test = record.evaluation.get("test")
    if test is not None or not record.files:  # otherwise its test is still to be made
        size = source.split("test").size
        saved["test_rows"] = 0 if test is None else test["examples"]
        current["test_rows"] = plan.test_rows if size is None else min(size, plan.test_rows)
    checkpoints.require_same_run(path, record.training | saved, plan.config.as_json() | current, _MAY_CHANGE)
    if "identity" in record.data or source.kind == "file":
        checkpoints.require_same_data(path, record.data, source)
    elif source.kind != "stream" and record.data["digest"] != source.training_digest:
        raise InvalidConfigError(f"{path} belongs to another run: its training rows differ from those of {source.name}")


def _failure_message(plan: SweepPlan, seed: int) -> str:
    """Return the last line of the error of a failed seed."""
    return (plan.folder(seed) / FAILURE).read_text(encoding="utf-8").strip().splitlines()[-1]
