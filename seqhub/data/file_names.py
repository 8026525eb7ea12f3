"""Names of the files, folders and datasets of rows that seqhub reads."""

import re
from pathlib import Path

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
IMAGE_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # in a folder of images
_SUFFIXES = (*SEPARATORS, *JSON, ".parquet", ".arrow", ".feather", ".npz", ".txt", *COMPRESSED)

HUB = "hub:"  # start of the id of a dataset of a Hub: hub:NAMESPACE/NAME, or hub:NAMESPACE/NAME:CONFIG
HUB_ID = re.compile(r"(?:hub:)?(\w[\w.-]*/\w[\w.-]*)(?::([\w.-]+))?")


def looks_like_a_file(name: str) -> bool:
    """Return whether a name on a command line has the suffix of a file of rows.

    >>> looks_like_a_file("reviews.csv.gz"), looks_like_a_file("qrsu/hard")
    (True, False)
    """
    return Path(name).suffix.lower() in _SUFFIXES


def is_image_folder(path: Path) -> bool:
    """Return whether a path is a folder with a table of images."""
    return path.is_dir() and any((path / name).is_file() for name in IMAGE_TABLES)


def looks_like_a_hub_id(name: str) -> bool:
    """Return whether a name may be the id of a dataset of a Hub.

    >>> [looks_like_a_hub_id(name) for name in ("hub:me/reviews", "me/reviews:en", "data/reviews.csv", "../reviews")]
    [True, True, False, False]
    """
    return HUB_ID.fullmatch(name) is not None and not looks_like_a_file(name)
