"""How many rows are published. A module of its own, as the rest of `data` takes seconds to import."""

from collections.abc import Mapping

from seqhub.errors import InvalidInputError
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import SPLITS, Split

SIZES = {"train": 100_000, "validation": 10_000, "test": 10_000}  # rows of each split, unless the task has its own


def published_sizes(address: str) -> dict[str, int]:
    """Rows of each split of a config that are published: all, where they are given once and for all.

    >>> published_sizes("qrsu/hard")
    {'train': 100000, 'validation': 10000, 'test': 10000}
    """
    task, config = resolve(address)
    given = {split: Split(address, split).size for split in SPLITS}
    own = {split: size for split, size in given.items() if size is not None}
    return own or {**SIZES, **(task.sizes(config) or {})}


def check_size(split: str, size: int, where: str) -> None:
    """Raise InvalidInputError unless a split can have so many rows."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidInputError(f"{split}_size {size!r} for {where}; a split has a whole number of rows, 1 or more")


def chosen_sizes(address: str, chosen: Mapping[str, int | None]) -> dict[str, int]:
    """Rows of each split: those chosen, and for None those published.

    Raises:
        InvalidInputError: No whole number of rows, none, or more than there are.
    """
    sizes = published_sizes(address)
    for split, size in chosen.items():
        if size is None:
            continue
        check_size(split, size, address)
        most = Split(address, split).size
        if most is not None and size > most:
            raise InvalidInputError(f"{split}_size {size} for {address}; it has {most:,} rows")
        sizes[split] = size
    return sizes
