"""Page of training runs: curves as SVG, drawn on the server, and a table."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages import charts, run_files
from seqhub.server.pages.charts import Chart, make_chart, short
from seqhub.server.pages.links import file_url
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.run_files import AXES, Facts, History, RunFiles
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route

STYLES: Final = 8  # colours, and so runs in a chart
MAX_CHARTS: Final = 8
POINTS: Final = 3000  # of all charts of a page
_FIRST: Final[tuple[str, ...]] = (
    "loss",
    "accuracy",
    "validation_accuracy",
    "train/loss",
    "eval/loss",
)  # shown by default
_DEFAULT_CHARTS: Final = 3
_ROW: Final = "row"  # axis of histories without another one
_TITLES: Final = {"sequences": "training sequences", "step": "step", "seconds": "seconds", _ROW: "row of the history"}


@dataclass(frozen=True, slots=True)
class Shown:
    """Run in the charts and the table."""

    files: RunFiles
    style: int
    url: str
    history: History
    facts: Facts
    rows: int
    last_x: str
    last: list[str]  # last value of each metric in the charts


def runs(context: RequestContext) -> Response:
    """Show the curves of the runs in a repository."""
    revision, commit = context.params["revision"], context.commit()
    query = context.request.query_params
    axis = query.get("x") or None
    if axis is not None and axis not in _TITLES:
        raise HubHTTPError(400, f'"x" must be one of {", ".join(_TITLES)}, not {axis[:40]!r}.')
    found, is_complete = run_files.find_runs(context, commit)
    named = set(query.getlist("run")[:200])
    chosen = [run for run in found if run.name in named] or [run for run in found if run.history or run.events] or found
    histories = [run_files.read_history(context, commit, run) for run in chosen[:STYLES]]
    names = dict.fromkeys(name for history in histories for row in history.rows for name in row)
    axes = [name for name in AXES if name in names] + [_ROW]
    axis = axis or axes[0]
    metrics = [name for name in names if name not in AXES][: run_files.MAX_METRICS]
    wanted = set(query.getlist("metric")[:200])
    default = [name for name in _FIRST if name in metrics][:_DEFAULT_CHARTS] or metrics[:_DEFAULT_CHARTS]
    drawn = ([name for name in metrics if name in wanted] or default)[:MAX_CHARTS]
    log = context.flag("log")
    shown = []
    for style, (run, history) in enumerate(zip(chosen, histories, strict=False)):
        facts = run_files.read_facts(context, commit, run)
        xs = [x for x, _ in _points(history, axis, None)]
        last = [
            short(next((row[name] for row in reversed(history.rows) if name in row), float("nan"))) for name in drawn
        ]
        last = ["" if value == "nan" else value for value in last]
        entry = run.history or run.record or run.events[0]
        url = file_url(context.repo, "blob", revision, entry.path)
        shown.append(Shown(run, style, url, history, facts, len(history.rows), short(xs[-1]) if xs else "", last))
    return page(
        context,
        "runs.html",
        **repository_values(context, "runs", revision),
        commit=commit,
        runs=shown,
        charts=_charts(shown, drawn, axis, log=log),
        geometry=charts,
        names=[(run.name, any(run is each.files for each in shown)) for run in found],
        metrics=[(name, name in drawn) for name in metrics],
        drawn=drawn,
        axis=axis,
        axis_title=_TITLES[axis],
        axes=[(name, _TITLES[name]) for name in _TITLES],
        log=log,
        is_complete=is_complete,
        not_drawn=max(0, len(chosen) - STYLES),
    )


def _charts(shown: list[Shown], drawn: list[str], axis: str, *, log: bool) -> list[Chart]:
    most = max(20, min(300, POINTS // max(1, len(drawn) * len(shown))))
    found = []
    for name in drawn:
        given = [(run.files.name, run.style, _points(run.history, axis, name)) for run in shown]
        found.append(make_chart(name, [curve for curve in given if curve[2]], log=log, max_points=most))
    return found


def _points(history: History, axis: str, name: str | None) -> list[tuple[float, float]]:
    """Return the values of a metric with their place on the axis; 0 for each row without a metric."""
    found = []
    for number, row in enumerate(history.rows, 1):
        x = float(number) if axis == _ROW else row.get(axis)
        y = 0.0 if name is None else row.get(name)
        if x is not None and y is not None:
            found.append((x, y))
    return found


routes = [
    Route("GET", "/{prefix}{repo}/-/runs/{revision}", "read", runs, "page: curves of training runs", is_page=True)
]
