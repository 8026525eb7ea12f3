"""Assignment of the rows of a file to splits: by a hash of each row, by group, by time, or as a column says.

Rows with equal inputs are one unit, or rows with an equal group. Each unit has a fraction of 1: the first 8 bytes of
SHA-256 over its content. Below 0.8 it is for training, below 0.9 for validation, otherwise for the test, as in
`assignment`. So rows that are added, removed or reordered move no other row, and each class has these shares up to
chance. A class of three units or more that lacks a split gets a unit from that of its splits which has the most; this
alone depends on other rows, and ends with the first row of the class that the hash puts there. Rows of validation and
test in a column `split` stay there; the other rows are for training or for the splits that do not occur in the column.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqhub.data.assignment import MIN_ROWS
from seqhub.data.file_inputs import digest_of, digests
from seqhub.data.file_kinds import FileOptions
from seqhub.data.file_targets import Targets
from seqhub.data.user_table import SPLIT_COLUMN, UserTable, parse_split
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

SPLIT_RULE = 4  # number of this rule, for records; 2 had no regard to classes, and 3 divided the ranks in a class

_NAMES = list(SPLITS)
_ENDS = np.cumsum(list(SPLITS.values()))[:-1] / sum(SPLITS.values())  # of the fractions of a split
_LEAST = len(SPLITS)  # units of a class that has a row in each split


class _Units(NamedTuple):
    """Rows of equal content."""

    of: NDArray[np.int64]  # (N,), unit of each row
    fraction: NDArray[np.uint64]  # (U,)
    first: NDArray[np.int64]  # (U,), first row


def assign_splits(
    table: UserTable,
    options: FileOptions,
    contents: NDArray[np.uint64],
    rows: NDArray[np.int64],
    targets: Targets,
    lengths: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the split of each sequence, as an index into SPLITS: (N,).

    Args:
        table: Columns of the file.
        options: Options with the columns of groups or times.
        contents: (N, 2), digest of each sequence.
        rows: (N,), row of the table of each sequence.
        targets: Targets of the sequences, for the classes.
        lengths: (N,), number of steps of each sequence.

    Raises:
        InvalidInputError: Too few different rows, a split without rows, or a class without training rows.
    """
    if options.time is not None:
        places = _by_time(table, options.time)[rows]
        _require_every_class(places, targets, table, lengths)
        return places
    named = _named(table, options, rows)
    what = "pieces" if len(rows) > table.columns.num_rows else "rows"
    if options.group is not None:
        contents, what = _groups(table, options.group, rows), f"values of {options.group!r}"
    free = np.isin(named, [-1, 0])
    taken = {int(place) for place in np.unique(named[named > 0])}
    places = named.copy()
    units = _units(contents[free])
    if len(taken) < len(_NAMES) - 1 and len(units.first) < MIN_ROWS:
        raise InvalidInputError(f"{len(units.first)} different {what} in {table.file}; need {MIN_ROWS} or more")
    strata = np.zeros(len(rows), np.int64)
    if options.group is None and targets.target == "class":
        strata = targets.values.astype(np.int64)
    places[free] = _by_fraction(units, strata[free], taken)[units.of]
    if targets.target in ("class", "multi_label") and options.group is None:
        _add_lacking(places, targets, contents, free)
    lacking = next((split for place, split in enumerate(_NAMES) if place not in places), None)
    if lacking is not None:
        raise InvalidInputError(
            f"no row for {lacking} among the {len(units.first):,} different {what} in {table.file}; add rows, or a "
            "column `split`"
        )
    _require_every_class(places, targets, table, lengths)
    return places


def repeated(contents: NDArray[np.uint64], places: NDArray[np.int64]) -> dict[str, int]:
    """Return how many sequences of validation and test also occur in the training rows."""
    units = _units(contents)
    trained = np.zeros(len(units.first), np.bool_)
    trained[units.of[places == 0]] = True
    return {split: int(trained[units.of[places == place]].sum()) for place, split in enumerate(_NAMES) if place}


def contradictory(contents: NDArray[np.uint64], targets: Targets) -> int:
    """Return the number of rows whose inputs also occur with another class."""
    if targets.target != "class":
        return 0
    units = _units(contents)
    other = np.zeros(len(units.first), np.bool_)
    other[units.of[targets.values != targets.values[units.first][units.of]]] = True
    return int(other[units.of].sum())


def _named(table: UserTable, options: FileOptions, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the split in the column `split` of each sequence, -1 for none."""
    if SPLIT_COLUMN not in table.columns.column_names or SPLIT_COLUMN in (*options.inputs, *options.target):
        return np.full(len(rows), -1)
    values = table.texts(SPLIT_COLUMN).combine_chunks().dictionary_encode()
    known = values.dictionary.to_pylist()
    indices = np.array(values.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    places = []
    for number, value in enumerate(known):
        first = int((indices == number).argmax())
        split = parse_split(value.strip() if isinstance(value, str) else value, partial(table.where, first))
        places.append(-1 if split is None else _NAMES.index(split))
    return np.array([*places, -1])[indices][rows]


def _groups(table: UserTable, name: str, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    values = table.keys(name).combine_chunks().dictionary_encode()
    if values.indices.null_count:
        where = table.where(values.indices.is_null().to_pylist().index(True))
        raise InvalidInputError(f"no value in column {name!r} in {where}")
    found = digests([digest_of(str(value).encode()) for value in values.dictionary.to_pylist()])
    of_rows: NDArray[np.uint64] = found[values.indices.to_numpy(zero_copy_only=False)][rows]
    return of_rows


def _units(contents: NDArray[np.uint64]) -> _Units:
    order = np.lexsort((contents[:, 1], contents[:, 0]))
    ordered = contents[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    of = np.empty(len(order), np.int64)
    of[order] = np.cumsum(new) - 1
    return _Units(of, ordered[new, 0], order[new])  # lexsort is stable, so these are the first rows


def _by_fraction(units: _Units, strata: NDArray[np.int64], taken: set[int]) -> NDArray[np.int64]:
    """Return the split of each unit; a unit of rows of several classes belongs to the first of these."""
    stratum = np.full(len(units.first), np.iinfo(np.int64).max)
    np.minimum.at(stratum, units.of, strata)
    places = np.searchsorted(_ENDS, units.fraction / 2.0**64, side="right")
    places[np.isin(places, list(taken))] = 0
    for number in np.unique(stratum):
        members = np.flatnonzero(stratum == number)  # already in the order of their fractions
        if len(members) < _LEAST:
            continue
        for place in sorted({*range(len(_NAMES))} - taken):
            counts = np.bincount(places[members], minlength=len(_NAMES))
            if not counts[place]:
                lenders = members[places[members] == counts.argmax()]
                places[lenders[-1 if place else 0]] = place
    return places


def _add_lacking(
    places: NDArray[np.int64], targets: Targets, contents: NDArray[np.uint64], movable: NDArray[np.bool_]
) -> None:
    """Give a training row to each class or label without one: of its rows, those with the smallest fraction."""
    for number in range(len(targets.names)):
        members = np.flatnonzero(targets.holders(number))
        free = members[movable[members]]
        if not len(members) or (places[members] == 0).any() or not len(free):
            continue
        first = free[np.argmin(contents[free, 0])]
        places[movable & (contents == contents[first]).all(axis=1)] = 0


def _require_every_class(
    places: NDArray[np.int64], targets: Targets, table: UserTable, lengths: NDArray[np.int64]
) -> None:
    """Raise InvalidInputError for a class or label that no training row, or training step, has."""
    if targets.target not in ("class", "multi_label", "step_class"):
        return
    trained = np.repeat(places == 0, lengths) if targets.by_step else places == 0
    for number, name in enumerate(targets.names):
        if not (targets.holders(number) & trained).any():
            what = "step" if targets.by_step else "row"
            raise InvalidInputError(f"label {name!r} of {table.file} has no training {what}; add rows with this label")


def _by_time(table: UserTable, name: str) -> NDArray[np.int64]:
    """Return the split of each row: the earliest eight tenths are for training, and equal times stay together."""
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no value in column {name!r} in {table.where(row)}")
    values: Any = column.combine_chunks()
    ranks = pc.rank(values, tiebreaker="min").to_numpy() - 1
    places: NDArray[np.int64] = np.searchsorted(_ENDS, (ranks + 0.5) / len(ranks))
    lacking = next((split for place, split in enumerate(_NAMES) if place not in places), None)
    if lacking is not None:
        raise InvalidInputError(
            f"no row for {lacking} by the order of column {name!r} of {table.file}; need 10 different times or more"
        )
    return places
