"""Run of a benchmark, stage by stage: probe, tune, seeds, lengths.

The folder of a benchmark has `cells/` (see `cell`), `grid.json`, the settings of the grid, and, at the end or after an
interruption, `bench.json`, the page `README.md` and its figures.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError
from seqhub.experiments.bench.cell import CELLS, STAGES, Cell, Stage, read_cell, read_cells
from seqhub.experiments.bench.engines import Engine
from seqhub.experiments.bench.grid import (
    TUNING_SEED,
    VALIDATIONS,
    Grid,
    Unit,
    mean_length,
    probe_cell,
    require_same_grid,
    validation_rows,
)
from seqhub.experiments.bench.page import write_page
from seqhub.experiments.bench.summary import bench_record
from seqhub.io import write_atomically
from seqhub.records import BenchRecord
from seqhub.records.bench import CellRecord
from seqhub.training.folder_lock import folder_lock
from seqhub.training.launch import require_one_process, require_supported_settings
from seqhub.training.main_guard import require_main_guard

GRID = "grid.json"


class BenchProgress(NamedTuple):
    """Progress of a stage, in numbers of cells."""

    stage: Stage
    total: int
    done: int
    failed: int
    cell: str = ""  # the last one


@dataclass(frozen=True)
class Estimate:
    """Cells of a benchmark and their estimated time.

    Args:
        cells: Stage -> number of cells.
        finished: Stage -> number of cells with a result.
        hours: Estimated hours of the other cells, from measured timings; runs may end early.
        omitted: Units that are omitted because of `max_hours`.
        failed: Unit -> error message, of units that cannot be run.
    """

    cells: dict[Stage, int]
    finished: dict[Stage, int]
    hours: float
    omitted: tuple[Unit, ...]
    failed: dict[Unit, str]


def bench(
    grid: Grid,
    folder: Path,
    engine: Engine,
    *,
    resume: bool = False,
    max_hours: float | None = None,
    callback: Callable[[BenchProgress], None] | None = None,
) -> BenchRecord:
    """Run all cells of a grid that have no result yet, and write the record, page and figures of the benchmark.

    Args:
        grid: Models, tasks and settings.
        folder: Folder of the benchmark.
        engine: Engine that runs the cells.
        resume: Continue or extend the benchmark in the folder. Failed cells are run again.
        max_hours: Omit the last tasks, with all their models, whose cells would take more hours than this.
        callback: Called when a cell has ended.

    Raises:
        OutputExistsError: The folder has something else, another grid, or this one without `resume`, or another process
            uses it.
        InvalidConfigError: The budget is less than a batch, or `max_hours` is not enough for the first task.
        UnknownNameError: No such task.
        BenchInterrupted: Ctrl-C or SIGTERM.
        SaveError: The disk is full.
    """
    require_main_guard()
    require_one_process("a benchmark")
    require_supported_settings()
    started = time.perf_counter()
    grid.require_budget()
    with ExitStack() as stack:
        _check_folder(grid, folder, resume)
        stack.enter_context(engine)  # before the folder is made, as the engine may be missing
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(folder_lock(folder))
        write_atomically(folder / GRID, json.dumps(grid.as_json(), indent=2) + "\n")
        run = _Run(grid, folder, engine, callback)
        try:
            run.probes()
            plan = run.plan(max_hours)
            run.stage("tune", [cell for unit in plan for cell in run.tuning(unit)])
            run.stage("seeds", [cell for unit in plan for cell in run.seeds(unit)])
            run.stage("lengths", [cell for unit in plan for cell in run.lengths(unit)])
        finally:
            record = bench_record(read_cells(folder).values(), grid.as_json())
            record.timings["wall"] = round(time.perf_counter() - started, 3)
            write_page(record, folder)
    return record


def estimate(grid: Grid, folder: Path, engine: Engine, max_hours: float | None = None) -> Estimate:
    """Return the number of cells of a grid, and their estimated time; only the probes are run.

    Results in the folder count as finished; it is not changed.

    Raises:
        InvalidConfigError, UnknownNameError: See `bench`.
    """
    grid.require_budget()
    with tempfile.TemporaryDirectory(prefix="seqhub-bench-") as scratch, engine:
        if (folder / CELLS).is_dir():
            ignored = shutil.ignore_patterns("run")
            shutil.copytree(folder / CELLS, Path(scratch) / CELLS, ignore=ignored)
        run = _Run(grid, Path(scratch), engine, None)
        run.probes()
        plan = run.plan(max_hours)
        total, finished = dict.fromkeys(STAGES, 0), dict.fromkeys(STAGES, 0)
        total["probe"], finished["probe"] = len(run.units), sum(unit not in run.failed for unit in run.units)
        for unit in plan:
            for stage, (count, cells) in run.counts(unit).items():
                total[stage] += count
                finished[stage] += sum(run.is_finished(cell) for cell in cells)
        omitted = tuple(unit for unit in run.units if unit not in plan and unit not in run.failed)
        return Estimate(total, finished, sum(map(run.hours, plan)), omitted, run.failed)


class _Run:
    """Cells of a grid in a folder.

    Attributes:
        units: All units of the grid.
        failed: Unit -> reason, of units whose probe failed.
    """

    def __init__(
        self, grid: Grid, folder: Path, engine: Engine, callback: Callable[[BenchProgress], None] | None
    ) -> None:
        self.units = grid.units()
        self.failed: dict[Unit, str] = {}
        self._grid, self._folder, self._engine, self._callback = grid, folder, engine, callback
        self._probes = {unit: probe_cell(grid, unit) for unit in self.units}
        self._sizes: dict[Unit, dict[str, Any]] = {}

    def stage(self, stage: Stage, cells: Sequence[Cell]) -> None:
        """Run the cells of a stage that have no result."""
        pending = [cell for cell in cells if not self.is_finished(cell)]
        for cell in pending:
            (cell.folder(self._folder) / CellRecord.FILE_NAME).unlink(missing_ok=True)  # failed before
        failed = 0

        def report(cell: Cell | None = None) -> None:
            nonlocal failed
            record = None if cell is None else read_cell(self._folder, cell)
            failed += record is not None and record.status == "failed"
            if self._callback is not None:
                done = len(cells) - len(pending) + ended
                self._callback(BenchProgress(stage, len(cells), done, failed, "" if cell is None else str(cell)))

        ended = 0
        report()

        def on_finish(cell: Cell) -> None:
            nonlocal ended
            ended += 1
            report(cell)

        if pending:
            self._engine.run(pending, self._folder, on_finish)

    def probes(self) -> None:
        """Measure sizes and speed of all units; sets `failed`."""
        self.stage("probe", list(self._probes.values()))
        for unit, cell in self._probes.items():
            record = read_cell(self._folder, cell)
            assert record is not None, "the engine returns when all cells have a record"
            if record.status == "finished":
                self._sizes[unit] = record.result
            else:
                self.failed[unit] = record.reason

    def plan(self, max_hours: float | None) -> list[Unit]:
        """Return the units to run: all that can be, or those of as many tasks as `max_hours` allows."""
        groups: dict[tuple[Any, ...], list[Unit]] = {}
        for unit in self.units:
            if unit not in self.failed:
                groups.setdefault((unit.params, unit.task), []).append(unit)
        plan: list[Unit] = []
        hours = 0.0
        for members in groups.values():
            hours += sum(map(self.hours, members))
            if max_hours is not None and hours > max_hours:
                if not plan:
                    raise InvalidConfigError.of(
                        "max_hours", max_hours, f"at least {hours:.3g}, the estimated hours of the first task",
                        members[0].task,
                    )  # fmt: skip
                break
            plan += members
        return plan

    def tuning(self, unit: Unit) -> list[Cell]:
        """Return the cells that choose the learning rate of a unit; none if there is only one."""
        grid = self._grid
        if len(grid.learning_rates) == 1:
            return []
        seeds = range(TUNING_SEED, TUNING_SEED + grid.tuning_seeds)
        return [self._cell(unit, "tune", rate, seed) for rate in self._rates(unit) for seed in seeds]

    def seeds(self, unit: Unit) -> list[Cell]:
        """Return the cells that train a unit for the results; none if no learning rate could be chosen."""
        rate = self._chosen_rate(unit)
        return [] if rate is None else [self._cell(unit, "seeds", rate, seed) for seed in range(self._grid.seeds)]

    def lengths(self, unit: Unit) -> list[Cell]:
        """Return the cells that evaluate the trained models of a unit on each test distribution."""
        trained = [cell for cell in self.seeds(unit) if self._status(cell) == "finished"]
        names = unit.task.test_distributions
        return [replace(cell, stage="lengths", distribution=name) for cell in trained for name in names]

    def counts(self, unit: Unit) -> dict[Stage, tuple[int, list[Cell]]]:
        """Return, for each stage after the probe, the number of cells of a unit and those that are known so far."""
        grid, distributions = self._grid, len(unit.task.test_distributions)
        return {
            "tune": (len(self.tuning(unit)), self.tuning(unit)),
            "seeds": (grid.seeds, self.seeds(unit)),
            "lengths": (grid.seeds * distributions, self.lengths(unit)),
        }

    def hours(self, unit: Unit) -> float:
        """Return the estimated hours of the cells of a unit that have no result, on all jobs of the engine."""
        sizes, rows = self._sizes[unit], self._grid.rows
        counts = {
            stage: count - sum(map(self.is_finished, cells)) for stage, (count, cells) in self.counts(unit).items()
        }
        evaluate, length, budget = (
            sizes["evaluate_ms_per_token"],
            mean_length(unit.task),
            self._grid.budget_of(unit.task),
        )
        evaluated = (VALIDATIONS * validation_rows(budget, unit.task) + rows) * length
        run = sizes["ms_per_token"] * budget + evaluate * evaluated
        lengths = [mean_length(ref) for ref in unit.task.test_distributions.values()]
        test = evaluate * rows * sum(lengths) / max(1, len(lengths))
        milliseconds: float = (counts["tune"] + counts["seeds"]) * run + counts["lengths"] * test
        return milliseconds / 3.6e6 / self._engine.jobs

    def is_finished(self, cell: Cell) -> bool:
        """Return True if a cell has a result; a cell that failed has none."""
        return self._status(cell) in ("finished", "diverged")

    def _status(self, cell: Cell) -> str | None:
        record = read_cell(self._folder, cell)
        return None if record is None else record.status

    def _rates(self, unit: Unit) -> list[float]:
        factor = self._grid.recipe(unit.model)["learning_rate_factor"]
        return [rate * factor for rate in self._grid.learning_rates]

    def _cell(self, unit: Unit, stage: Stage, rate: float, seed: int) -> Cell:
        return replace(
            self._probes[unit],
            stage=stage,
            sized_model=self._sizes[unit]["sized_model"],
            budget=self._grid.budget_of(unit.task),
            learning_rate=rate,
            seed=seed,
            rows=self._grid.rows,
        )

    def _chosen_rate(self, unit: Unit) -> float | None:
        """Return the learning rate with the best median on validation rows; None if it is not known.

        Ties are decided by fewer training tokens, then by the lower loss.
        """
        cells = self.tuning(unit)
        if not cells:
            return self._rates(unit)[0]
        if not all(self._status(cell) for cell in cells):
            return None
        ranks = {}
        for rate in self._rates(unit):
            records = [read_cell(self._folder, cell) for cell in cells if cell.learning_rate == rate]
            results = [record.result for record in records if record is not None and record.status == "finished"]
            if results:
                ranks[rate] = _rank(results, len(records))
        return max(ranks, key=ranks.__getitem__) if ranks else None


def _rank(results: Sequence[dict[str, Any]], seeds: int) -> tuple[float, float, float]:
    """Return the key by which learning rates are compared; runs without a result count as accuracy 0."""
    from statistics import median

    accuracies = [result["accuracy"] for result in results] + [0.0] * (seeds - len(results))
    losses = [float("inf") if result["loss"] is None else result["loss"] for result in results]
    return median(accuracies), -median(result["tokens"] for result in results), -median(losses)


def _check_folder(grid: Grid, folder: Path, resume: bool) -> None:
    """Raise OutputExistsError or CorruptFileError unless the folder can have the cells of a grid."""
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file; give another output folder")
    content = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if content and not content & {GRID, CELLS}:
        raise OutputExistsError(f"{folder} is not empty; give another output folder")
    if GRID in content:
        if not resume:
            raise OutputExistsError(
                f"{folder} contains a benchmark; --resume continues it, or give another output folder"
            )
        require_same_grid(folder, _read_json(folder / GRID), grid)
    read_cells(folder)  # raises an error for cells of another version


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptFileError(f"{path} is not valid JSON: {error}") from None
    return values
