"""Summary of cells: medians, ranges and solved seeds by task, model, size and budget.

It is computed from the records of the cells only, so the cells of several benchmarks are summarised in the same way.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from seqhub.experiments.bench.grid import RECIPE, SOLVED
from seqhub.records import BenchRecord, command_line, environment
from seqhub.records.bench import BenchRow, CellRecord, DistributionRow
from seqhub.sweeps.summary import distribution

TEST = "test"  # name of the distribution that has the lengths of training


class Group(NamedTuple):
    """Size and budget, within which models are compared; some tasks may have budgets of their own."""

    params: int | None
    budget: int
    others: tuple[tuple[str, int], ...] = ()  # task id, budget

    def __str__(self) -> str:
        size = "own size of each model" if self.params is None else f"{self.params:,} parameters"
        others = ", ".join(f"{task}: {budget:,}" for task, budget in self.others)
        return f"{size}, {self.budget:,} training tokens" + (f" ({others})" if others else "")

    @property
    def slug(self) -> str:
        """Part of a file name."""
        return f"{self.params or 'own'}-{self.budget}"


def bench_record(cells: Iterable[CellRecord], grid: Mapping[str, Any]) -> BenchRecord:
    """Return the record of a benchmark.

    Args:
        cells: Records of all cells, in any order.
        grid: Settings of the grid; empty for the union of several benchmarks.
    """
    records = sorted(cells, key=lambda record: json.dumps(record.settings, sort_keys=True))
    seconds = {
        stage: sum(record.timings.get("cell", 0.0) for record in records if record.settings["stage"] == stage)
        for stage in dict.fromkeys(record.settings["stage"] for record in records)
    }
    return BenchRecord(
        grid=dict(grid),
        rows=_in_order(_with_missing(summarize(records), grid), grid),
        cells=[record.as_json() for record in records],
        timings={stage: round(total, 3) for stage, total in seconds.items()},
        environment=environment(),
        command=command_line() if grid else "",  # cells of several benchmarks have no common one
    )


def summarize(records: Sequence[CellRecord]) -> list[BenchRow]:
    """Return one row for each task, model, size, budget, recipe and chosen learning rate."""
    probes = {_unit(record.settings): record for record in records if record.settings["stage"] == "probe"}
    runs: dict[str, list[CellRecord]] = {}
    for record in records:
        if record.settings["stage"] in ("seeds", "lengths"):
            settings: Mapping[str, Any] = record.settings
            names = ("budget", "learning_rate", "rows", "sized_model")
            key = json.dumps([_unit(settings), *(settings[name] for name in names)])
            runs.setdefault(key, []).append(record)
    rows = [_row(members, probes.get(_unit(members[0].settings))) for members in runs.values()]
    return rows + _without_runs(records, {_unit(members[0].settings) for members in runs.values()})


def groups(rows: Iterable[BenchRow]) -> dict[Group, list[BenchRow]]:
    """Return the rows by size and budget; within a group one row for each model and task, that with the most seeds.

    If each task has one budget, all rows of a size are one group. A row whose probe failed has no budget yet, and is in
    all groups of its size.
    """
    rows = list(rows)
    found: dict[Group, dict[tuple[str, str], BenchRow]] = {}
    for params in dict.fromkeys(row["params"] for row in rows):
        own = [row for row in rows if row["params"] == params]
        pairs = dict.fromkeys((row["task"], row["budget"]) for row in own if row["budget"])
        budgets = [budget for _, budget in pairs] or [0]
        common = max(budgets, key=budgets.count)
        if len(pairs) == len({task for task, _ in pairs}):
            found[Group(params, common, tuple(pair for pair in pairs if pair[1] != common))] = {}
        else:
            found |= {Group(params, budget): {} for budget in budgets}
    for group, members in found.items():
        allowed = dict(group.others)
        for row in rows:
            name = (row["task"], row["model"])
            budget = allowed.get(row["task"], group.budget)
            if row["params"] != group.params or row["budget"] not in (0, budget):
                continue
            if name not in members or len(members[name]["seeds"]) < len(row["seeds"]):
                members[name] = row
    return {group: list(members.values()) for group, members in found.items()}


def compared_distributions(rows: Sequence[BenchRow]) -> dict[str, str]:
    """Return, for each task, the longest test distribution on which all models with results were tested."""
    found = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        tested = [row["distributions"] for row in rows if row["task"] == task and row["distributions"]]
        if not tested:
            continue
        common = [name for name in tested[0] if all(name in each for each in tested)]
        found[task] = max(common, key=lambda name: (tested[0][name]["mean_length"], name), default=TEST)
    return found


def _unit(settings: Mapping[str, Any]) -> str:
    """Return what a probe, the tuning runs and the results of a row have in common."""
    return json.dumps([settings[name] for name in ("task", "data", "model", "code", "params", "recipe")])


def _row(records: Sequence[CellRecord], probe: CellRecord | None) -> BenchRow:
    """Return the row of the `seeds` and `lengths` cells of one model on one task."""
    settings = records[0].settings
    runs = {record.settings["seed"]: record for record in records if record.settings["stage"] == "seeds"}
    diverged = {seed: record.reason for seed, record in sorted(runs.items()) if record.status == "diverged"}
    results: dict[str, dict[int, CellRecord]] = {}
    for record in records:
        name = record.settings["distribution"] or TEST
        results.setdefault(name, {})[record.settings["seed"] or 0] = record
    solved = [run.result["solved_at"] for run in runs.values() if run.status == "finished"]
    row: BenchRow = {
        **_identity(settings),  # type: ignore[typeddict-item]
        "sized_model": settings["sized_model"],
        "learning_rate": settings["learning_rate"],
        "seeds": sorted(seed for seed, record in runs.items() if record.status != "failed"),
        "tokens": distribution(solved),
        "failed": {str(seed): run.reason for seed, run in sorted(runs.items()) if run.status == "failed"},
        "diverged": {str(seed): reason for seed, reason in diverged.items()},
        "distributions": {
            name: summary
            for name, of_seed in sorted(results.items(), key=lambda item: item[0] != TEST)
            if (summary := _distribution(of_seed, diverged)) is not None
        },
    }
    if probe is not None and probe.status == "finished":
        names = ("parameters", "core_parameters", "state_floats", "ms_per_token")
        row.update(cast("BenchRow", {name: probe.result[name] for name in names}))
    return row


def _distribution(of_seed: Mapping[int, CellRecord], diverged: Mapping[int, str]) -> DistributionRow | None:
    """Return the results on one distribution; None without any."""
    results = {seed: record.result for seed, record in of_seed.items() if record.status == "finished"}
    if not results:
        return None
    first = next(iter(results.values()))
    accuracies = [result["accuracy"] for result in results.values()] + [first["chance"]] * len(diverged)
    scores = [result["score"] for result in results.values()] + [0.0] * len(diverged)
    return {
        "length": first["length"],
        "mean_length": first["mean_length"],
        "chance": first["chance"],
        "seeds": len(results) + len(diverged),
        "solved": sum(result["accuracy"] >= SOLVED for result in results.values()),
        "accuracy": distribution(accuracies),
        "score": distribution(scores),
        "failed": {str(seed): record.reason for seed, record in sorted(of_seed.items()) if record.status == "failed"},
    }


def _without_runs(records: Sequence[CellRecord], known: set[str]) -> list[BenchRow]:
    """Return rows for models without any run for results: their probe or all their tuning runs failed."""
    rows: dict[str, BenchRow] = {}
    tuned = {
        _unit(record.settings)
        for record in records
        if record.settings["stage"] == "tune" and record.status == "finished"
    }
    for record in records:
        unit, stage = _unit(record.settings), record.settings["stage"]
        if unit in known | tuned or record.status == "finished" or stage not in ("probe", "tune"):
            continue
        row = rows.setdefault(unit, _empty_row(record.settings))
        row["failed"].setdefault(stage, record.reason)
    return list(rows.values())


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    recipe = settings["recipe"]
    return {
        "task": settings["task"],
        "model": settings["model"],
        "params": settings["params"],
        "budget": settings["budget"] or 0,
        "exceptions": {name: value for name, value in recipe.items() if RECIPE.get(name) != value},
    }


def _with_missing(rows: list[BenchRow], grid: Mapping[str, Any]) -> list[BenchRow]:
    """Return rows and an empty row for each model and task of the grid that has not been run."""
    missing: list[BenchRow] = []
    for params in (grid["params"] or [None]) if grid else ():
        for task in grid["tasks"]:
            for model in grid["models"]:
                unit, budget = (task, model, params), grid["budgets"].get(task, grid["budget"])
                if not any(
                    (row["task"], row["model"], row["params"]) == unit and row["budget"] in (0, budget) for row in rows
                ):
                    recipe = RECIPE | grid["recipes"].get(model, {})
                    names = {"task": task, "model": model, "params": params, "budget": budget}
                    missing.append(_empty_row(names | {"recipe": recipe}))
    return rows + missing


def _empty_row(settings: Mapping[str, Any]) -> BenchRow:
    """Return a row without results."""
    return {**_identity(settings), "seeds": [], "failed": {}, "diverged": {}, "distributions": {}}  # type: ignore[typeddict-item]


def _in_order(rows: list[BenchRow], grid: Mapping[str, Any]) -> list[BenchRow]:
    """Return rows in the order of the grid; those of other benchmarks follow, by name."""
    tasks, models = grid.get("tasks", []), grid.get("models", [])

    def rank(name: str, names: Sequence[str]) -> tuple[int, str]:
        return (names.index(name) if name in names else len(names)), name

    def key(row: BenchRow) -> tuple[Any, ...]:
        size, names = (
            (row["params"] is None, row["params"] or 0),
            (rank(row["task"], tasks), rank(row["model"], models)),
        )
        return *size, *names, row["budget"], json.dumps(row["exceptions"])

    return sorted(rows, key=key)
