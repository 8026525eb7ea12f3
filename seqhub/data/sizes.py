"""How many rows are published. A module of its own, as the rest of `data` takes seconds to import."""

from collections.abc import Mapping

from seqhub.errors import InvalidInputError

SIZES = {"train": 100_000, "validation": 10_000, "test": 10_000}  # rows of each split


def check_sizes(sizes: Mapping[str, int], where: str) -> None:
    """Raise InvalidInputError unless every split has a whole number of rows, 1 or more."""
    for split, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidInputError(f"{split}_size {size!r} for {where}; a split has a whole number of rows, 1 or more")
