"""Engines that run cells: worker processes on this machine, jobs of a cluster by submitit, or tasks of Ray.

Queues, retries and placement are those of the engine. A cell is finished when its record is in the folder of the
benchmark, so any engine continues the work of another.
"""

import socket
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seqhub.errors import InvalidConfigError
from seqhub.experiments.bench.cell import RUN, Cell, read_cell
from seqhub.experiments.bench.execute import failed_cell, run_cell
from seqhub.io import write_atomically
from seqhub.records.bench import CellRecord
from seqhub.sweeps.pool import StoppedError, Worker, WorkerDiedError
from seqhub.sweeps.slurm import cancel, last_output, open_executor
from seqhub.sweeps.sweep import available_cores
from seqhub.training.runtime import environment_variable, interruptions

ENGINES = ("processes", "submitit", "ray")
_ATTEMPTS = 3  # of a cell whose process ended unexpectedly
_SECONDS = 0.1  # interval at which an interruption is noticed
_JOB_SECONDS = 0.5  # interval at which jobs are polled
_CONNECT_SECONDS = 5.0


class BenchInterrupted(KeyboardInterrupt):
    """Benchmark interrupted by Ctrl-C or SIGTERM; finished cells are kept."""


class Engine(ABC):
    """Context manager that runs cells."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    @property
    @abstractmethod
    def jobs(self) -> int:
        """Number of cells that run at a time, for estimates of the duration."""

    @abstractmethod
    def run(self, cells: Sequence[Cell], bench: Path, on_finish: Callable[[Cell], None]) -> None:
        """Run cells, and return when each of them has a record in the folder of the benchmark.

        Args:
            cells: Cells without a result.
            bench: Folder of the benchmark.
            on_finish: Called in this thread when a cell has a record.

        Raises:
            BenchInterrupted: Ctrl-C or SIGTERM; running cells are stopped.
            SaveError: The disk is full.
        """


class Processes(Engine):
    """Worker processes on this machine, each with one cell at a time.

    Args:
        jobs: Number of processes; default: the number of cores that this process may use.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._jobs = available_cores() if jobs is None else jobs
        self._workers = [Worker() for _ in range(self._jobs)]
        self._idle = list(self._workers)

    @property
    def jobs(self) -> int:
        return self._jobs

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.close()

    def run(self, cells: Sequence[Cell], bench: Path, on_finish: Callable[[Cell], None]) -> None:
        stop = threading.Event()

        def work(cell: Cell) -> None:
            worker = self._idle.pop()  # there are as many workers as threads
            try:
                for attempt in range(_ATTEMPTS):
                    if stop.is_set():
                        raise StoppedError
                    try:
                        return worker.run(run_cell, cell, bench, stopped=stop.is_set)
                    except WorkerDiedError as error:
                        if attempt + 1 == _ATTEMPTS:
                            save_failure(cell, bench, f"{error}, {_ATTEMPTS} times")
            finally:
                self._idle.append(worker)

        with interruptions() as interrupted, ThreadPoolExecutor(self._jobs) as threads:
            running: dict[Future[None], Cell] = {threads.submit(work, cell): cell for cell in cells}
            stopped = False
            try:
                while running:
                    done, _ = wait(running, timeout=_SECONDS, return_when=FIRST_COMPLETED)
                    if interrupted:
                        stop.set()
                    for future in done:
                        cell = running.pop(future)
                        try:
                            future.result()
                        except StoppedError:
                            stopped = True
                        else:
                            on_finish(cell)
            finally:
                stop.set()
                threads.shutdown(cancel_futures=True)
        if stopped or interrupted:  # also after the last cell, as other stages follow
            raise BenchInterrupted


@dataclass(frozen=True)
class Submitit(Engine):
    """Jobs of a cluster, which share the cells and the folder of the benchmark.

    Args:
        num_jobs: Number of jobs.
        options: Arguments of `submitit.AutoExecutor.update_parameters`.
        cluster: `slurm`, `local`, or None for SLURM if this machine has it.
    """

    num_jobs: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    cluster: str | None = None

    @property
    def jobs(self) -> int:
        return self.num_jobs

    def run(self, cells: Sequence[Cell], bench: Path, on_finish: Callable[[Cell], None]) -> None:
        if not cells:
            return
        executor = open_executor(bench / "jobs", threads=1, options=self.options, cluster=self.cluster)
        shares = [cells[number :: self.num_jobs] for number in range(min(self.num_jobs, len(cells)))]
        with executor.batch():  # one job array
            jobs = [executor.submit(_run_share, share, bench.resolve()) for share in shares]
        waiting = {cell.key: cell for cell in cells}
        with interruptions() as interrupted:
            while not interrupted:
                done = [job.done() for job in jobs]
                for job, share, is_done in zip(jobs, shares, done, strict=True):
                    for cell in share:
                        if cell.key not in waiting:
                            continue
                        if is_done and not is_recorded(cell, bench):
                            save_failure(cell, bench, last_output(job, "cell").strip().splitlines()[-1])
                        if is_recorded(cell, bench):
                            del waiting[cell.key]
                            on_finish(cell)
                if all(done):
                    break
                time.sleep(_JOB_SECONDS)
            else:
                cancel(jobs)
        if interrupted:
            raise BenchInterrupted


def _run_share(cells: Sequence[Cell], bench: Path) -> None:
    """Run the cells of one job."""
    for cell in cells:
        if not is_recorded(cell, bench):
            run_cell(cell, bench)


@dataclass
class Ray(Engine):
    """Tasks of a Ray cluster, one for each cell; its nodes need no shared folder.

    A task that dies with its node is started again on another one. Results are written by this process.

    Args:
        address: Address of a running cluster as HOST:PORT, or None for one that is started on this machine.
        num_cpus: Number of cores of the latter.
    """

    address: str | None = None
    num_cpus: int | None = None
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    @property
    def jobs(self) -> int:
        ray: Any = import_module("ray")  # mypy sees other types where it is installed
        resources: dict[str, float] = ray.cluster_resources()
        return max(1, int(resources.get("CPU", 1)))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(environment_variable("RAY_USAGE_STATS_ENABLED", "0"))  # otherwise it reports its usage
            # Tasks that ask for no GPU still see those of their node, as processes of the other engines do
            stack.enter_context(environment_variable("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"))
            try:
                import ray
            except ImportError:
                raise InvalidConfigError("engine ray is not installed; pip install 'seqhub[ray]'") from None
            if self.address is not None:
                _require_open(self.address)
            local = {"address": "local", "num_cpus": self.num_cpus or available_cores(), "include_dashboard": False}
            options = {"address": self.address} if self.address else local
            try:
                ray.init(**options, log_to_driver=False, configure_logging=False)
            except Exception as error:  # Ray raises `Exception` itself, as where a node does not start in time
                reason = " ".join(str(error).split())
                what = f"--ray-address {self.address}: cannot connect to Ray" if self.address else "Ray does not start"
                raise InvalidConfigError(f"{what}: {reason}") from None
            stack.callback(ray.shutdown)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, cells: Sequence[Cell], bench: Path, on_finish: Callable[[Cell], None]) -> None:
        import ray

        remote = ray.remote(num_cpus=1, max_retries=_ATTEMPTS)(_run_remotely)
        tasks = {remote.remote(cell, _inputs(cell, bench)): cell for cell in cells}
        with interruptions() as interrupted:
            while tasks and not interrupted:
                done, _ = ray.wait(list(tasks), timeout=_SECONDS)
                for task in done:
                    cell = tasks.pop(task)
                    try:
                        files = ray.get(task)
                    except ray.exceptions.RayError as error:
                        save_failure(cell, bench, " ".join(str(error).split())[:500])
                    else:
                        _write(cell.folder(bench), files)
                    on_finish(cell)
            for task in tasks:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(task, force=True)
        if tasks or interrupted:
            raise BenchInterrupted


def _require_open(address: str) -> None:
    """Raise InvalidConfigError unless a server listens at HOST:PORT; Ray itself would try for a minute."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidConfigError.of("ray_address", address, "HOST:PORT, as `ray start --head` prints it")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise InvalidConfigError(f"--ray-address {address}: no answer ({error.strerror or error})") from None


def _run_remotely(cell: Cell, inputs: dict[str, bytes]) -> dict[str, bytes]:
    """Run a cell in a temporary folder of a node, and return the files of its folder."""
    with tempfile.TemporaryDirectory(prefix="seqhub-cell-") as scratch:
        bench = Path(scratch)
        if inputs:
            _write(cell.parent.folder(bench), inputs)
        run_cell(cell, bench)
        return _files(cell.folder(bench))


def _inputs(cell: Cell, bench: Path) -> dict[str, bytes]:
    """Return the files that a cell reads: the model of a `lengths` cell."""
    if cell.stage != "lengths":
        return {}
    folder = cell.parent.folder(bench)
    return {name: content for name, content in _files(folder).items() if name.startswith(f"{RUN}/")}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, the record of the cell last."""
    for name in sorted(files, key=lambda name: name == CellRecord.FILE_NAME):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, files[name])


def is_recorded(cell: Cell, bench: Path) -> bool:
    """Return True if a cell has a record."""
    return read_cell(bench, cell) is not None


def save_failure(cell: Cell, bench: Path, reason: str) -> None:
    """Write the record of a cell whose process ended without one."""
    folder = cell.folder(bench)
    folder.mkdir(parents=True, exist_ok=True)
    failed_cell(cell, " ".join(reason.split())).save(folder)
