"""Output folder of a run: what it may contain at the start, and its state after an error."""

from contextlib import ExitStack
from pathlib import Path

from seqhub.errors import CorruptFileError, OutputExistsError
from seqhub.records import RunRecord
from seqhub.training import checkpoints
from seqhub.training.folder_lock import folder_lock
from seqhub.training.history import FILE_NAME as HISTORY

TRACKED = "seqhub"  # name of the project in trackers; TensorBoard makes a folder of it


def claim_folder(folder: Path, resume: bool, stack: ExitStack) -> None:
    """Create the folder of a run and lock it until the end of `stack`.

    Raises:
        OutputExistsError: The folder contains files that the run would overwrite, or another process uses it.
    """
    reason = ""
    if folder.is_dir():
        stack.enter_context(folder_lock(folder))
    if folder.exists() and not folder.is_dir():
        reason = "is a file"
    elif (folder / RunRecord.FILE_NAME).exists():
        reason = "contains a finished run"
    elif not resume and folder.exists() and any(folder.iterdir()):
        started = (folder / checkpoints.FILE_NAME).exists()
        reason = "contains an interrupted run; --resume continues it" if started else "is not empty"
    elif resume and folder.exists() and not _is_resumable(folder):
        reason = "contains other files, but no run to resume"
    elif not folder.exists():
        folder.mkdir(parents=True)
        stack.enter_context(folder_lock(folder))
    if reason:
        raise OutputExistsError(f"{folder} {reason}; give another output folder")


def _is_resumable(folder: Path) -> bool:
    """Return True if a folder has a checkpoint, or only files that a run writes before its first checkpoint."""
    names = {path.name for path in folder.iterdir()}
    early = {HISTORY, TRACKED} | {name for name in names if name.startswith(f".{checkpoints.FILE_NAME}.")}
    return checkpoints.FILE_NAME in names or names <= early


def checkpoint_message(folder: Path) -> str:
    """Return the state of the checkpoint after the artifacts of a run could not be saved, for an error message."""
    try:
        metadata = checkpoints.load_metadata(folder)
    except CorruptFileError:
        metadata = None
    if metadata is None:
        return "no checkpoint could be saved either, so the run is lost"
    return (
        f"the checkpoint after {metadata['progress']['sequences']:,} sequences is kept; free disk space, and run the "
        "same command with --resume"
    )
