"""Published numbers of rows. Separate from the other modules of `data`, which take seconds to import."""

from collections.abc import Mapping

from seqhub.errors import InvalidInputError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.splits import SPLITS, Split

SIZES = {"train": 100_000, "validation": 10_000, "test": 10_000}  # rows of each split, unless the task has its own


def published_sizes(task: str | TaskRef) -> dict[str, int]:
    """Return the number of published rows of each split: all rows where they are fixed.

    >>> published_sizes("qrsu/hard")
    {'train': 100000, 'validation': 10000, 'test': 10000}
    """
    ref = TaskRef.parse(task)
    sizes = {split: Split(ref, split).size for split in SPLITS}
    fixed = {split: size for split, size in sizes.items() if size is not None}
    return fixed or {**SIZES, **(ref.definition.sizes(ref.config) or {})}


def check_size(split: str, size: int, where: str) -> None:
    """Raise InvalidInputError unless a split can have `size` rows."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidInputError(f"{split}_size={size!r}: must be an integer of at least 1 ({where})")


def chosen_sizes(task: str | TaskRef, chosen: Mapping[str, int | None]) -> dict[str, int]:
    """Return the number of rows of each split: the chosen number, or for None the published one.

    Raises:
        InvalidInputError: A size that is not an integer, below 1, or above the number of fixed rows.
    """
    ref = TaskRef.parse(task)
    sizes = published_sizes(ref)
    for split, size in chosen.items():
        if size is None:
            continue
        check_size(split, size, str(ref))
        most = Split(ref, split).size
        if most is not None and size > most:
            raise InvalidInputError(f"{split}_size={size}: must be at most {most:,}, the rows of {ref}")
        sizes[split] = size
    return sizes
