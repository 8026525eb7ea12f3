"""Operations of the viewer: each takes the arguments of a request and returns the JSON object of its response."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from seqhub.server.viewer import media
from seqhub.server.viewer.errors import ViewerError, invalid_parameter
from seqhub.server.viewer.feature_types import kind_of
from seqhub.server.viewer.features import Asset, asset_url, cell, features_list
from seqhub.server.viewer.filters import has_text, matching_rows, search_rows, sorted_page, unknown_column
from seqhub.server.viewer.split import Indices, Split
from seqhub.server.viewer.statistics import statistics_of
from seqhub.server.viewer.where import parse_orderby, parse_where

PAGE: Final = 100  # maximum number of rows of a response
FIRST_ROWS_BYTES: Final = 1_000_000  # of /first-rows, as JSON
FIRST_ROWS: Final = 10  # minimum number of rows of /first-rows
ROWS_BYTES: Final = 4_000_000  # of the other responses with rows; above, cells are truncated
MAX_ASSET: Final = 16 * 2**20  # bytes of an image or sound
CELL_BYTES: Final = 100  # length of a truncated cell

Arguments = dict[str, Any]
Response = dict[str, Any]


def rows(given: Arguments) -> Response:
    """Return a page of the rows of a split."""
    split = _split(given)
    return _page(split, _range(given["offset"], given["length"], split.num_rows), split.num_rows, given)


def first_rows(given: Arguments) -> Response:
    """Return the first rows of a split, up to 1 MB of JSON."""
    split = _split(given)
    items = _items(split, _range(0, PAGE, split.num_rows), given)
    kept: list[Response] = []
    size = 0
    for item in items:
        size += _size(item)
        if size >= FIRST_ROWS_BYTES and len(kept) >= FIRST_ROWS:
            break
        kept.append(item)
    _truncate(kept, FIRST_ROWS_BYTES, split)
    truncated = len(kept) < min(PAGE, split.num_rows) or any(item["truncated_cells"] for item in kept)
    return {**given["names"], "features": features_list(split.features), "rows": kept, "truncated": truncated}


def search(given: Arguments) -> Response:
    """Return a page of the rows that contain a text."""
    split = _split(given)
    if not has_text(split):
        raise ViewerError(422, "SearchFeatureNotAvailableError", "The split has no column of strings to search.")
    found = search_rows(split, given["query"])
    return _page(split, found[given["offset"] :][: given["length"]], len(found), given)


def filter_(given: Arguments) -> Response:
    """Return a page of the rows that match a filter, or of all rows, sorted by a column if wanted."""
    expression = parse_where(given["where"]) if given["where"].strip() else None
    order = parse_orderby(given["orderby"]) if given["orderby"].strip() else None
    split = _split(given)
    found = None if expression is None else matching_rows(split, expression)
    count = split.num_rows if found is None else len(found)
    offset, length = given["offset"], given["length"]
    if order is not None:
        page = sorted_page(split, found, order, offset, length)
    else:
        page = _range(offset, length, count) if found is None else found[offset:][:length]
    return _page(split, page, count, given)


def statistics(given: Arguments) -> Response:
    """Return the statistics of each column."""
    return statistics_of(_split(given))


def summary(given: Arguments) -> Response:
    """Return the features and sizes of several splits."""
    found: list[Response] = []
    for item in given["splits"]:
        try:
            split = Split(item["files"], item["features"], item["partial"])
        except ViewerError as problem:
            error = {"status": problem.status, "code": problem.code, "message": problem.message}
            found.append({"config": item["config"], "split": item["split"], "error": error})
            continue
        found.append(
            {
                "config": item["config"],
                "split": item["split"],
                "features": split.features,
                "num_rows": split.num_rows,
                "memory_bytes": split.memory_bytes,
                "has_text": has_text(split),
                "partial": split.is_partial,
            }
        )
    return {"splits": found}


def asset(given: Arguments) -> tuple[str, bytes]:
    """Return the content type and the content of an image or sound."""
    split = _split(given)
    name, row = given["column"], given["row"]
    if name not in split.features:
        raise unknown_column(split, name)
    if row >= split.num_rows:
        raise invalid_parameter("row", f"must be below the number of rows, {split.num_rows}")
    if kind_of(split.features[name]) not in ("Image", "Audio"):
        raise ViewerError(404, "AssetNotFoundError", f"The column {name!r} has neither images nor sounds.")
    value = split.take(np.array([row])).column(name)[0].as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise ViewerError(404, "AssetNotFoundError", f"Row {row} has no content in the column {name!r}.")
    if len(content) > MAX_ASSET:
        raise ViewerError(
            422, "TooBigContentError", f"The content has {len(content):,} bytes; the limit is {MAX_ASSET:,}."
        )
    return media.content_type(content), content


def forget() -> None:
    """Forget the splits that were read; their files may have changed."""
    _opened.cache_clear()


OPERATIONS: Final[dict[str, Callable[[Arguments], Response]]] = {
    "rows": rows, "first-rows": first_rows, "search": search, "filter": filter_, "statistics": statistics,
    "summary": summary,
}  # fmt: skip


def _split(given: Arguments) -> Split:
    return _opened(json.dumps([given["files"], given["features"], given["partial"]]))


@lru_cache(maxsize=4)
def _opened(arguments: str) -> Split:
    """Return a split; the footers of its files are read once."""
    return Split(*json.loads(arguments))


def _range(offset: int, length: int, count: int) -> Indices:
    start = min(offset, count)
    return np.arange(start, min(start + length, count))


def _page(split: Split, indices: Indices, total: int, given: Arguments) -> Response:
    items = _items(split, indices, given)
    _truncate(items, ROWS_BYTES, split)
    return {
        "features": features_list(split.features),
        "rows": items,
        "num_rows_total": total,
        "num_rows_per_page": PAGE,
        "partial": split.is_partial,
    }


def _items(split: Split, indices: Indices, given: Arguments) -> list[Response]:
    """Return rows in the form of the responses."""
    table = split.take(indices)

    def url(row: int, column: str) -> str:
        return asset_url(given["assets"], row, column)

    columns = {name: _cells(table.column(name), split.features[name], indices, name, url) for name in split.features}
    return [
        {"row_idx": index, "row": {name: cells[place] for name, cells in columns.items()}, "truncated_cells": []}
        for place, index in enumerate(indices.tolist())
    ]


def _cells(values: pa.ChunkedArray, feature: Any, indices: Indices, name: str, url: Asset) -> list[Any]:
    try:
        given = values.to_pylist()
    except (ValueError, OverflowError):  # invalid UTF-8, dates that Python does not have, unknown time zones
        given = [_python(value) for value in values]
    return [cell(value, feature, row, name, url) for value, row in zip(given, indices.tolist(), strict=True)]


def _python(value: pa.Scalar) -> Any:
    """Return a value that may not have a counterpart in Python."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        text = value.as_buffer().to_pybytes() if hasattr(value, "as_buffer") else b"?"
        return text.decode(errors="replace")
    except (ValueError, OverflowError):
        for target in (pa.string(), pa.int64()):
            with suppress(pa.ArrowException):
                return value.cast(target).as_py()
        return "?"


def _size(item: Response) -> int:
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def _truncate(items: list[Response], limit: int, split: Split) -> None:
    """Replace long cells by the beginning of their JSON, from the last row on, until all rows are below a limit."""
    media_columns = {name for name, feature in split.features.items() if kind_of(feature) in ("Image", "Audio")}
    sizes = [_size(item) for item in items]
    total = sum(sizes)
    for item, size in zip(reversed(items), reversed(sizes), strict=True):
        if total < limit:
            return
        for name, value in item["row"].items():
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            if name not in media_columns and len(text) > CELL_BYTES:
                item["row"][name] = text[:CELL_BYTES].decode(errors="ignore")
                item["truncated_cells"].append(name)
        total += _size(item) - size
