"""Suffixes of the files of rows that seqhub reads."""

from pathlib import Path

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SUFFIXES = (*SEPARATORS, *JSON, ".parquet", ".arrow", ".feather", ".npz", ".txt", *COMPRESSED)


def looks_like_a_file(name: str) -> bool:
    """Return whether a name on a command line has the suffix of a file of rows.

    >>> looks_like_a_file("reviews.csv.gz"), looks_like_a_file("qrsu/hard")
    (True, False)
    """
    return Path(name).suffix.lower() in _SUFFIXES
