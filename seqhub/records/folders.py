"""Descriptions of folders without the expected record, for error messages."""

from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"  # in the folder of a run until its record is written

_CONTENT = {
    "run.json": "a finished run",
    "dataset.json": "a dataset",
    "sweep.json": "a sweep, with a run for each seed in a folder of its own",
    "bench.json": "a benchmark",
    CHECKPOINT: "an unfinished run; `seqhub train` with --resume continues it",
}


def other_content(folder: Path) -> str:
    """Return the end of a message that describes the content of a folder; empty if the content is unknown."""
    if not folder.is_dir():
        return ", which is not a folder"
    return next((f", which holds {kind}" for name, kind in _CONTENT.items() if (folder / name).is_file()), "")
