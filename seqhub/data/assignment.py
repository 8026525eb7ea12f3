"""Assignment of the rows of a file to splits, by a hash of the content of each row.

The first 8 bytes of SHA-256 over the content of a row, read as a big-endian fraction of 1, determine the split: below
0.8 training, below 0.9 validation, otherwise test. So equal rows are in the same split, and adding, removing or
reordering rows does not move other rows, in any file format.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

ASSIGNMENT_VERSION = (
    2  # number of this rule, for records; 1 was the rank of the hash among all rows (seqhub 0.1, first builds)
)
MIN_ROWS = sum(SPLITS.values())  # different rows that a file must have

_NAMES = list(SPLITS)
_OF_TENTH = [place for place, tenths in enumerate(SPLITS.values()) for _ in range(tenths)]


def split_index_of(content: bytes) -> int:
    """Return the split of a row, as an index into SPLITS.

    >>> [split_index_of(text.encode()) for text in ("one", "ten", "nine")]
    [0, 1, 2]
    """
    first = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
    return _OF_TENTH[first * len(_OF_TENTH) >> 64]


def assign(contents: Sequence[bytes], named: Sequence[str | None], what: str, file: Path) -> NDArray[np.int64]:
    """Return the split of each row, as an index into SPLITS.

    Rows of the splits validation and test in `named` stay there. The other rows are for training, except for those that
    `split_index_of` assigns to a split that does not occur in `named`.

    Args:
        contents: Content of each row, equal for equal rows.
        named: Value of the column `split` of each row; None for no value.
        what: Description of the rows, for error messages.
        file: File of the rows, for error messages.

    Returns:
        (N,)

    Raises:
        InvalidInputError: Fewer than MIN_ROWS different rows to be assigned, or a split without rows.
    """
    taken = {split for split in named if split not in (None, "train")}
    shared = {content for content, split in zip(contents, named, strict=True) if split in (None, "train")}
    if len(taken) < len(_NAMES) - 1 and len(shared) < MIN_ROWS:
        raise InvalidInputError(f"{len(shared)} different {what} in {file}; need {MIN_ROWS} or more")
    places = {content: split_index_of(content) for content in shared}
    places = {content: 0 if _NAMES[place] in taken else place for content, place in places.items()}
    found = [
        places[content] if split in (None, "train") else _NAMES.index(str(split))
        for content, split in zip(contents, named, strict=True)
    ]
    missing = next((name for place, name in enumerate(_NAMES) if place not in found), None)
    if missing is not None:
        raise InvalidInputError(
            f"no row for {missing} among the {len(shared):,} different {what} in {file}, which are assigned to "
            "splits by a hash of their content; add rows, or a column `split`"
        )
    return np.array(found, np.int64)
