"""Page of a dataset: rows of a split in a table, search, filter, order, and charts of the columns."""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.cells import LONG, SHORT, Cell, cell_of
from seqhub.server.pages.column_charts import MAX_TEXT, Chart, chart_of, quoted
from seqhub.server.pages.links import file_url, with_query
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.templating import CONTENT_SECURITY_POLICY, page
from seqhub.server.request import RequestContext
from seqhub.server.routes.viewer import MAX_QUERY, PREFIX, REVISION
from seqhub.server.routing import Route
from seqhub.server.viewer.datasets import DatasetView
from seqhub.server.viewer.errors import ViewerError, invalid_parameter
from seqhub.server.viewer.feature_types import kind_of
from seqhub.server.viewer.page import PAGE, ColumnStatistics, DatasetPage, PageColumn, dataset_page, page_statistics

MAX_COLUMNS: Final = 20  # on one page
MAX_STATISTICS_BYTES: Final = 64_000_000  # of the files of a split; above, statistics are computed on demand
_LAST: Final = 10**15  # greatest number of a row
_NO_DATA: Final = "EmptyDatasetError"


@dataclass(frozen=True, slots=True)
class Query:
    """Query of the page.

    Args:
        config: Config; None for the first one.
        split: Split; None for the first one.
        query: Text to search.
        where: Filter.
        orderby: Order.
        offset: Number of the first row among the matching rows.
        column: Number of the first column.
        row: Number of the only row that is shown, if any.
        with_statistics: Whether statistics of a large split are shown.
    """

    config: str | None
    split: str | None
    query: str
    where: str
    orderby: str
    offset: int
    column: int
    row: int | None
    with_statistics: bool


@dataclass(frozen=True, slots=True)
class Head:
    """Column in the head of the table.

    Args:
        name: Name.
        type: Description of its type.
        sort_url: Link that sorts by the column; None if it cannot be sorted.
        order: "ascending" or "descending" if the rows are sorted by it.
        chart: Chart; None without statistics.
        is_number: Whether its cells are numbers.
    """

    name: str
    type: str
    sort_url: str | None
    order: str | None
    chart: Chart | None
    is_number: bool


def viewer(context: RequestContext) -> Response:
    """Show the rows of a dataset."""
    repo = context.repo
    if repo.repo_type != "dataset":
        raise HubHTTPError(404, f"{repo.repo_id} is a {repo.repo_type}; only datasets have a viewer.")
    revision, commit = context.params["revision"], context.commit()
    view = DatasetView(context.viewer, context.store, repo, commit)
    given = _query(context)
    values = repository_values(context, "viewer", revision) | {
        "here": file_url(repo, "-/viewer", revision),
        "given": given,
        "splits": {},
        "problem": None,
        "status": 200,
        "found": None,
    }
    headers = {REVISION: commit.oid}
    try:
        values["splits"] = {config.name: list(config.splits) for config in view.configs}
        values |= _shown(context, view, given, values["here"])
        if values["has_sounds"]:
            headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; media-src 'self'"
    except ViewerError as problem:
        # A dataset without data has its page, to which the tab leads; other problems are errors of the request.
        values["status"] = 200 if problem.code == _NO_DATA else problem.status
        values["problem"] = " ".join(problem.message.split())
        if values["status"] != 200:
            headers["X-Error-Code"] = problem.code
    response = page(context, "viewer.html", **values)
    response.headers.update(headers)
    return response


def _query(context: RequestContext) -> Query:
    query = context.request.query_params
    row = context.integer("row", 0, low=0, high=_LAST) if "row" in query else None
    return Query(
        query.get("config") or None,
        query.get("split") or None,
        query.get("query", "").strip(),
        query.get("where", "").strip(),
        query.get("orderby", "").strip(),
        context.integer("offset", 0, low=0, high=_LAST),
        context.integer("column", 0, low=0, high=_LAST),
        row,
        context.flag("statistics"),
    )


def _shown(context: RequestContext, view: DatasetView, given: Query, here: str) -> dict[str, Any]:
    """Return the variables of the table, or of one row.

    Raises:
        ViewerError: The query or the data are not valid.
    """
    if len(given.query) > MAX_QUERY:
        raise invalid_parameter("query", f"has {len(given.query)} characters; at most {MAX_QUERY} are allowed")
    config = view.configs[0] if given.config is None else view.config(given.config)
    split = next(iter(config.splits)) if given.split is None else given.split
    query = {"dataset": view.repo.repo_id, "config": config.name, "split": split, "revision": view.commit.oid}
    assets = f"{PREFIX}/assets?{urlencode(query)}"
    if given.row is not None:
        found = dataset_page(view, config.name, split, offset=given.row, length=1, assets=assets)
        return {"found": found, **_one_row(found, given.row, here)}
    if given.query or given.where or given.orderby:
        context.require_heavy_worker("scan")
    found = dataset_page(
        view,
        config.name,
        split,
        query=given.query,
        where=given.where,
        orderby=given.orderby,
        offset=given.offset,
        assets=assets,
    )
    size = sum(view.sizes(config.splits[split]).values())
    is_large = size > MAX_STATISTICS_BYTES
    statistics: dict[str, ColumnStatistics] = {}
    problem = None
    if given.with_statistics or not is_large:
        statistics, problem = _statistics(context, view, config.name, split)
    table = _table(found, given, statistics, here)
    return {"found": found, "is_large": is_large, "statistics_problem": problem, **table}


def _statistics(
    context: RequestContext, view: DatasetView, config: str, split: str
) -> tuple[dict[str, ColumnStatistics], str | None]:
    """Return the statistics of a split, and the reason if there are none."""

    def computed() -> str:
        context.require_heavy_worker("scan")
        return json.dumps(page_statistics(view, config, split))

    try:
        key = ("statistics", view.repo.id, view.commit.oid, config, split)
        found = json.loads(context.rendered.get(key, computed))
    except ViewerError as problem:  # the rows are shown without statistics
        return {}, " ".join(problem.message.split())
    return {name: ColumnStatistics(*item) for name, item in found.items()}, None


def _table(found: DatasetPage, given: Query, statistics: dict[str, ColumnStatistics], here: str) -> dict[str, Any]:
    state: dict[str, str | None] = {
        "config": found.config,
        "split": found.split,
        "query": given.query,
        "where": given.where,
        "orderby": given.orderby,
        "statistics": "1" if given.with_statistics else None,
        "column": str(given.column) if given.column else None,
    }

    def url(**changed: str | None) -> str:
        return with_query(here, **state | changed)

    columns = found.columns[given.column :][:MAX_COLUMNS]
    after_column, after = given.column + len(columns), found.offset + len(found.rows)
    has_next = bool(found.rows) and after < found.num_rows
    last = max(0, found.num_rows - 1) // PAGE * PAGE
    heads = [_head(column, given, statistics, url) for column in columns]
    return {
        "url": url,
        "heads": heads,
        "rows": [(row["row_idx"], list(zip(heads, _cells(row, columns, SHORT), strict=True))) for row in found.rows],
        "has_sounds": any(kind_of(column.feature) == "Audio" for column in columns),
        "row_url": with_query(here, config=found.config, split=found.split) + "&row=",
        "first_url": url() if found.offset else None,
        "previous_url": url(offset=str(max(0, found.offset - PAGE) or "")) if found.offset else None,
        "next_url": url(offset=str(after)) if has_next else None,
        "last_url": url(offset=str(last)) if has_next and last > after else None,
        "previous_columns_url": url(column=str(max(0, given.column - MAX_COLUMNS) or "")) if given.column else None,
        "next_columns_url": url(column=str(after_column)) if after_column < len(found.columns) else None,
        "after_column": after_column,
    }


def _head(column: PageColumn, given: Query, statistics: dict[str, ColumnStatistics], url: Any) -> Head:
    """Return the head of a column; a link sorts up, then down, then not any more."""
    kind, name = kind_of(column.feature), quoted(column.name)
    dtype = column.feature.get("dtype") if kind == "Value" else None
    up, down = name, f"{name} DESC"
    order = {up: "ascending", f"{name} ASC": "ascending", down: "descending"}.get(given.orderby)
    sort_url = None
    if kind in ("Value", "ClassLabel") and dtype != "null" and len(column.name) <= MAX_TEXT and not given.query:
        following = {None: up, "ascending": down, "descending": None}[order]
        sort_url = url(orderby=following)
    item = statistics.get(column.name)
    chart = chart_of(column, item) if item is not None else None
    is_number = kind == "Value" and str(dtype).startswith(("int", "uint", "float", "decimal"))
    return Head(column.name, column.type, sort_url, order, chart, is_number)


def _cells(row: dict[str, Any], columns: list[PageColumn], limit: int) -> list[Cell]:
    truncated = set(row["truncated_cells"])
    return [
        cell_of(row["row"][column.name], column.feature, limit, is_truncated=column.name in truncated)
        for column in columns
    ]


def _one_row(found: DatasetPage, number: int, here: str) -> dict[str, Any]:
    """Return the variables of the page of one row.

    Raises:
        ViewerError: 404 if there is no such row.
    """
    if not found.rows:
        text = f"there is no row {number}; the split has {found.num_rows} rows, counted from 0"
        raise ViewerError(404, "RowNotFoundError", f"Parameter 'row': {text}")

    def url(**changed: str | None) -> str:
        return with_query(here, config=found.config, split=found.split, **changed)

    columns = found.columns
    return {
        "cells": list(zip(columns, _cells(found.rows[0], columns, LONG), strict=True)),
        "has_sounds": any(kind_of(column.feature) == "Audio" for column in columns),
        "table_url": url(offset=str(number // PAGE * PAGE or "")) + f"#row-{number}",
        "previous_url": url(row=str(number - 1)) if number else None,
        "next_url": url(row=str(number + 1)) if number + 1 < found.num_rows else None,
    }


routes = [
    Route(
        "GET",
        "/{prefix}{repo}/-/viewer/{revision}",
        "read",
        viewer,
        "page: rows of a dataset",
        work="page",
        is_page=True,
    )
]
