"""Charts of the columns of a dataset: one bar for each bin or value, with the filter of its rows."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from seqhub.server.viewer.feature_types import Feature
from seqhub.server.viewer.page import ColumnStatistics, PageColumn

HEIGHT: Final = 36  # of the highest bar
MAX_BARS: Final = 10
MAX_TEXT: Final = 1000  # characters of a name or value in a filter
_TITLE: Final = 60  # characters
_LENGTHS = {"string_text": "characters", "list": "items", "image": "pixels wide"}  # no filter has lengths


@dataclass(frozen=True, slots=True)
class Bar:
    """Bar of a chart.

    Args:
        title: Bin or value.
        count: Number of rows.
        height: Height, from 0 to `HEIGHT`.
        where: Filter of the rows; None if no filter selects exactly these rows.
    """

    title: str
    count: int
    height: int
    where: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """Chart of a column.

    Args:
        bars: Bars.
        facts: Short texts about the column.
    """

    bars: list[Bar]
    facts: list[str]


def quoted(name: str) -> str:
    """Return the name of a column as in a filter or an order.

    >>> print(quoted('the "b" column'))
    "the ""b"" column"
    """
    return '"' + name.replace('"', '""') + '"'


def chart_of(column: PageColumn, found: ColumnStatistics) -> Chart:
    """Return the chart of a column.

    Args:
        column: Column.
        found: Its statistics.
    """
    if "frequencies" in found.values:
        counts = list(_values(column, found))
        shown = counts
        if len(counts) > MAX_BARS:
            shown = sorted(counts, key=lambda item: -item[1])[:MAX_BARS]
        facts = [_counted(len(counts), "value")]
        if len(shown) < len(counts):
            facts.append(f"the {len(shown)} most frequent are drawn")
        if found.values.get("no_label_count"):
            facts.append(f"{_number(found.values['no_label_count'])} without a label")
    else:
        shown = list(_bins(column, found))
        facts = list(_facts(found))
    missing = found.values["nan_count"]
    if missing:
        facts.append(f"{_number(missing)} null")
    highest = max((count for _, count, _ in shown), default=0)
    is_short = len(column.name) <= MAX_TEXT
    bars = [
        Bar(_cut(title), count, -(-count * HEIGHT // highest) if count else 0, where if count and is_short else None)
        for title, count, where in shown
    ]
    return Chart(bars, facts)


def _values(column: PageColumn, found: ColumnStatistics) -> Iterator[tuple[str, int, str | None]]:
    """Yield title, count and filter of each value."""
    name = quoted(column.name)
    names: list[str] = column.feature.get("names", []) if found.column_type == "class_label" else []
    places = {label: place for place, label in enumerate(names)}
    for value, count in found.values["frequencies"].items():
        if found.column_type == "class_label":
            where = f"{name}={places[value]}" if value in places else None
        elif found.column_type == "bool":
            where = f"{name}={value.lower()}"
        else:  # texts that are not valid UTF-8 have a replacement character here
            text = "'" + value.replace("'", "''") + "'"
            where = f"{name}={text}" if len(value) <= MAX_TEXT and "\ufffd" not in value else None
        yield value or "empty", count, where


def _bins(column: PageColumn, found: ColumnStatistics) -> Iterator[tuple[str, int, str | None]]:
    """Yield title, count and filter of each bin. Bins contain their lower edge; the last one also the upper edge."""
    histogram = found.values["histogram"]
    if histogram is None:
        return
    name, counts = quoted(column.name), histogram["hist"]
    edges = histogram["bin_edges"]
    for place, count in enumerate(counts):
        low, high = edges[place], edges[place + 1]
        is_last = place == len(counts) - 1
        end = high - 1 if found.column_type == "int" and not is_last else high
        title = _text(low) if low == end else f"{_text(low)} to {_text(end)}"
        if found.column_type in _LENGTHS:
            yield f"{title} {_LENGTHS[found.column_type]}", count, None
            continue
        first, after = _literal(low, column.feature), _literal(high, column.feature)
        if first is None or after is None:
            where = None
        elif is_last:
            is_value = low == high and found.column_type != "datetime"
            where = f"{name}={first}" if is_value else f"{name}>={first}"
        else:
            where = f"{name}>={first} AND {name}<{after}"
        yield title, count, where


def _literal(edge: Any, feature: Feature) -> str | None:
    """Return an edge as in a filter; None if the filter would not be exact."""
    if isinstance(edge, str):
        return _time(edge, str(feature.get("dtype")))
    if edge is None or (isinstance(edge, int) and not -(2**63) <= edge < 2**63):
        return None
    return repr(edge)


def _time(edge: str, dtype: str) -> str | None:
    if dtype.startswith("date"):  # the first day that begins at this time or later
        moment = datetime.datetime.fromisoformat(edge)
        if moment.date() == datetime.date.max:
            return None
        day = moment.date() + datetime.timedelta(days=moment.time() != datetime.time())
        return f"'{day.isoformat()}'"
    return f"'{edge}Z'" if ", tz=" in dtype else f"'{edge}'"


def _facts(found: ColumnStatistics) -> Iterator[str]:
    values = found.values
    if values["min"] is not None and values["max"] is not None:
        unit = f" {_LENGTHS[found.column_type]}" if found.column_type in _LENGTHS else ""
        low, high = _text(values["min"]), _text(values["max"])
        yield f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
    if values["mean"] is not None and not isinstance(values["mean"], str):
        yield f"mean {_text(values['mean'])}"


def _text(value: Any) -> str:
    """Return a number or a time for a reader.

    >>> _text(12345), _text(20791.25), _text(0.123456789), _text("2026-01-02 00:00:00")
    ('12,345', '20,791', '0.1235', '2026-01-02')
    """
    if isinstance(value, str):
        return value.removesuffix(" 00:00:00")
    if isinstance(value, int):
        return _number(value)
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if 10_000 <= abs(value) < 10**15 else f"{value:.4g}"


def _number(value: int) -> str:
    return f"{value:,}" if abs(value) < 10**15 else f"{value:.4g}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _cut(text: str) -> str:
    return text if len(text) <= _TITLE else f"{text[: _TITLE - 1]}…"
