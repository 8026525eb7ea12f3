"""Page of a benchmark in a repository: models and tasks as a table with colours, and one task with all results."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages import bench_file
from seqhub.server.pages.bench_file import TEST, BenchFileError, BenchRow, Result
from seqhub.server.pages.charts import short
from seqhub.server.pages.content import beginning
from seqhub.server.pages.links import repo_url, segment, with_query
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.templating import environment, page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.types import Commit, Entry

SHADES: Final = 10  # number of the highest colour in static/figures.css
MAX_MODELS: Final = 100
MAX_TASKS: Final = 40
MAX_NAMES: Final = 30  # of distributions
LIGHT_BYTES: Final = 100_000  # a heavy worker reads more
_CHOICES: Final = ("group", "on", "sort", "order", "task")  # parameters of the URL
_ORDERS: Final = {"asc": "ascending", "desc": "descending"}
_SIZES: Final = (("parameters", "Parameters"), ("state", "State (floats)"), ("ms", "ms a token"))


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell of a table: a result with its colour, "failed", or nothing."""

    text: str = ""
    note: str = ""  # seeds solved
    spread: str = ""  # lowest and highest score
    shade: int | None = None
    score: float | None = None
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Row of the table of models and tasks; sizes are ranges over the tasks."""

    model: str
    cells: list[Cell]
    sizes: list[str]
    values: dict[str, Any]  # by which rows are sorted, of the columns that have a value


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a column that sorts the rows."""

    title: str
    url: str
    direction: str | None  # of the current order
    note: str = ""  # distribution of a task


def bench(context: RequestContext) -> Response:
    """Show the benchmark of a repository."""
    revision, commit = context.params["revision"], context.commit()
    entry = context.store.revisions.entry(context.repo, commit, bench_file.NAME)
    values = repository_values(context, "bench", revision)
    if entry is None or entry.is_folder:
        return page(context, "bench.html", **values, html=None, problem=None)
    query = context.request.query_params
    choice = {name: query.get(name) or "" for name in _CHOICES}
    here = f"{repo_url(context.repo)}/-/bench/{segment(revision)}"
    key = ("bench", entry.lfs.sha256 if entry.lfs else entry.oid, here, *choice.values())
    try:
        html = context.rendered.get(key, lambda: _tables(context, commit, entry, here, choice))
    except BenchFileError as error:
        return page(context, "bench.html", **values, html=None, problem=str(error))
    return page(context, "bench.html", **values, html=Markup(html), problem=None)


def _tables(context: RequestContext, commit: Commit, entry: Entry, here: str, choice: dict[str, str]) -> str:
    """Return the HTML of the tables, by the choices in the query."""
    group, on, sort, order, task = (choice[name] for name in _CHOICES)
    all_groups = bench_file.groups(_read(context, commit, entry))
    if not all_groups:
        raise BenchFileError(f"{bench_file.NAME} has no rows.")
    slugs = {each.slug: each for each in all_groups}
    _check(group, slugs, "group")
    current = slugs[group] if group else next(iter(all_groups))
    rows = all_groups[current]
    tasks = list(dict.fromkeys(row.task for row in rows))
    names = _distributions(rows)
    shown = tasks[:MAX_TASKS]
    columns = {"model": "Model"} | {f"score:{each}": each for each in shown} | dict(_SIZES)
    _check(on, names, "on")
    _check(task, tasks, "task")
    _check(sort, columns, "sort")
    _check(order, _ORDERS, "order")
    compared = {each: on for each in tasks} if on else bench_file.longest_common(rows)
    lines = _lines(rows, shown, compared)
    order = order or _first_order(sort)
    if sort:
        lines = _sorted(lines, sort, descending=order == "desc")
    heads = []
    for name, title in columns.items():
        turned = _first_order(name) if name != sort else "asc" if order == "desc" else "desc"
        direction = None if name != sort else _ORDERS[order]
        url = with_query(here, **choice | {"sort": name, "order": turned})
        note = _tested_on(rows, title, compared) if name.startswith("score:") else ""
        heads.append(Head(title, url, direction, note))
    all_names = [("", "Longest that all models have"), *((name, name) for name in names)]
    return environment().get_template("bench_tables.html").render(
        group=current,
        groups=[(each.title, with_query(here, group=each.slug), each == current) for each in all_groups],
        names=[(title, with_query(here, **choice | {"on": name}), name == on) for name, title in all_names],
        on=on,
        heads=heads,
        lines=lines[:MAX_MODELS],
        not_shown=(max(0, len(lines) - MAX_MODELS), len(tasks) - len(shown)),
        task=task,
        tasks=[(name, with_query(here, **choice | {"task": name}), name == task) for name in tasks],
        close_url=with_query(here, **choice | {"task": ""}),
        details=_details(rows, task) if task else None,
        problems=[(row, what, why) for row in rows for what, why in row.problems if not task or row.task == task][:100],
        shades=[(score, round(score * SHADES)) for score in (0.0, 0.25, 0.5, 0.75, 1.0)],
    )  # fmt: skip


def _read(context: RequestContext, commit: Commit, entry: Entry) -> list[BenchRow]:
    if entry.size > LIGHT_BYTES:
        context.require_heavy_worker()
    try:
        raw = beginning(context, commit, entry, bench_file.MAX_BYTES)
    except HubHTTPError as error:
        if error.status != 410:  # a large file that was deleted permanently
            raise
        raise BenchFileError(f"{bench_file.NAME} was deleted permanently.") from None
    return bench_file.read_rows(raw, is_whole=entry.size <= len(raw))


def _check(given: str, allowed: Collection[str], name: str) -> None:
    """Check a value in the query; "" is always allowed.

    Raises:
        HubHTTPError: 400 for another value.
    """
    if given and given not in allowed:
        listed = ", ".join(list(allowed)[:12]) + (", ..." if len(allowed) > 12 else "")
        raise HubHTTPError(400, f'"{name}" must be one of {listed}, not {given[:60]!r}.')


def _distributions(rows: Sequence[BenchRow]) -> list[str]:
    """Return the names of the distributions, that of training first, then by length."""
    lengths: dict[str, float] = {}
    for row in rows:
        for name, result in row.results.items():
            lengths[name] = max(result.mean_length, lengths.get(name, 0.0))
    return sorted(lengths, key=lambda name: (name != TEST, lengths[name], name))[:MAX_NAMES]


def _tested_on(rows: Sequence[BenchRow], task: str, compared: dict[str, str]) -> str:
    """Return name and mean length of the distribution of a task; "" if no model was tested on it."""
    name = compared.get(task, TEST)
    for row in rows:
        if row.task == task and name in row.results:
            return f"{name}, {short(row.results[name].mean_length)} steps"
    return ""


def _lines(rows: Sequence[BenchRow], tasks: Sequence[str], compared: dict[str, str]) -> list[Line]:
    of_model: dict[str, dict[str, BenchRow]] = {}
    for row in rows:
        of_model.setdefault(row.model, {})[row.task] = row
    found = []
    for model, own in of_model.items():
        cells = [_cell(own.get(task), compared.get(task, TEST)) for task in tasks]
        members = list(own.values())
        sizes = {
            "parameters": [float(row.parameters) for row in members if row.parameters is not None],
            "state": [float(row.state[-1]) for row in members if row.state],
            "ms": [row.ms_per_token for row in members if row.ms_per_token is not None],
        }
        values = {
            f"score:{task}": cell.score for task, cell in zip(tasks, cells, strict=True) if cell.score is not None
        }
        values |= {name: max(numbers) for name, numbers in sizes.items() if numbers}
        texts = [_range(sizes["parameters"]), _state([row.state for row in members if row.state]), _range(sizes["ms"])]
        found.append(Line(model, cells, texts, values | {"model": model.casefold()}))
    return found


def _cell(row: BenchRow | None, name: str) -> Cell:
    result = None if row is None else row.results.get(name)
    if result is None or result.median is None:
        return Cell("failed", is_failed=True) if row is not None and row.has_failed else Cell()
    return _of_result(result, result.median)


def _of_result(result: Result, median: float) -> Cell:
    spread = f"{result.least:.3f} to {result.most:.3f}" if result.least is not None and result.most is not None else ""
    shade = round(SHADES * min(1.0, max(0.0, median)))
    return Cell(f"{median:.2f}", f"{result.solved}/{result.seeds}", spread, shade, median)


def _sorted(lines: list[Line], column: str, *, descending: bool) -> list[Line]:
    """Return the lines in the order of a column; those without a value come last."""
    with_value = sorted(
        (line for line in lines if column in line.values), key=lambda line: line.values[column], reverse=descending
    )
    return with_value + [line for line in lines if column not in line.values]


def _first_order(column: str) -> str:
    """Return the order in which a column is sorted first: the best scores come first."""
    return "desc" if column.startswith("score:") else "asc"


def _range(values: Sequence[float]) -> str:
    """Return the range of numbers with two significant digits.

    >>> _range([50_160, 50_400]), _range([0.00123, 0.2]), _range([])
    ('50k', '0.0012–0.2', '')
    """
    if not values:
        return ""
    low, high = (short(float(f"{value:.2g}")) for value in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


def _state(values: Sequence[Sequence[int]]) -> str:
    """Return the size of the state, or its sizes after 1 and 256 tokens if it grows.

    >>> _state([(220, 220)]), _state([(64, 16_384)]), _state([])
    ('220', '64→16k', '')
    """
    if not values:
        return ""
    first, last = (_range([float(value[at]) for value in values]) for at in (0, -1))
    return first if first == last else f"{first}→{last}"


def _details(rows: Sequence[BenchRow], task: str) -> dict[str, Any]:
    """Return the table of one task: all distributions, learning rate, tokens until solved and exact sizes."""
    members = [row for row in rows if row.task == task]
    names = _distributions(members)
    lengths = {name: result.mean_length for row in members for name, result in row.results.items()}
    lines = [
        (
            row,
            [_cell(row, name) for name in names],
            " → ".join(f"{size:,}" for size in dict.fromkeys(row.state)),
        )
        for row in members[:MAX_MODELS]
    ]
    return {"names": [(name, short(lengths[name])) for name in names], "lines": lines}


routes = [
    Route(
        "GET",
        "/{prefix}{repo}/-/bench/{revision}",
        "read",
        bench,
        "page: benchmark of models on tasks",
        is_page=True,
    )
]
