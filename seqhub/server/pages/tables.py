"""First rows of CSV and JSON Lines files."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Final

from seqhub.server import strict_json

MAX_BYTES: Final = 64 * 1024  # that are read
MAX_ROWS: Final = 50
MAX_COLUMNS: Final = 30
MAX_CELL: Final = 200  # characters
MAX_CHARACTERS: Final = 60_000  # of all cells


@dataclass(frozen=True, slots=True)
class Table:
    """First rows of a file."""

    columns: list[str]
    rows: list[list[str]]
    is_whole: bool  # whether all rows and columns are shown


def csv_table(raw: bytes, is_whole: bool, delimiter: str = ",") -> Table | None:
    r"""Return the first rows of a CSV file, None if it is empty or not valid.

    Args:
        raw: Beginning of the file.
        is_whole: Whether that is the whole file.
        delimiter: Separator of the fields.

    >>> csv_table(b"text,label\nab,1\n", True).rows
    [['ab', '1']]
    """
    lines = _whole_lines(raw, is_whole)
    rows: list[list[str]] = []
    try:
        reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)
        for row in reader:
            rows.append(row)
            if len(rows) > MAX_ROWS + 1:
                break
    except csv.Error:
        return None
    return _table(rows[0], rows[1:], is_whole) if rows and rows[0] else None


def json_lines_table(raw: bytes, is_whole: bool) -> Table | None:
    r"""Return the first rows of a file of JSON objects, one in each line; None if it is not valid.

    Args:
        raw: Beginning of the file.
        is_whole: Whether that is the whole file.

    >>> json_lines_table(b'{"a": 1}\n{"a": 2, "b": [3]}\n', True).rows
    [['1', ''], ['2', '[3]']]
    """
    objects = []
    for line in _whole_lines(raw, is_whole).splitlines():
        if not line.strip():
            continue
        try:
            value = strict_json.parse_content(line.encode())
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        objects.append(value)
        if len(objects) > MAX_ROWS:
            break
    if not objects:
        return None
    columns = list(dict.fromkeys(name for item in objects for name in item))
    rows = [[_json_cell(item[name]) if name in item else "" for name in columns[:MAX_COLUMNS]] for item in objects]
    return _table(columns, rows, is_whole)


def _table(columns: list[str], rows: list[list[str]], is_whole: bool) -> Table:
    shown: list[list[str]] = []
    characters = 0
    for row in rows[:MAX_ROWS]:
        cells = [_short(cell) for cell in row[:MAX_COLUMNS]]
        characters += sum(map(len, cells))
        if characters > MAX_CHARACTERS:
            break
        shown.append(cells)
    all_shown = is_whole and len(shown) == len(rows) and len(columns) <= MAX_COLUMNS
    return Table([_short(name) for name in columns[:MAX_COLUMNS]], shown, all_shown)


def _json_cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else f"{cell[: MAX_CELL - 1]}…"


def _whole_lines(raw: bytes, is_whole: bool) -> str:
    """Return the complete lines of the beginning of a file."""
    if not is_whole:
        raw = raw[: raw.rfind(b"\n") + 1] or raw
    return raw.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
