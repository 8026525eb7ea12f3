"""Fill of a Hub with the released datasets and models, for `seqhub serve --examples`."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seqhub.cli.errors import INTERRUPTED, Stopped, one_line_errors
from seqhub.cli.output import progress_bar, stderr
from seqhub.errors import HubError

if TYPE_CHECKING:
    from seqhub.server.store import Store
    from seqhub.server.types import Account, AddLarge, RepoType

NAMESPACE = "seqhub"

_PROGRAM = "from seqhub.cli.examples import main; main()"
_MAX_THREADS = 4
_PIECE = 2**20  # bytes of a large file that are read at once
_EXISTS = 409  # HTTP status

Example = tuple["RepoType", str]  # type and name of a repository


class _StoppedError(Exception):
    """Build of a dataset that was stopped because another step of the fill failed."""


def add_examples(store: "Store") -> None:
    """Add the released datasets and models that a Hub does not have, with a progress bar on standard error.

    A repository appears with all its files or not at all, so an interrupted fill is completed by the next one.
    Repositories that exist are not changed. The work is done in another process, whose libraries and memory the server
    does not keep.

    Raises:
        Stopped: The fill was interrupted by Ctrl-C.
        SystemExit: The fill failed, and has printed why.
    """
    missing = _missing(store)
    total = len(_examples())
    if not missing:
        stderr().print(f"All {total} examples are in {store.root}.")
        return
    needed = "all of them take about 30 s of processor time"
    stderr().print(f"Adding {len(missing)} of {total} examples to {store.root}; {needed}.")
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-P", "-c", _PROGRAM, str(store.root.resolve()), str(os.getpid())])
    try:
        code = child.wait()
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        child.terminate()
        child.wait()
    if code == INTERRUPTED:
        raise Stopped("stopped; start again with --examples to add the rest")
    if code:
        raise SystemExit(code)
    present = f"; {total - len(missing)} were there" if len(missing) < total else ""
    stderr().print(f"Added {len(missing)} examples in {time.perf_counter() - started:.0f} s{present}.")


def main() -> None:
    """Fill a Hub, as a program with two arguments: the root, and the process whose end stops the program."""
    from seqhub.server.store import Store

    root, parent = Path(sys.argv[1]), int(sys.argv[2])
    sys.argv = ["seqhub", "serve", "--examples"]  # the command in the records of the datasets
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with one_line_errors():
        store = Store(root)
        try:
            _fill(store, _missing(store), lambda: os.getppid() != parent)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        finally:
            store.close()


def _interrupt(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt, at the first signal only, so that the files of the fill are removed."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _examples() -> list[Example]:
    """Return all examples: datasets, then models, both in reverse order, since lists show the newest first."""
    from seqhub.models.pretrained import list_pretrained
    from seqhub.tasks.registry import builtin_tasks

    datasets: list[Example] = [("dataset", name) for name in sorted(builtin_tasks(), reverse=True)]
    return [*datasets, *(("model", name) for name in reversed(list_pretrained()))]


def _missing(store: "Store") -> list[Example]:
    return [(kind, name) for kind, name in _examples() if store.repos.find(kind, f"{NAMESPACE}/{name}") is None]


def _fill(store: "Store", missing: Sequence[Example], is_orphan: Callable[[], bool]) -> None:
    """Make the folders of repositories in threads, and store them in order.

    Raises:
        HubError: A repository cannot be stored.
        KeyboardInterrupt: A signal, or `is_orphan` returned True.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    from seqhub.server.errors import HubHTTPError

    failed = False
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        progress_bar(*columns, visible=True) as bar,
        tempfile.TemporaryDirectory(prefix="seqhub-examples-") as scratch,
        ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool,
    ):
        line = bar.add_task("adding examples", total=len(missing))
        try:
            account = store.accounts.find(NAMESPACE) or store.accounts.create(NAMESPACE)
            folders = pool.map(partial(_make, Path(scratch), lambda: failed or is_orphan()), missing)
            for (kind, name), folder in zip(missing, folders, strict=True):
                bar.update(line, description=f"adding {NAMESPACE}/{name}")
                _store(store, account, kind, folder)
                bar.advance(line)
            bar.update(line, description="added examples")
        except _StoppedError:
            raise KeyboardInterrupt from None
        except HubHTTPError as error:
            raise HubError(f"{store.root} cannot be filled: {error}") from error
        finally:
            failed = True
            pool.shutdown(cancel_futures=True)


def _make(scratch: Path, stopped: Callable[[], bool], example: Example) -> Path:
    """Write the folder of a repository, with its card."""
    kind, name = example
    if stopped():
        raise _StoppedError
    return _make_dataset(scratch, stopped, name) if kind == "dataset" else _make_model(scratch, name)


def _make_dataset(scratch: Path, stopped: Callable[[], bool], name: str) -> Path:
    from seqhub.cards.write import write_card
    from seqhub.data.parquet import write_folder

    def stop(done: int, total: int) -> None:
        if stopped():
            raise _StoppedError

    folder = scratch / "datasets" / name
    write_folder(name, folder, progress=stop)
    write_card(folder, f"{NAMESPACE}/{name}")
    return folder


def _make_model(scratch: Path, name: str) -> Path:
    """Copy a released model with its code, list the code in its record, and write a card that names its dataset."""
    from seqhub.cards.write import write_card
    from seqhub.evaluation.load import file_digest
    from seqhub.models.pretrained import LICENSE, copy_with_code
    from seqhub.records import RunRecord

    folder = scratch / "models" / name
    folder.parent.mkdir(exist_ok=True)
    copy_with_code(name, folder)
    record = RunRecord.load(folder)
    record.files |= {path.name: file_digest(path) for path in sorted(folder.glob("*.py"))}
    record.save(folder)
    write_card(folder, f"{NAMESPACE}/{name}", dataset_id=f"{NAMESPACE}/{record.task.name}", license=LICENSE)
    return folder


def _store(store: "Store", account: "Account", kind: "RepoType", folder: Path) -> None:
    """Create a repository with the files of a folder in one commit, and remove the folder."""
    from seqhub.server.errors import HubHTTPError
    from seqhub.server.gitattributes import last_match, lfs_rules
    from seqhub.server.store.repos import GITATTRIBUTES
    from seqhub.server.types import AddSmall

    rules = lfs_rules(GITATTRIBUTES)
    operations: list[AddSmall | AddLarge] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        is_large = last_match(rules, name)
        operations.append(_upload(store, account, path, name) if is_large else AddSmall(name, path.read_bytes()))
    try:
        store.repos.create_with_files(kind, f"{NAMESPACE}/{folder.name}", operations, uploader=account)
    except HubHTTPError as error:
        if error.status != _EXISTS:  # another process has added it
            raise
    shutil.rmtree(folder)


def _upload(store: "Store", account: "Account", path: Path, name: str) -> "AddLarge":
    from seqhub.server.types import AddLarge

    writer = store.blobs.begin()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            writer.write(piece)
    return AddLarge(name, *writer.finish(None, None, account))
