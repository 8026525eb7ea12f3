"""Names of the files and folders of rows that seqhub reads."""

from pathlib import Path

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
IMAGE_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # in a folder of images
_SUFFIXES = (*SEPARATORS, *JSON, ".parquet", ".arrow", ".feather", ".npz", ".txt", *COMPRESSED)


def looks_like_a_file(name: str) -> bool:
    """Return whether a name on a command line has the suffix of a file of rows.

    >>> looks_like_a_file("reviews.csv.gz"), looks_like_a_file("qrsu/hard")
    (True, False)
    """
    return Path(name).suffix.lower() in _SUFFIXES


def is_image_folder(path: Path) -> bool:
    """Return whether a path is a folder with a table of images."""
    return path.is_dir() and any((path / name).is_file() for name in IMAGE_TABLES)
