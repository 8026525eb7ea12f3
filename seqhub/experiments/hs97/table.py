"""The experiments of a paper, row by row: what it says, and what runs of this package come to by its own criteria.

`ROWS` are those of Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), sections 5.1 to
5.6. What a task is and when it counts as solved stands in its task file, and what solves it in its recipe `solve`;
the networks of 1997 stand in `recipes.hs97`, as the paper writes of them and with what it takes to learn. No setting
depends on a seed.
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

_STRICTNESS = {"st2": 40, "st3": 2}  # other rules look at all texts, or at ten thousand sequences, already
_LEAST_MOST = 50_000  # no seed is called unsolved before so many training sequences
_ITS_OWN_TIMES = 3
_EVERY = {("legal", "paper"): 50, ("st2", "paper"): 200, ("st2", "strict"): 1_000}  # sequences from check to check
_OTHERWISE_EVERY = 100  # where checks decide nothing: a run ends at the one after its success, and is tested there
_EVALUATE = 32  # sequences of the check of accuracy, by which no row goes


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the paper's tables.

    Args:
        name: As in 3a-t100-n1.
        task: Task and config.
        other_weights: Of the network there, where the task here takes another number.
        sequences: To success there, a mean over trials; None for what the task file says.
        wrong: Share of the test sequences that were wrong there; None for what the task file says, if anything.
        allowed_wrong: Of the window of the criterion, where it is not that of the task.
    """

    name: str
    task: TaskField = TaskField()
    other_weights: int | None = None
    sequences: int | None = None
    wrong: float | None = None
    allowed_wrong: int | None = None

    @cached_property
    def stopping_rule(self) -> StoppingRule:
        """When a run of this row is successful."""
        found = stopping_rule_of(self.task, allowed_wrong=self.allowed_wrong)
        assert found is not None, f"{self.task} has no criterion"
        return found

    @property
    def stops(self) -> tuple[str, ...]:
        """Those of STOPS that make a difference here."""
        return STOPS if self.stopping_rule.rule in _STRICTNESS else STOPS[:1]

    def criterion_scale(self, stop: str) -> int:
        """Times as many sequences as the source looks at."""
        return _STRICTNESS[self.stopping_rule.rule] if stop == "strict" else 1

    def allowed(self, stop: str) -> int | None:
        """How many of the sequences that a stop looks at may be wrong; None for the share that the task file says.

        The stricter stop on fresh sequences allows no larger share than was wrong in the paper's own test.
        """
        times = self.criterion_scale(stop)
        if stop == "strict" and self.stopping_rule.rule == "st2" and self.paper_wrong is not None:
            return int(share_of_rows(self.paper_wrong, self.stopping_rule.window * times))
        return None if self.allowed_wrong is None else self.allowed_wrong * times

    @property
    def weights(self) -> int:
        """Of the network in the paper."""
        return self.other_weights or network(str(self.task), as_written=True).weights

    @property
    def changes(self) -> str | None:
        """What is not as the paper has it in its network here, where that does not learn as it stands there."""
        return network(str(self.task)).changes or None

    @property
    def paper_sequences(self) -> int:
        """Training sequences to success in the paper."""
        task, config = self.task.definition, self.task.config
        return self.sequences if self.sequences is not None else task.paper_sequences[config.name]

    @property
    def paper_wrong(self) -> float | None:
        """Share of wrong test sequences in the paper."""
        task, config = self.task.definition, self.task.config
        return self.wrong if self.wrong is not None else task.paper_wrong.get(config.name)

    def most(self, model: str) -> int:
        """Training sequences after which a seed ends unsolved: those of the paper, and what a criterion looks at.

        The paper's are a mean, so its own network may take some times as many.
        """
        times = 1 if model == MODELS[0] else _ITS_OWN_TIMES
        return max(_LEAST_MOST, times * self.paper_sequences) + self.stopping_rule.window * self.criterion_scale(
            self.stops[-1]
        )

    def config(self, folder: Path, model: str, stop: str) -> TrainConfig:
        """Settings of all runs of this row: those of the recipe, or of the network of 1997, and when they end."""
        recommended = recipe(self.task, MODELS[0])
        if model != MODELS[0]:
            of_1997 = network(str(self.task), as_written=model == _AS_WRITTEN)
            recommended = {"data": recommended.get("data", STREAM)} | of_1997.settings()
        settings = {
            "model": model,
            **recommended,
            "stop_at": "paper",
            "criterion_scale": self.criterion_scale(stop),
            "allowed_wrong": self.allowed(stop),
            "max_sequences": self.most(model),
            "evaluate_every": _EVERY.get((self.stopping_rule.rule, stop), _OTHERWISE_EVERY),
            "evaluate_size": _EVALUATE,
        }
        if settings.get("data") == SPLITS:  # rows that are given: as many passes as that takes
            settings["epochs"] = -(-self.most(model) // (Split(self.task, "train").size or 1))
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
    Row(name="2b", task="long_lag/2b-p100", other_weights=10_504),
    *(Row(name=f"2c-q{q}-p{p}", task=f"long_lag/2c-q{q}-p{p}") for q, p in _LAGS),
    *(Row(name=name, task=f"two_sequence/{name}") for name in _SIGNALS),
    *(Row(name=f"4-t{t}", task=f"adding/hs97-t{t}") for t in (100, 500, 1_000)),
    Row(name="5-n140", task=_PRODUCT),
    Row(name="5-n13", task=_PRODUCT, sequences=1_273_000, wrong=14 / 2560, allowed_wrong=12),
    Row(name="6a", task="qrsu/hs97"),
    Row(name="6b", task="temporal_order_3bit/hard"),
)


def rows_of(names: Sequence[str] = ()) -> tuple[Row, ...]:
    """Rows by name, or by the start of their names up to a dash, as 3a for all of 3a; all where none is named.

    Raises:
        UnknownNameError: No such row.

    >>> [row.name for row in rows_of(["5", "6a"])]
    ['5-n140', '5-n13', '6a']
    """
    for name in names:
        if not any(_belongs(row, name) for row in ROWS):
            raise UnknownNameError.of("row", name, [row.name for row in ROWS])
    return tuple(row for row in ROWS if not names or any(_belongs(row, name) for name in names))


def _belongs(row: Row, name: str) -> bool:
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
    """Run rows, one after the other, each from all seeds, and keep a record of all that stand in a folder.

    What has been run with the same settings is not run again, so a stopped call goes on where it was.

    Args:
        rows: Some of `ROWS`.
        folder: Holds the sweep of each row, model and stop, and the record, which other calls may have begun.
        seeds: Of each row.
        model: One of MODELS; rows whose network has no changes are passed over as written.
        threads: Runs at a time; the cores that this process may use by default.
        callback: Called with the row and its stop, whenever a seed has ended and once a sweep has.

    Raises:
        UnknownNameError: No such model.
        InvalidConfigError: The folder holds runs of other settings, or the networks of all rows are as written anyway.
        OutputExistsError: Another process uses the folder.
        AllFailedError: All seeds of a row failed; the others have been run.
        SaveError: The disk is full.
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
    known = PaperRecord.load(folder) if (folder / PaperRecord.FILE_NAME).exists() else PaperRecord(rows={})
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
        before = known.rows.get(row.name)
        results = {} if before is None else before["results"]
        mine = results.get(model, {}) | {stop: _result(done, row)}
        known.rows[row.name] = _facts(row, results | {model: mine})
        known.rows = {each.name: known.rows[each.name] for each in ROWS if each.name in known.rows}
        known.save(folder)
        if callback is not None:
            callback(row, stop, done)
    if failures:
        raise AllFailedError("; ".join(failures))
    return known


def _with_changes(rows: Sequence[Row]) -> list[Row]:
    changed = [row for row in rows if row.changes]
    if not changed:
        names = ", ".join(row.name for row in rows)
        raise InvalidConfigError(f"model {_AS_WRITTEN} for {names}; need a row with changes, as lstm_hs97 is that")
    return changed


def _facts(row: Row, results: dict[str, dict[str, SeedRuns]]) -> PaperRow:
    """Return a row of the record: numbers of the paper, and results of runs."""
    stopping_rule = {each.name: getattr(row.stopping_rule, each.name) for each in fields(row.stopping_rule)}
    return {
        "address": str(row.task),
        "success": stopping_rule,
        "weights": row.weights,
        "sequences": row.paper_sequences,
        "wrong": row.paper_wrong,
        "changes": row.changes,
        "results": results,
    }


def _result(done: SweepRecord, row: Row) -> SeedRuns:
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
