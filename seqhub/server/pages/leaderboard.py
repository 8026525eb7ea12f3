"""Page of the leaderboard of a dataset: results that cards of models claim."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.links import repo_url, with_query
from seqhub.server.pages.model_record import ModelRecord, read_record
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.results import SORTS, Entry, Group

PAGE: Final = 50
MAX_GROUPS: Final = 60
_LAST_PAGE: Final = 1000
_HEADS: Final = (
    ("model", "Model"),
    ("config", "Config"),
    ("split", "Split"),
    ("metric", "Metric"),
    ("value", "Value"),
    ("date", "Claimed"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the page."""

    entry: Entry
    model_url: str
    record: ModelRecord
    is_recorded: bool  # the record of the model states the result, for the files of the repository


def leaderboard(context: RequestContext) -> Response:
    """Show the results of models on a dataset, of one config, split and metric, or of all."""
    repo, query = context.repo, context.request.query_params
    viewer = context.identity.viewer
    here = f"{repo_url(repo)}/-/leaderboard"
    groups = context.store.results.groups(repo, viewer) if repo.repo_type == "dataset" else []
    filters = {name: query[name][:200] for name in ("config", "split", "metric") if name in query}
    shows_all = query.get("show") == "all"
    if groups and not filters and not shows_all:
        filters = _filters(groups[0])
    chosen = next((group for group in groups if _filters(group) == filters), None)
    sort = query.get("sort") or "value"
    if sort not in SORTS:
        raise HubHTTPError(400, f'"sort" must be one of {", ".join(SORTS)}, not {sort[:40]!r}.')
    order = query.get("order") or ("desc" if _starts_descending(sort, chosen) else "asc")
    if order not in ("asc", "desc"):
        raise HubHTTPError(400, f'"order" must be asc or desc, not {order[:40]!r}.')
    number = context.integer("page", 1, low=1, high=_LAST_PAGE)
    entries = context.store.results.of_dataset(
        repo,
        viewer,
        config=filters.get("config"),
        split=filters.get("split"),
        metric=filters.get("metric"),
        sort=sort,
        descending=order == "desc",
        offset=(number - 1) * PAGE,
        limit=PAGE + 1,
    )
    state = filters or {"show": "all"}

    def url(**changes: str) -> str:
        # Values may be empty, such as the split of a result without one, so they are kept in the URL.
        return _with_values(here, state | {"sort": sort, "order": order} | changes)

    heads = []
    for name, title in _HEADS:
        is_current = name == sort
        first = "desc" if _starts_descending(name, chosen) else "asc"
        turned = ("asc" if order == "desc" else "desc") if is_current else first
        direction = ("descending" if order == "desc" else "ascending") if is_current else None
        heads.append((title, url(sort=name, order=turned), direction, name == "value"))
    records: dict[int, ModelRecord] = {}
    rows = []
    for entry in entries[:PAGE]:
        if entry.model.id not in records:
            records[entry.model.id] = read_record(context, entry.model)
        record = records[entry.model.id]
        rows.append(Row(entry, repo_url(entry.model), record, is_recorded=record.states(repo, entry)))
    return page(
        context,
        "leaderboard.html",
        **repository_values(context, "leaderboard"),
        is_dataset=repo.repo_type == "dataset",
        groups=[(group, _with_values(here, _filters(group)), group is chosen) for group in groups[:MAX_GROUPS]],
        chosen=chosen,
        all_url=with_query(here, show="all"),
        shows_all=not filters,
        heads=heads,
        rows=rows,
        first_rank=(number - 1) * PAGE + 1,
        next_url=url(page=str(number + 1)) if len(entries) > PAGE and number < _LAST_PAGE else None,
        previous_url=url(page=str(number - 1)) if number > 1 else None,
    )


def _filters(group: Group) -> dict[str, str]:
    return {"config": group.config, "split": group.split, "metric": group.metric}


def _starts_descending(sort: str, group: Group | None) -> bool:
    """Return whether a column is first sorted in descending order: the best value and the newest claim come first."""
    return sort == "date" or (sort == "value" and not (group is not None and group.is_lower_better))


def _with_values(path: str, values: dict[str, str]) -> str:
    return f"{path}?{urlencode(values)}"


routes = [
    Route("GET", "/{prefix}{repo}/-/leaderboard", "info", leaderboard, "page: leaderboard of a dataset", is_page=True)
]
