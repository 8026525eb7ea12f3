"""Reproduction of the experiments of a paper, row by row, with its own stopping criteria.

`ROWS` are the experiments of Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8),
sections 5.1 to 5.6. Definition and stopping rule of a task are in its task file, settings that solve it in its recipe
`solve`. The original (1997) networks are in `experiments.hs97.recipes`, as written and with changes. No setting depends
on a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.experiments.hs97.recipes import network
from seqhub.metrics.classification import share_of_rows
from seqhub.records import PaperRecord, SweepRecord
from seqhub.records.hs97 import PaperRow, SeedRuns
from seqhub.sweeps.sweep import TEST_ROWS, AllFailedError, SweepProgress, sweep
from seqhub.tasks.ref import TaskField
from seqhub.tasks.schema import StoppingRule
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of
from seqhub.training.config import SPLITS, STREAM, TrainConfig
from seqhub.training.folder_lock import folder_lock
from seqhub.training.main_guard import require_main_guard
from seqhub.training.recipes import recipe

MODELS = ("lstm", "lstm_hs97", "lstm_hs97_as_written")
_AS_WRITTEN = MODELS[-1]
STOPS = ("paper", "strict")  # the criterion of the source, and the same on more sequences

_STRICT_SCALES = {"st2": 40, "st3": 2}  # by rule; other rules already cover all texts, or 10,000 sequences
_MIN_LIMIT = 50_000  # lower bound on the training sequences of an unsolved seed
_LIMIT_FACTOR = 3  # factor on the paper's count for its own networks
_VALIDATION_INTERVALS = {("legal", "paper"): 50, ("st2", "paper"): 200, ("st2", "strict"): 1_000}
_DEFAULT_INTERVAL = 100  # for rules on training sequences: a run ends at the first validation after the rule is met
_VALIDATION_SIZE = 32  # sequences to measure accuracy, which is not a stopping criterion here


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the paper's tables.

    Args:
        name: Name of the row, as in 3a-t100-n1.
        task: Task id.
        weights: Number of weights in the paper; None for the number of the network in `recipes`.
        sequences: Training sequences to the stopping criterion in the paper, a mean over trials; None for the number in
            the task file.
        wrong: Share of wrong test sequences in the paper; None for the number in the task file, if it has one.
        allowed_wrong: Number of wrong sequences that the stopping rule allows; None for that of the task.
    """

    name: str
    task: TaskField = TaskField()
    weights: int | None = None
    sequences: int | None = None
    wrong: float | None = None
    allowed_wrong: int | None = None

    @cached_property
    def stopping_rule(self) -> StoppingRule:
        """Stopping rule of the row."""
        found = stopping_rule_of(self.task, allowed_wrong=self.allowed_wrong)
        assert found is not None, f"{self.task} has no stopping rule"
        return found

    @property
    def stops(self) -> tuple[str, ...]:
        """The stops that differ for this row."""
        return STOPS if self.stopping_rule.rule in _STRICT_SCALES else STOPS[:1]

    def criterion_scale(self, stop: str) -> int:
        """Return the factor on the number of sequences that the stopping rule covers."""
        return _STRICT_SCALES[self.stopping_rule.rule] if stop == "strict" else 1

    def allowed(self, stop: str) -> int | None:
        """Return the number of wrong sequences that a stop allows; None for the share in the task file.

        On newly generated sequences, the stricter stop allows no larger share than was wrong in the paper's own test.
        """
        scale = self.criterion_scale(stop)
        if stop == "strict" and self.stopping_rule.rule == "st2" and self.paper_wrong is not None:
            return int(share_of_rows(self.paper_wrong, self.stopping_rule.window * scale))
        return None if self.allowed_wrong is None else self.allowed_wrong * scale

    @property
    def paper_weights(self) -> int:
        """Number of weights in the paper."""
        return self.weights or network(str(self.task), as_written=True).weights

    @property
    def changes(self) -> str | None:
        """Differences of the network from the paper; None if the network as written learns the task."""
        return network(str(self.task)).changes or None

    @property
    def paper_sequences(self) -> int:
        """Training sequences to the stopping criterion in the paper."""
        task, config = self.task.definition, self.task.config
        return self.sequences if self.sequences is not None else task.paper_sequences[config.name]

    @property
    def paper_wrong(self) -> float | None:
        """Share of wrong test sequences in the paper."""
        task, config = self.task.definition, self.task.config
        return self.wrong if self.wrong is not None else task.paper_wrong.get(config.name)

    def max_sequences(self, model: str) -> int:
        """Return the number of training sequences after which a seed ends unsolved.

        It is the paper's count plus the sequences that the stopping rule covers. That count is a mean, so it is
        multiplied for the paper's own networks.
        """
        factor = 1 if model == MODELS[0] else _LIMIT_FACTOR
        return max(_MIN_LIMIT, factor * self.paper_sequences) + self.stopping_rule.window * self.criterion_scale(
            self.stops[-1]
        )

    def config(self, folder: Path, model: str, stop: str) -> TrainConfig:
        """Return the settings of all runs of this row, from the recipe or the original (1997) network."""
        recommended = recipe(self.task, MODELS[0])
        if model != MODELS[0]:
            original = network(str(self.task), as_written=model == _AS_WRITTEN)
            recommended = {"data": recommended.get("data", STREAM)} | original.settings()
        settings = {
            "model": model,
            **recommended,
            "stop_at": "paper",
            "criterion_scale": self.criterion_scale(stop),
            "allowed_wrong": self.allowed(stop),
            "max_sequences": self.max_sequences(model),
            "evaluate_every": _VALIDATION_INTERVALS.get((self.stopping_rule.rule, stop), _DEFAULT_INTERVAL),
            "evaluate_size": _VALIDATION_SIZE,
        }
        if settings.get("data") == SPLITS:  # fixed rows: enough epochs for max_sequences
            settings["epochs"] = -(-self.max_sequences(model) // (Split(self.task, "train").size or 1))
        return TrainConfig(task=self.task, output_dir=folder, **settings)


_PRODUCT = "multiplication/hs97-t100"
_LAGS = (
    (50, 50),
    (100, 100),
    (200, 200),
    (500, 500),
    (1_000, 1_000),
    (1_000, 500),
    (1_000, 200),
    (1_000, 100),
    (1_000, 50),
)
_SIGNALS = (
    *("3a-t100-n3", "3a-t100-n1", "3a-t1000-n3"),
    *("3b-t100-n3", "3b-t100-n1", "3b-t1000-n1"),
    *("3c-t100-n3", "3c-t100-n1"),
)

ROWS = (
    Row(name="1", task="embedded_reber/hs97"),
    Row(name="2a", task="long_lag/2a-p100"),
    Row(name="2b", task="long_lag/2b-p100", weights=10_504),
    *(Row(name=f"2c-q{q}-p{p}", task=f"long_lag/2c-q{q}-p{p}") for q, p in _LAGS),
    *(Row(name=name, task=f"two_sequence/{name}") for name in _SIGNALS),
    *(Row(name=f"4-t{t}", task=f"adding/hs97-t{t}") for t in (100, 500, 1_000)),
    Row(name="5-n140", task=_PRODUCT),
    Row(name="5-n13", task=_PRODUCT, sequences=1_273_000, wrong=14 / 2560, allowed_wrong=12),
    Row(name="6a", task="qrsu/hs97"),
    Row(name="6b", task="temporal_order_3bit/hard"),
)


def rows_of(names: Sequence[str] = ()) -> tuple[Row, ...]:
    """Return rows by name or by the part of the name before a dash, as in 3a; without names, all rows.

    Raises:
        UnknownNameError: There is no such row.

    >>> [row.name for row in rows_of(["5", "6a"])]
    ['5-n140', '5-n13', '6a']
    """
    for name in names:
        if not any(_matches(row, name) for row in ROWS):
            raise UnknownNameError.of("row", name, [row.name for row in ROWS])
    return tuple(row for row in ROWS if not names or any(_matches(row, name) for name in names))


def _matches(row: Row, name: str) -> bool:
    return row.name == name or row.name.startswith(f"{name}-")


def run_rows(
    rows: Sequence[Row],
    folder: Path,
    seeds: Sequence[int],
    *,
    model: str = "lstm",
    threads: int | None = None,
    callback: Callable[[Row, str, SweepProgress | SweepRecord], None] | None = None,
) -> PaperRecord:
    """Run rows one after the other, each from all seeds, and save a record of all rows in a folder.

    Completed runs with the same settings are not repeated, so an interrupted call can be continued.

    Args:
        rows: Rows of `ROWS`.
        folder: Folder for the sweep of each row, model and stop, and for the record. Rows that the record already has
            are kept.
        seeds: Seeds of each row.
        model: One of MODELS; for lstm_hs97_as_written, rows whose network has no changes are skipped.
        threads: Number of runs at a time; None for the number of cores that this process may use.
        callback: Called with the row and its stop after each seed and after each sweep.

    Raises:
        UnknownNameError: There is no such model.
        InvalidConfigError: The folder contains runs with other settings, or no network of the rows has changes.
        OutputExistsError: Another process uses the folder.
        AllFailedError: All seeds of a row failed; the other rows have been run.
        SaveError: The record cannot be written.
        SweepInterrupted: Ctrl-C or SIGTERM.
    """
    require_main_guard()
    if model not in MODELS:
        raise UnknownNameError.of("model of the paper's rows", model, MODELS)
    if model == _AS_WRITTEN:
        rows = _with_changes(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        return _run_rows(rows, folder, seeds, model=model, threads=threads, callback=callback)


def _run_rows(
    rows: Sequence[Row],
    folder: Path,
    seeds: Sequence[int],
    *,
    model: str,
    threads: int | None,
    callback: Callable[[Row, str, SweepProgress | SweepRecord], None] | None,
) -> PaperRecord:
    record = PaperRecord.load(folder) if (folder / PaperRecord.FILE_NAME).exists() else PaperRecord(rows={})
    plans = [(row, stop) for row in rows for stop in (row.stops if model == "lstm" else STOPS[:1])]
    configs = [row.config(folder / model / row.name / stop, model, stop) for row, stop in plans]
    failures = []
    for (row, stop), config in zip(plans, configs, strict=True):
        notify = None if callback is None else partial(callback, row, stop)
        try:
            done = sweep(config, seeds, threads=threads, resume=True, callback=notify)
        except AllFailedError as error:
            failures.append(f"{row.name} {stop}: {error}")
            continue
        previous = record.rows.get(row.name)
        results = {} if previous is None else previous["results"]
        model_results = results.get(model, {}) | {stop: _seed_runs(done, row)}
        record.rows[row.name] = _paper_row(row, results | {model: model_results})
        record.rows = {each.name: record.rows[each.name] for each in ROWS if each.name in record.rows}
        record.save(folder)
        if callback is not None:
            callback(row, stop, done)
    if failures:
        raise AllFailedError("; ".join(failures))
    return record


def _with_changes(rows: Sequence[Row]) -> list[Row]:
    changed = [row for row in rows if row.changes]
    if not changed:
        names = ", ".join(row.name for row in rows)
        raise InvalidConfigError(
            f"model {_AS_WRITTEN} for {names}: must include a row with changes; without changes it is lstm_hs97"
        )
    return changed


def _paper_row(row: Row, results: dict[str, dict[str, SeedRuns]]) -> PaperRow:
    """Return a row of the record: numbers of the paper and results of runs."""
    stopping_rule = {each.name: getattr(row.stopping_rule, each.name) for each in fields(row.stopping_rule)}
    return {
        "address": str(row.task),
        "success": stopping_rule,
        "weights": row.paper_weights,
        "sequences": row.paper_sequences,
        "wrong": row.paper_wrong,
        "changes": row.changes,
        "results": results,
    }


def _seed_runs(done: SweepRecord, row: Row) -> SeedRuns:
    """Return the results of the seeds of a sweep."""
    size = Split(row.task, "test").size
    return {
        "seeds": [run["seed"] for run in done.runs],
        "sequences": [run["criteria"]["paper"] for run in done.runs],
        "seen": [run["sequences_seen"] for run in done.runs],
        "test_wrong": [int(run["test"]["paper_wrong"]) for run in done.runs],
        "test_rows": TEST_ROWS if size is None else min(TEST_ROWS, size),
        "seconds": [run["seconds"] for run in done.runs],
        "failed": done.failed,
        "parameters": done.num_parameters,
        "model_config": done.model_config,
        "training": done.training,
        "native": done.native,
        "threads": done.threads,
        "environment": done.environment,
        "command": done.command,
    }
