"""Training runs in a repository: folders with a history.jsonl, a run.json or event files of TensorBoard."""

import json
import math
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from seqhub.server import strict_json
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.content import beginning
from seqhub.server.pages.event_file import scalars
from seqhub.server.pages.markdown import plain
from seqhub.server.request import RequestContext
from seqhub.server.types import Commit, Entry

MAX_FILES: Final = 2000  # of a repository that are searched
MAX_RUNS: Final = 60
MAX_BYTES: Final = 2_000_000  # of a history
MAX_ROWS: Final = 20_000  # of a run
MAX_METRICS: Final = 40
MAX_RECORD: Final = 1_000_000  # bytes of a run.json
LIGHT_BYTES: Final = 200_000  # a heavy worker reads more
LARGEST: Final = 1e100  # absolute value, so that differences are finite
AXES: Final = ("sequences", "step", "seconds")
_TIMES: Final = {"global_step": "step", "wall_time": "seconds"}  # other names of the axes
_HISTORY, _RECORD = "history.jsonl", "run.json"
_SIGNS: Final = (_HISTORY, _RECORD, "sweep.json", "runs")


@dataclass(slots=True)
class RunFiles:
    """Files of a run in one folder."""

    folder: str
    history: Entry | None = None
    record: Entry | None = None
    events: list[Entry] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Folder, or "main" for the root of the repository."""
        return self.folder or "main"


@dataclass(frozen=True, slots=True)
class History:
    """Rows of a run, in the order of the file."""

    rows: list[dict[str, float]]
    unread: int = 0  # lines that are not a JSON object
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a run.json that a table shows; "" if they are not recorded."""

    task: str = ""
    model: str = ""
    seed: str = ""
    parameters: int | None = None


def has_runs(context: RequestContext, commit: Commit) -> bool:
    """Return whether a repository looks like one with runs, by names of files in its root."""
    return bool(context.store.revisions.entries(context.repo, commit, _SIGNS))


def find_runs(context: RequestContext, commit: Commit) -> tuple[list[RunFiles], bool]:
    """Return the runs of a commit, and whether all files were searched and all runs found."""
    entries, after = context.store.revisions.tree(context.repo, commit, "", recursive=True, limit=MAX_FILES)
    found: dict[str, RunFiles] = {}
    for entry in entries:
        path = PurePosixPath(entry.path)
        is_events = "tfevents" in path.name
        if entry.is_folder or not (is_events or path.name in (_HISTORY, _RECORD)):
            continue
        folder = "" if path.parent == PurePosixPath(".") else str(path.parent)
        run = found.setdefault(folder, RunFiles(folder))
        if is_events:
            run.events.append(entry)
        elif path.name == _HISTORY:
            run.history = entry
        else:
            run.record = entry
    runs = sorted(found.values(), key=lambda run: (run.folder.count("/") + bool(run.folder), _natural(run.folder)))
    return runs[:MAX_RUNS], after is None and len(runs) <= MAX_RUNS


def read_history(context: RequestContext, commit: Commit, run: RunFiles) -> History:
    """Return the rows of a run: of its history, or of its event files."""
    files = [run.history] if run.history else run.events[:4]
    if sum(entry.size for entry in files) > LIGHT_BYTES:
        context.require_heavy_worker()
    try:
        contents = [beginning(context, commit, entry, MAX_BYTES) for entry in files]
    except HubHTTPError as error:
        if error.status != 410:  # a large file that was deleted permanently
            raise
        return History([], is_whole=False)
    is_whole = all(entry.size <= MAX_BYTES for entry in files) and (bool(run.history) or len(run.events) <= 4)
    if run.history:
        return parse_history(contents[0], is_whole=is_whole)
    return _event_rows(contents, is_whole=is_whole)


def parse_history(raw: bytes, *, is_whole: bool = True) -> History:
    r"""Return the numbers in JSON lines; other lines are counted, and other values are omitted.

    >>> parse_history(b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN}\nbroken\n')
    History(rows=[{'step': 1.0, 'loss': 0.5}, {'step': 2.0}], unread=1, is_whole=True)
    """
    if not is_whole:
        raw = raw[: raw.rfind(b"\n") + 1]
    rows: list[dict[str, float]] = []
    names: dict[str, str] = {}
    unread = 0
    for line in raw.split(b"\n"):
        if not line.strip():
            continue
        if len(rows) == MAX_ROWS:
            return History(rows, unread, is_whole=False)
        try:
            fields = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            unread += 1
            continue
        rows.append(_numbers(fields, names))
    return History(rows, unread, is_whole)


def read_facts(context: RequestContext, commit: Commit, run: RunFiles) -> Facts:
    """Return the facts of the record of a run."""
    if run.record is None or run.record.size > MAX_RECORD:
        return Facts()
    if run.record.size > LIGHT_BYTES:
        context.require_heavy_worker()
    try:
        record = strict_json.parse_content(beginning(context, commit, run.record, MAX_RECORD))
    except (ValueError, HubHTTPError):
        return Facts()
    return facts_of(record)


def facts_of(record: Any) -> Facts:
    """Return the facts of a parsed run.json, as far as they have the expected types."""
    if not isinstance(record, dict):
        return Facts()

    def text(*names: str) -> str:
        value = next((record[name] for name in names if record.get(name) is not None), "")
        return plain(value)[:80] if isinstance(value, (str, int)) else ""

    parameters = record.get("num_parameters")
    is_count = type(parameters) is int and 0 <= parameters < 10**15
    return Facts(text("task", "address"), text("model"), text("seed"), parameters if is_count else None)


def _numbers(fields: dict[str, Any], names: dict[str, str]) -> dict[str, float]:
    """Return the finite numbers of a row; at most `MAX_METRICS` names are read from a file."""
    found = {}
    for name, value in fields.items():
        if type(value) not in (int, float) or not name:
            continue
        if name not in names:
            if len(names) == MAX_METRICS:
                continue
            names[name] = _TIMES.get(name) or plain(name)[:60]
        try:
            number = float(value)
        except OverflowError:
            continue
        if math.isfinite(number) and abs(number) <= LARGEST:
            found[names[name]] = number
    return found


def _event_rows(contents: list[bytes], *, is_whole: bool) -> History:
    rows: list[dict[str, float]] = []
    names: dict[str, str] = {"step": "step", "seconds": "seconds"}
    start = None
    for raw in contents:
        for event in scalars(raw):
            if len(rows) == MAX_ROWS:
                return History(rows, is_whole=False)
            start = event.seconds if start is None else start
            rows.append(_numbers({event.tag: event.value, "step": event.step, "seconds": event.seconds - start}, names))
    return History(rows, is_whole=is_whole)


def _natural(folder: str) -> list[tuple[int, int | str]]:
    """Return a sort key by which seed-2 is before seed-10."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for character in f"{folder}\0":
        if character.isascii() and character.isdigit() and len(digits) < 18:
            digits += character
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, character))
    return parts
