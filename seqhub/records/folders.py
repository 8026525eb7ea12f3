"""Content of folders that lack the record that was looked for."""

from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"  # in the folder of a run until its record is

_CONTENT = {
    "run.json": "a finished run",
    "dataset.json": "a dataset",
    "sweep.json": "a sweep, with a run for each seed in a folder of its own",
    CHECKPOINT: "an unfinished run; `seqhub train` with --resume continues it",
}


def other_content(folder: Path) -> str:
    """Return the end of a message that says what a folder holds instead; empty if that is unknown."""
    if not folder.is_dir():
        return ", which is not a folder"
    return next((f", which holds {kind}" for name, kind in _CONTENT.items() if (folder / name).is_file()), "")
