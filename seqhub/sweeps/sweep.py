"""The same settings from many seeds: one run each, as many at a time as there are cores.

A sweep's folder holds a folder of each seed, `seed-3`, with the record and history of its run, and `sweep.json` once
all have ended. Runs that fit are whole runs in native calls, each in a thread (`whole`); others are made by `train`,
each in a process (`workers`). A seed that fails leaves `failure.txt` in place of a record, and the others go on.
"""

import os
import queue
import shutil
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.data.describe import warn
from seqhub.data.source import DataSource
from seqhub.errors import CorruptFileError, DataWarning, InvalidConfigError, OutputExistsError, SaveError
from seqhub.evaluation.evaluate import MOST_ROWS, FixedRows
from seqhub.records import RunRecord, SweepRecord
from seqhub.sweeps.pool import StoppedError, Worker
from seqhub.sweeps.summary import is_solved, summed_up
from seqhub.training import checkpoints
from seqhub.training.artifacts import save_run
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import data_source, identified
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import write_history
from seqhub.training.launch import require_one_process, require_supported_settings
from seqhub.training.main_guard import MissingGuardError, require_main_guard
from seqhub.training.native_loop import AbandonedError, NativeRun, reason_not_native, train_native
from seqhub.training.runtime import interruptions, torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEST_ROWS = 2_560  # as in Hochreiter & Schmidhuber (1997)
FAILURE = "failure.txt"

_MOST_SEEDS = 1_000_000
_AGAIN = "finished seeds are kept, and --resume makes this one again, from its start"
# What a resumed sweep may change, besides its seeds, `threads`, `keep_models` and `run`, none of which changes a number
# of a seed. Everything else is compared: settings, test rows, the content of the data, and whether runs are native.
_MAY_CHANGE = {"seed", "threads", "trackers", "checkpoint_every", "data", "data_options"}


class AllFailedError(InvalidConfigError):
    """No seed has a record: there is nothing to sum up."""


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: finished seeds are kept, and the message says how to go on."""


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands."""

    total: int
    done: int  # with a record
    solved: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """What is to be run: settings, seeds, and what is made of each.

    Args:
        config: Of all runs; its seed is of no meaning, its folder that of the sweep.
        seeds: In order.
        threads: Runs at a time.
        test_rows: Test sequences that each model is measured on, the same for all; 0 for none.
        keep_models: Whether weights, config and tokenizer are kept, too.
        identity: Of the content of the data, which every process of the sweep must find.

    Raises:
        InvalidConfigError: No seeds, one twice, or numbers out of range.
    """

    config: TrainConfig
    seeds: tuple[int, ...]
    threads: int
    test_rows: int = TEST_ROWS
    keep_models: bool = False
    identity: str = ""

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("seeds", 1 <= len(self.seeds) <= _MOST_SEEDS, f"1 to {_MOST_SEEDS:,} of them"),
            ("seeds", len(set(self.seeds)) == len(self.seeds), "each once"),
            ("threads", 1 <= self.threads <= 1_024, "1 to 1,024"),
            ("test_rows", 0 <= self.test_rows <= MOST_ROWS, f"0 to {MOST_ROWS:,}"),
        ):
            if not holds:
                given = len(self.seeds) if name == "seeds" else getattr(self, name)
                raise InvalidConfigError(f"{name} {given}; need {rule}")
        for seed in (min(self.seeds), max(self.seeds)):
            replace(self.config, seed=seed)  # says what is wrong with it

    def folder(self, seed: int) -> Path:
        """Where the run of a seed is."""
        return self.config.output_dir / f"seed-{seed}"

    def of(self, seed: int) -> TrainConfig:
        """The settings of one run."""
        return replace(self.config, seed=seed, output_dir=self.folder(seed))


def sweep(
    config: TrainConfig,
    seeds: Iterable[int],
    *,
    threads: int | None = None,
    test_rows: int = TEST_ROWS,
    keep_models: bool = False,
    resume: bool = False,
    run: Callable[[Seeds, Sequence[int], Callable[[int], None]], None] | None = None,
    callback: Callable[[SweepProgress], None] | None = None,
) -> SweepRecord:
    """Run the same settings from many seeds, and leave a record of all in `config.output_dir`.

    Args:
        config: Settings of all runs, as `train` takes them; their seed is of no meaning.
        seeds: Of the runs.
        threads: Runs at a time; the cores that this process may use by default.
        test_rows: Test sequences that each model is measured on, the same for all; 0 for none.
        keep_models: Whether the folder of each seed gets weights, config and tokenizer, too.
        resume: Go on with the seeds that have no record yet; those that failed are tried again, and with `keep_models`
            those whose model was not kept. A sweep that has ended is returned as it is.
        run: What makes the runs; `run_here` by default, or `cluster.run_on_cluster` with its settings.
        callback: Called whenever a seed has ended.

    Raises:
        OutputExistsError: The folder holds something else, or this sweep without `resume`, or another process uses it.
        InvalidConfigError: The folder holds a sweep of other settings, data or test rows; or no run of these settings
            can be made; or a launcher started several processes.
        MissingGuardError: Called by a script without `if __name__ == "__main__":` for runs that are not native.
        AllFailedError: No seed ended well.
        SaveError: The disk is full.
        SweepInterrupted: Ctrl-C or SIGTERM.
    """
    require_main_guard()
    require_one_process("a sweep")
    require_supported_settings()
    plan = Seeds(
        config=config,
        seeds=tuple(seeds),
        threads=available_cores() if threads is None else threads,
        test_rows=test_rows,
        keep_models=keep_models,
    )
    source = data_source(config)
    native = reason_not_native(config, source) is None  # or it refuses them, before a folder is made
    plan = replace(plan, identity=identified(source))
    with ExitStack() as stack:
        before = _prepare(plan, resume, source, native, stack)
        warn(source)
        try:
            return _sweep(plan, before, native, run or run_here, callback)
        except MissingGuardError:
            with suppress(OSError):  # unless the folder holds something
                config.output_dir.rmdir()
            raise


def _sweep(
    plan: Seeds,
    before: dict[int, RunRecord],
    native: bool,
    run: Callable[[Seeds, Sequence[int], Callable[[int], None]], None],
    callback: Callable[[SweepProgress], None] | None,
) -> SweepRecord:
    config = plan.config
    started = time.perf_counter()
    left = [seed for seed in plan.seeds if seed not in before]
    if not left and (config.output_dir / SweepRecord.FILE_NAME).exists():
        known = SweepRecord.load(config.output_dir)
        if [run["seed"] for run in known.runs] == list(plan.seeds):
            return known

    done = dict(before)

    def ended(seed: int) -> None:
        record = finished_run(plan, seed)
        if record is not None:
            done[seed] = record
        if callback is not None:
            solved = sum(is_solved(config, record) for record in done.values())
            failed = sum((plan.folder(each) / FAILURE).exists() for each in left if each not in done)
            callback(SweepProgress(len(plan.seeds), len(done), solved, failed))

    if left:
        run(plan, left, ended)
    records = [done[seed] for seed in plan.seeds if seed in done]
    failures = {seed: _reason(plan, seed) for seed in plan.seeds if seed not in done}
    if not records:
        seed, reason = next(iter(failures.items()))
        raise AllFailedError(f"all {len(failures)} seeds failed; seed {seed}: {reason}")
    record = summed_up(config, records, failures, threads=plan.threads, native=native)
    if not before:
        record.timings["wall"] = round(time.perf_counter() - started, 3)
    record.save(config.output_dir)
    return record


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(plan: Seeds, left: Sequence[int], ended: Callable[[int], None]) -> None:
    """Make the runs of some seeds on this machine.

    Args:
        plan: What is to be run.
        left: Seeds of it that have no record.
        ended: Called in this thread when a seed has its record, or has failed.

    Raises:
        SaveError: The disk is full; finished seeds are kept.
        SweepInterrupted: Ctrl-C or SIGTERM.
    """
    native = reason_not_native(plan.config) is None
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in left:
        waiting.put(seed)
    results: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()
    one: Callable[..., None] = partial(_natively, plan, _Shared.of(plan)) if native else partial(_by_torch, plan)

    def work() -> None:
        worker = Worker()
        try:
            while not stop.is_set():
                try:
                    seed = waiting.get_nowait()
                except queue.Empty:
                    return
                results.put((seed, _outcome(plan, seed, partial(one, seed, worker, stop.is_set))))
        finally:
            worker.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(plan.threads, len(left)))]
    open_seeds = set(left)
    with torch_threads(plan.config.threads), interruptions() as interrupted:
        for thread in threads:
            thread.start()
        failure: BaseException | None = None
        while open_seeds:
            if interrupted:
                stop.set()
            over = not any(thread.is_alive() for thread in threads)  # before looking: then nothing comes after
            try:
                seed, error = results.get(timeout=0 if over else 0.05)
            except queue.Empty:
                if over:
                    break
                continue
            if isinstance(error, (AbandonedError, StoppedError)):
                continue
            open_seeds.discard(seed)
            if error is not None:
                failure = error
                stop.set()
            else:
                ended(seed)
        for thread in threads:
            thread.join()
    if failure is not None:
        raise failure
    if open_seeds:
        done = len(plan.seeds) - len(open_seeds)
        raise SweepInterrupted(
            f"stopped after {done:,} of {len(plan.seeds):,} seeds; the same command with --resume goes on from there"
        )


def finished_run(plan: Seeds, seed: int) -> RunRecord | None:
    """The record of a seed that has ended well; None where it has not, or not yet, or lacks the model to be kept."""
    record = _record(plan.folder(seed))
    if record is None or (plan.test_rows and "test" not in record.evaluation):
        return None
    return record if record.files or not plan.keep_models else None


def _record(folder: Path) -> RunRecord | None:
    """The record of a folder; None where there is none, or but a part of one."""
    if not (folder / RunRecord.FILE_NAME).is_file():
        return None
    try:
        return RunRecord.load(folder)
    except CorruptFileError:  # of a machine that lost its power
        return None


def _outcome(plan: Seeds, seed: int, one: Callable[[], None]) -> BaseException | None:
    """Make one run. What goes wrong with it is left in its folder; what concerns the whole sweep is returned."""
    folder = plan.folder(seed)
    try:
        (folder / FAILURE).unlink(missing_ok=True)
        one()
    except (AbandonedError, StoppedError, MissingGuardError, OSError) as error:
        return error
    except Exception as error:
        expected = isinstance(error, InvalidConfigError)
        text = str(error) if expected else "".join(traceback.format_exception(error))
        try:
            folder.mkdir(exist_ok=True)
            (folder / FAILURE).write_text(text.rstrip() + "\n", encoding="utf-8")
        except OSError as full:
            return SaveError(f"cannot write {folder / FAILURE}: {full.strerror or full}")
    return None


@dataclass(frozen=True)
class _Shared:
    """What is the same for all seeds, and made once."""

    source: DataSource
    test_rows: FixedRows | None

    @classmethod
    def of(cls, plan: Seeds) -> "_Shared":
        source = data_source(plan.config)
        _require_unchanged(plan, source.name, identified(source))
        return cls(source, FixedRows(source.split("test"), plan.test_rows) if plan.test_rows else None)


def _natively(plan: Seeds, shared: _Shared, seed: int, worker: Worker, stopped: Callable[[], bool]) -> None:
    """One whole run, and its folder, which appears at once and whole."""
    run = train_native(plan.of(seed), shared.source, stopped)
    if shared.test_rows is not None:
        _measure_test(shared.test_rows, run.model, run.record)
    try:
        _keep(plan, shared, seed, run)
    except SaveError as error:
        raise SaveError(f"{error}; {_AGAIN}") from error
    except OSError as error:
        raise SaveError(f"cannot write {plan.folder(seed)}: {error.strerror or error}; {_AGAIN}") from error


def _measure_test(test_rows: FixedRows, model: "PreTrainedModel", record: RunRecord) -> None:
    began = time.perf_counter()
    model.eval()
    record.evaluation["test"] = test_rows.measure(model)
    record.timings["evaluate"] = round(time.perf_counter() - began, 3)


def _keep(plan: Seeds, shared: _Shared, seed: int, run: NativeRun) -> None:
    """Write a folder beside, and rename it.

    A record alone is not flushed to disk, which would take a good part of a short run's time: where a power cut leaves
    a part of it, the seed is run again.
    """
    beside = _beside(plan, seed)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    write_history(beside, run.history)
    if plan.keep_models:
        save_run(beside, run.model, shared.source, run.record)
    else:
        (beside / RunRecord.FILE_NAME).write_text(run.record.text(), encoding="utf-8")
    shutil.rmtree(plan.folder(seed), ignore_errors=True)
    beside.replace(plan.folder(seed))


def _by_torch(plan: Seeds, seed: int, worker: Worker, stopped: Callable[[], bool]) -> None:
    worker.run(train_one, plan, seed, stopped=stopped)


def train_one(plan: Seeds, seed: int) -> None:
    """One run of `train`, measured; goes on from its checkpoint, if it left one. For a process of its own.

    Where the seed has a record already but its model was not kept, the run is made again in a folder beside, which
    takes the place of the first when it is whole.
    """
    from seqhub.evaluation.load import load_model
    from seqhub.training.train import TrainingInterrupted, train

    place = folder = plan.folder(seed)
    before = _record(folder)
    if before is None and (folder / RunRecord.FILE_NAME).exists():
        shutil.rmtree(folder)
    if before is not None and not before.files:
        folder = _beside(plan, seed)
    if _record(folder) is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)  # the sweep has said it once
                train(replace(plan.of(seed), output_dir=folder), resume=True)
        except TrainingInterrupted:
            raise StoppedError from None
    record = RunRecord.load(folder)
    _require_unchanged(plan, record.data["source"], record.data["identity"])
    test_rows = _Shared.of(plan).test_rows
    if test_rows is not None:
        _measure_test(test_rows, load_model(folder), record)
    files = [] if plan.keep_models else list(record.files)
    if files:
        record.files, record.probe = {}, {}
    record.save(folder)
    for name in files:
        (folder / name).unlink(missing_ok=True)
    if folder != place:
        shutil.rmtree(place)
        folder.replace(place)


def _beside(plan: Seeds, seed: int) -> Path:
    """Where a folder of a seed is made that appears at once and whole."""
    return plan.config.output_dir / f".seed-{seed}"


def _require_unchanged(plan: Seeds, name: str, identity: str) -> None:
    """Raise InvalidConfigError if data were replaced after a sweep began."""
    if plan.identity and identity != plan.identity:
        raise InvalidConfigError(
            f"{name} was replaced while the sweep went on: content {plan.identity[:16]} before, {identity[:16]} now"
        )


def _prepare(plan: Seeds, resume: bool, source: DataSource, native: bool, stack: ExitStack) -> dict[int, RunRecord]:
    """Make the folder and lock it until the end of `stack`; return the seeds that are finished already."""
    folder = plan.config.output_dir
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file; give another output folder")
    existed = folder.exists()
    if existed:
        stack.enter_context(folder_lock(folder))
    if existed and any(folder.iterdir()):
        ours = any(path.name.startswith(("seed-", ".seed-", SweepRecord.FILE_NAME)) for path in folder.iterdir())
        if not ours:
            raise OutputExistsError(f"{folder} is not empty; give another output folder")
        if not resume:
            raise OutputExistsError(f"{folder} holds a sweep; --resume goes on with it, or give another output folder")
    if not existed:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(folder_lock(folder))
    for left in folder.glob(".seed-*"):
        shutil.rmtree(left, ignore_errors=True)
    done = {}
    for seed in plan.seeds:
        record = _record(plan.folder(seed))
        if record is None:
            continue
        _require_same(plan, plan.folder(seed) / RunRecord.FILE_NAME, record, source, native)
        if finished_run(plan, seed) is not None:
            done[seed] = record
    return done


def _require_same(plan: Seeds, path: Path, record: RunRecord, source: DataSource, native: bool) -> None:
    """Raise InvalidConfigError where the run of a seed differs from those of this sweep in what changes a number."""
    there: dict[str, Any] = {"task_version": record.data["task_version"]}
    here: dict[str, Any] = {"task_version": source.split().task.version}
    if "native" in record.environment:
        there["native"], here["native"] = record.environment["native"], native
    test = record.evaluation.get("test")
    if test is not None or not record.files:  # else it has yet to be measured
        size = source.split("test").size
        there["test_rows"] = 0 if test is None else test["examples"]
        here["test_rows"] = plan.test_rows if size is None else min(size, plan.test_rows)
    checkpoints.require_same_run(path, record.training | there, plan.config.as_json() | here, _MAY_CHANGE)
    if "identity" in record.data or source.kind == "file":
        checkpoints.require_same_data(path, record.data, source)
    elif source.kind != "stream" and record.data["digest"] != source.training_digest:
        raise InvalidConfigError(f"{path} is of another run: its training rows are others than those of {source.name}")


def _reason(plan: Seeds, seed: int) -> str:
    """Why a seed has failed: the last line of what is left of it."""
    return (plan.folder(seed) / FAILURE).read_text(encoding="utf-8").strip().splitlines()[-1]
