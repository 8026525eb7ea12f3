"""Data of a web page that shows a split: columns, rows, and statistics of the columns."""

import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from seqhub.server.viewer.datasets import DatasetView
from seqhub.server.viewer.errors import invalid_parameter
from seqhub.server.viewer.feature_types import Feature, kind_of

PAGE: Final = 100  # rows


@dataclass(frozen=True, slots=True)
class PageColumn:
    """Column of a page.

    Args:
        name: Name of the column.
        type: Description of its type, such as "list of float32".
        feature: Its feature in the JSON form of `datasets`.
    """

    name: str
    type: str
    feature: Feature


class ColumnStatistics(NamedTuple):
    """Statistics of a column.

    Args:
        column_type: Kind, as in `/statistics`.
        values: Statistics, with a `histogram` or `frequencies`.
    """

    column_type: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Data of a page.

    Args:
        config: Displayed config.
        split: Displayed split.
        columns: Columns.
        rows: Rows, each with `row_idx`, `row` (cells by column) and `truncated_cells`.
        offset: Number of the first row among the matching ones.
        num_rows: Number of matching rows.
        partial: Whether only the first part of the split is covered.
        commit: Commit id.
    """

    config: str
    split: str
    columns: list[PageColumn]
    rows: list[dict[str, Any]]
    offset: int
    num_rows: int
    partial: bool
    commit: str


def dataset_page(
    view: DatasetView,
    config: str | None = None,
    split: str | None = None,
    *,
    query: str = "",
    where: str = "",
    orderby: str = "",
    offset: int = 0,
    length: int = PAGE,
    assets: str = "",
) -> DatasetPage:
    """Return the data of a page.

    Args:
        view: Dataset at a commit.
        config: Name of the config; None for the first one.
        split: Name of the split; None for the first one of the config.
        query: Text to search; cannot be combined with a filter or an order.
        where: Filter; empty for all rows.
        orderby: Order; empty for the order of the files.
        offset: First row of the page among the matching rows.
        length: Maximum number of rows of the page.
        assets: Beginning of the URLs of images and sounds.

    Raises:
        ViewerError: The dataset has no data that can be shown, or an argument is not valid.
    """
    if query and (where or orderby):
        raise invalid_parameter("query", "cannot be combined with 'where' or 'orderby'")
    configs = view.configs
    chosen = configs[0] if config is None else view.config(config)
    name = next(iter(chosen.splits)) if split is None else split
    page: dict[str, Any] = {"offset": offset, "length": length, "assets": assets}
    if query:
        body = view.query("search", chosen, name, query=query, **page)
    elif where or orderby:
        body = view.query("filter", chosen, name, where=where, orderby=orderby, **page)
    else:
        body = view.query("rows", chosen, name, **page)
    found = json.loads(body)
    columns = [PageColumn(item["name"], type_text(item["type"]), item["type"]) for item in found["features"]]
    return DatasetPage(
        chosen.name,
        name,
        columns,
        found["rows"],
        offset,
        found["num_rows_total"],
        found["partial"],
        view.commit.oid,
    )


def page_statistics(view: DatasetView, config: str, split: str) -> dict[str, ColumnStatistics]:
    """Return the statistics by column, which take longer than the rows of a page.

    Raises:
        ViewerError: The split does not exist, or its data cannot be read.
    """
    found = json.loads(view.query("statistics", view.config(config), split))
    return {
        item["column_name"]: ColumnStatistics(item["column_type"], item["column_statistics"])
        for item in found["statistics"]
    }


def type_text(feature: Feature) -> str:
    """Return a short description of a feature.

    >>> type_text({"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"})
    'list of float32'
    """
    kind = kind_of(feature)
    if kind == "Value":
        return str(feature["dtype"])
    if kind == "ClassLabel":
        return f"{len(feature['names'])} labels"
    if kind in ("List", "LargeList"):
        return f"list of {type_text(feature['feature'])}"
    return kind.lower()
