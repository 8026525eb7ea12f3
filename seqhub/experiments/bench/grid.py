"""Grid of a benchmark: models, tasks, sizes and what is equal for all, from a TOML file and options."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError, OutputExistsError, UnknownNameError
from seqhub.experiments.bench.cell import RUN, Cell
from seqhub.experiments.bench.sizes import code_digest, require_model
from seqhub.models.sizing import whole_number
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.splits import Split
from seqhub.training.config import SPLITS, STREAM, TrainConfig
from seqhub.training.dataloaders import content_identity

RECIPE: dict[str, Any] = {
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "schedule": "cosine",
    "warmup": 0.05,  # share of the budget
    "batch_size": 32,
    "accuracy": 0.999,  # on validation rows; ends a run
    "learning_rate_factor": 1.0,  # on all learning rates of the grid
}
_MORE = ("beta1", "beta2", "momentum", "initialization", "forget_bias", "chrono_max_steps")
SOLVED = 0.99  # accuracy on test rows
TUNING_SEED = 1_000_000  # first tuning seed; the seeds of the results are 0, 1, ...
VALIDATIONS = 25  # of a run
_CHECKPOINT_TOKENS = 250_000  # between checkpoints at least; a second of a small model, minutes of a slow one
_VALIDATION_ROWS = 64, 512  # of each of them, at least and at most; in between, as many tokens as are trained with
_COMMA = re.compile(r",(?![^\[]*\])")  # not within the list of an option, as in layer_types=["conv","full_attention"]
_SAMPLE = 8_192  # rows from which the mean length is measured


class Unit(NamedTuple):
    """One model of one size on one task."""

    task: TaskRef
    model: str
    params: int | None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Models and tasks of a benchmark, and the settings that are equal for all of them.

    Args:
        models: Model ids.
        tasks: Task ids, the most important first: `max_hours` omits the last ones.
        params: Numbers of parameters without embedding and head; empty for the size of the model id.
        budget: Number of training tokens of each run.
        budgets: Task id -> budget of its runs, equal for all models, in place of `budget`.
        seeds: Number of seeds for the results.
        tuning_seeds: Number of seeds that choose the learning rate.
        learning_rates: Learning rates to choose from.
        rows: Number of validation rows for the choice of the learning rate, and of rows of each test distribution.
        recipes: Model id -> settings that differ from `RECIPE`.

    Raises:
        UnknownNameError: Unknown task, model, or setting of a recipe.
        InvalidConfigError: Number out of range, or a name given twice.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    params: tuple[int, ...] = ()
    budget: int = 5_000_000
    budgets: Mapping[str, int] = field(default_factory=dict)
    seeds: int = 5
    tuning_seeds: int = 1
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    rows: int = 1_000
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "tasks", "params", "learning_rates"):
            values = getattr(self, name)
            if not values and name != "params":
                raise InvalidConfigError.of(name, list(values), "at least one")
            if repeated := [value for value in values if values.count(value) > 1]:
                raise InvalidConfigError(f"{name}: {repeated[0]} is given several times")
        limits = {"budget": 10**15, "seeds": 1_000, "tuning_seeds": 1_000, "rows": 10**6}
        given = [("params", value, 10**12) for value in self.params]
        given += [(f"budgets: {task}", value, 10**15) for task, value in self.budgets.items()]
        given += [(name, getattr(self, name), most) for name, most in limits.items()]
        for name, value, most in given:
            if not 1 <= value <= most:
                raise InvalidConfigError.of(name, value, f"1 to {most:,}")
        for rate in self.learning_rates:
            if not (math.isfinite(rate) and rate > 0):
                raise InvalidConfigError.of("learning_rates", rate, "above 0")
        for model in self.models:
            with_near_matches(lambda model=model: require_model(model), model.partition("?")[0])
        for task in self.budgets:
            if task not in self.tasks:
                raise UnknownNameError.with_near("task with a budget", task, self.tasks)
        for model, recipe in self.recipes.items():
            if model not in self.models:
                raise UnknownNameError.with_near("model with a recipe", model, self.models)
            for name in recipe:
                if name not in (*RECIPE, *_MORE):
                    raise UnknownNameError.with_near(f"setting in the recipe of {model}", name, (*RECIPE, *_MORE))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Grid":
        """Return the grid with these values, as from `read_grid` or options; numbers may be texts such as 50k.

        Raises:
            InvalidConfigError: Missing models or tasks, or a value of a wrong type.
        """
        for name in ("models", "tasks"):
            if name not in values:
                raise InvalidConfigError(f"no {name} given: --{name}, or {name} in the file of the grid")
        lists: dict[str, Any] = {name: tuple(_list(name, values[name], str)) for name in ("models", "tasks")}
        if "params" in values:
            lists["params"] = tuple(
                whole_number("params", each) for each in _list("params", values["params"], str, int)
            )
        if "learning_rates" in values:
            rates = _list("learning_rates", values["learning_rates"], str, float, int)
            lists["learning_rates"] = tuple(_rate(each) for each in rates)
        numbers: dict[str, Any] = {
            name: whole_number(name, values[name])
            for name in ("budget", "seeds", "tuning_seeds", "rows")
            if name in values
        }
        budgets = _table("budgets", values.get("budgets", {}))
        return cls(
            **lists,
            **numbers,
            budgets={task: whole_number(f"budgets: {task}", value) for task, value in budgets.items()},
            recipes=_recipes(values.get("recipes", {})),
        )

    def as_json(self) -> dict[str, Any]:
        """Return all settings as JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        recipes = {model: dict(recipe) for model, recipe in self.recipes.items()}
        return values | {"recipes": recipes, "budgets": dict(self.budgets)}

    def units(self) -> list[Unit]:
        """Return all units, by size, task and model in the order of the grid.

        Raises:
            UnknownNameError: No such task or config.
        """
        refs = [with_near_matches(lambda task=task: TaskRef.parse(task), task) for task in self.tasks]
        sizes = self.params or (None,)
        return [Unit(task, model, params) for params in sizes for task in refs for model in self.models]

    def recipe(self, model: str) -> dict[str, Any]:
        """Return the training settings of a model."""
        return RECIPE | dict(self.recipes.get(model, {}))

    def budget_of(self, task: TaskRef) -> int:
        """Return the number of training tokens of each run on a task."""
        return self.budgets.get(str(task), self.budget)

    def require_budget(self) -> None:
        """Raise InvalidConfigError if the budget is less than one batch of a task."""
        for unit in self.units():
            batch = self.recipe(unit.model)["batch_size"]
            tokens = batch * mean_length(unit.task)
            budget = self.budget_of(unit.task)
            if budget < tokens:
                raise InvalidConfigError.of(
                    "budget", budget, f"at least {tokens:,.0f} tokens, one batch of {batch} sequences", unit.task
                )


def read_grid(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of a TOML file.

    Args:
        path: The file.
        names: Allowed names.

    Raises:
        FileNotFoundError: No such file.
        InvalidConfigError: The file is not valid TOML.
        UnknownNameError: It has an unknown name.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidConfigError(f"{path} is not valid TOML: {error}") from None
    allowed = sorted(names)
    for name in values:
        if name not in allowed:
            raise UnknownNameError.with_near(f"option in {path}", name, allowed)
    return values


def require_same_grid(folder: Path, saved: Mapping[str, Any], grid: Grid) -> None:
    """Raise OutputExistsError unless a grid has the settings of the one in a folder, and all its models and tasks.

    The settings of added tasks are free.
    """
    now = grid.as_json()
    added = set(grid.tasks) - set(saved.get("tasks", ()))
    now["budgets"] = {task: tokens for task, tokens in grid.budgets.items() if task not in added}
    for name, value in now.items():
        before = saved.get(name)
        extended = name in ("models", "tasks", "params") and isinstance(before, list) and set(before) <= set(value)
        more = name == "seeds" and isinstance(before, int) and before <= value
        if before != value and not extended and not more:
            raise OutputExistsError(
                f"{folder} has another grid: {name} {_shown(before)} there and {_shown(value)} here; give another "
                "output folder"
            )


def probe_cell(grid: Grid, unit: Unit) -> Cell:
    """Return the cell that measures a unit."""
    return Cell(
        stage="probe",
        task=str(unit.task),
        data=content_identity(DataSource(unit.task, data=_data(unit.task))),
        model=unit.model,
        code=code_digest(unit.model),
        params=unit.params,
        recipe=grid.recipe(unit.model),
    )


def train_config(cell: Cell, folder: Path) -> TrainConfig:
    """Return the settings of the training run of a cell: as many whole batches as the budget has tokens for."""
    task, recipe = TaskRef.parse(cell.task), dict(cell.recipe)
    assert cell.budget is not None
    assert cell.learning_rate is not None
    assert cell.seed is not None
    assert cell.sized_model is not None
    batch = recipe["batch_size"]
    length = mean_length(task)
    batches = max(1, int(cell.budget / (batch * length)))
    validated = max(1, batches // VALIDATIONS) * batch
    recipe["warmup"] = round(recipe["warmup"] * batches * batch)
    del recipe["learning_rate_factor"]  # is part of the learning rate
    return _config(
        task,
        cell.sized_model,
        folder / RUN,
        **recipe,
        learning_rate=cell.learning_rate,
        seed=cell.seed,
        max_sequences=batches * batch,
        epochs=batches * batch,  # enough, as each has at least one row
        evaluate_every=validated,
        evaluate_size=validation_rows(cell.budget, task),
        checkpoint_every=max(validated, math.ceil(_CHECKPOINT_TOKENS / length)),
    )


def _config(task: TaskRef, model: str, folder: Path, **settings: Any) -> TrainConfig:
    return TrainConfig(task=task, output_dir=folder, data=_data(task), model=model, **settings)


def _data(task: TaskRef) -> str:
    """Return the source of the training rows: a stream of new rows, or the rows of a task that has fixed ones."""
    return STREAM if Split(task).size is None else SPLITS


def validation_rows(budget: int, task: TaskRef) -> int:
    """Return the number of rows on which a run with this budget is validated, `VALIDATIONS` times."""
    least, most = _VALIDATION_ROWS
    return min(most, max(least, int(budget / VALIDATIONS / mean_length(task))))


def mean_length(task: TaskRef) -> float:
    """Return the mean number of steps of the training sequences of a task, measured unless all are equal."""
    shortest, longest = task.config.length
    if shortest == longest:
        return float(longest)
    split = Split(task)
    rows = _SAMPLE if split.size is None else split.size
    return sum(int(batch.lengths.sum()) for batch in split.batches(0, rows)) / rows


def with_near_matches(look_up: Any, given: str) -> Any:
    """Return `look_up()`; an UnknownNameError names only the known names that are like `given`, if there are any."""
    try:
        return look_up()
    except UnknownNameError as error:
        begin, separator, known = str(error).partition("; known: ")
        wrong = begin.rpartition(" ")[2].strip("'") or given
        near = get_close_matches(wrong, known.split(", "), n=3) if separator else []
        if not near:
            raise
        raise UnknownNameError(f"{begin}; did you mean {' or '.join(near)}?") from None


def _list(name: str, value: Any, *types: type) -> list[Any]:
    values = [part.strip() for part in _COMMA.split(value) if part.strip()] if isinstance(value, str) else value
    values = [values] if isinstance(values, (int, float)) else values
    if not isinstance(values, (list, tuple)) or not all(type(each) in types for each in values):
        kinds = " or ".join({str: "texts", int: "whole numbers", float: "numbers"}[each] for each in types)
        raise InvalidConfigError.of(name, value, f"a list of {kinds}")
    return list(values)


def _rate(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidConfigError.of("learning_rates", value, "numbers") from None


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidConfigError.of(name, value, f"a table [{name}]")
    return value


def _recipes(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise InvalidConfigError.of("recipes", value, 'tables such as [recipes."lstm"]')
    return value


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
