"""Dataset repositories at a revision: configs, splits, and queries of the viewer, cached by content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypedDict

from seqhub.server.answer_cache import AnswerCache
from seqhub.server.store import StoreSession
from seqhub.server.store.cards import parse_card
from seqhub.server.store.database import storage_errors
from seqhub.server.types import Commit, Entry, Repo
from seqhub.server.viewer.discovery import Config, discover
from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.process import Found, ViewerProcess

MAX_PATHS: Final = 50_000  # files of a repository that are assigned to splits
MAX_FILES: Final = 500  # files of a split that are read; with more, responses are partial
MAX_TEXT_BYTES: Final = 512 * 2**20  # of CSV or JSON lines in a split, with the same effect
MAX_CARD: Final = 256 * 1024
MAX_COPIES: Final = 2 * 2**30  # bytes of all converted copies
MAX_SUMMARY: Final = 200  # splits of a response about a whole dataset; with more, it is partial
VERSION: Final = "1"  # of converted copies and answers


class Summary(TypedDict, total=False):
    """Features and sizes of a split; only `config`, `split` and `error` if it cannot be read."""

    config: str
    split: str
    features: dict[str, Any]
    num_rows: int
    memory_bytes: int
    has_text: bool
    partial: bool
    error: dict[str, Any]


class Viewer:
    """Process and caches of the viewer, shared by all requests of a server."""

    def __init__(self) -> None:
        self.process = ViewerProcess()
        self.configs: AnswerCache[str] = AnswerCache(4 * 2**20)
        self.answers: AnswerCache[bytes] = AnswerCache(16 * 2**20)

    def close(self) -> None:
        """End the process and its queries."""
        self.process.close()


class DatasetView:
    """Dataset repository at a commit.

    Args:
        viewer: Process and caches.
        store: Store of the request; its snapshot is released before queries.
        repo: Repository, which the client may read.
        commit: Commit.
    """

    def __init__(self, viewer: Viewer, store: StoreSession, repo: Repo, commit: Commit) -> None:
        self.repo, self.commit = repo, commit
        self._viewer, self._store = viewer, store

    @property
    def configs(self) -> list[Config]:
        """All configs, in the order of the card.

        Raises:
            ViewerError: There are no data files, or the card is not valid.
        """
        text = self._viewer.configs.get((self.repo.id, self.commit.oid), self._discovered)
        return [Config(**item) for item in json.loads(text)]

    def config(self, name: str) -> Config:
        """Return a config.

        Raises:
            ViewerError: 404 if it does not exist; the message lists the configs.
        """
        configs = self.configs
        for config in configs:
            if config.name == name:
                return config
        known = _listed([config.name for config in configs])
        raise ViewerError(404, "ConfigNotFoundError", f"The config {name!r} does not exist; allowed: {known}.")

    def card(self) -> dict[str, Any]:
        """Return the fields of the README."""
        entry = self._store.revisions.entry(self.repo, self.commit, "README.md")
        if entry is None or entry.is_folder or entry.lfs is not None:
            return {}
        content = self._store.revisions.content(self.repo, self.commit, entry)
        if isinstance(content, Path):
            with content.open("rb") as file:
                content = file.read(MAX_CARD + 16)
        return parse_card(content, MAX_CARD)

    def sizes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the sizes of files in bytes."""
        return {entry.path: entry.size for entry in self._store.revisions.entries(self.repo, self.commit, paths)}

    def query(self, operation: str, config: Config, split: str, **arguments: Any) -> bytes:
        """Return the JSON response of an operation on a split.

        Args:
            operation: Name in `engine.OPERATIONS`.
            config: Config.
            split: Name of the split.
            arguments: Further arguments of the operation.

        Raises:
            ViewerError: The split does not exist, its files cannot be read, or an argument is not valid.
        """
        return self._cached(operation, self._split(config, split) | arguments)

    def asset(self, config: Config, split: str, row: int, column: str) -> Found:
        """Return the content of an image or sound.

        Raises:
            ViewerError: There is none.
        """
        given = self._split(config, split) | {"row": row, "column": column}
        self._store.release()
        return self._viewer.process.run("asset", given)

    def summary(self, configs: Sequence[Config]) -> tuple[list[Summary], bool]:
        """Return features and sizes of all splits of some configs, and whether there are more splits."""
        names = [(config, split) for config in configs for split in config.splits]
        splits = []
        for config, split in names[:MAX_SUMMARY]:
            splits.append(self._split(config, split) | {"config": config.name, "split": split})
        found = json.loads(self._cached("summary", {"splits": splits}))
        return found["splits"], len(names) > MAX_SUMMARY

    def _discovered(self) -> str:
        paths: list[str] = []
        after = None
        while len(paths) < MAX_PATHS:
            page, after = self._store.revisions.tree(
                self.repo, self.commit, "", recursive=True, after=after, limit=10_000
            )
            paths += [entry.path for entry in page if not entry.is_folder]
            if after is None:
                break
        return "[" + ",".join(config.to_json() for config in discover(paths, self.card())) + "]"

    def _split(self, config: Config, name: str) -> dict[str, Any]:
        """Return the arguments of operations on a split."""
        paths = config.splits.get(name)
        if paths is None:
            known = _listed(list(config.splits))
            text = f"The split {name!r} of config {config.name!r} does not exist; allowed: {known}."
            raise ViewerError(404, "SplitNotFoundError", text)
        files: list[dict[str, Any]] = []
        size = 0
        for entry in self._store.revisions.entries(self.repo, self.commit, paths[:MAX_FILES]):
            size += entry.size if config.format != "parquet" else 0
            if size > MAX_TEXT_BYTES and files:
                break
            files.append(self._file(entry, config))
        return {"files": files, "features": config.features, "partial": len(files) < len(paths)}

    def _file(self, entry: Entry, config: Config) -> dict[str, Any]:
        """Return the arguments for one file."""
        content_id = entry.lfs.sha256 if entry.lfs else entry.oid
        folder = self._store.root / "tmp"
        key = json.dumps([VERSION, config.format, config.separator, entry.path.lower().rpartition("/")[2]])
        name = f"viewer-{content_id}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        source = folder / f"viewer-{content_id}"
        return {
            "name": entry.path,
            "path": str(self._path(entry, source).absolute()),
            "copy": str((folder / name).absolute()),
            "format": config.format,
            "separator": config.separator,
        }

    def _path(self, entry: Entry, source: Path) -> Path:
        """Return the path of a content; a short content in the database is written to a temporary file."""
        with suppress(FileNotFoundError):
            if entry.lfs is None:
                os.utime(source)
                return source
        content = self._store.revisions.content(self.repo, self.commit, entry)
        if isinstance(content, Path):
            return content
        with storage_errors(), tempfile.NamedTemporaryFile(dir=source.parent, delete=False) as file:
            part = Path(file.name)
            try:
                file.write(content)
                file.flush()
                part.replace(source)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return source

    def _cached(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        self._store.release()
        key = hashlib.sha256(json.dumps([operation, arguments], sort_keys=True).encode()).digest()

        def compute() -> bytes:
            body = self._viewer.process.run(operation, dict(arguments)).body
            remove_old_copies(self._store.root / "tmp")
            return body

        return self._viewer.answers.get(key, compute)


def remove_old_copies(folder: Path, max_bytes: int = MAX_COPIES) -> None:
    """Remove the temporary files of the viewer that were not used for the longest time, above a total size."""
    found = []
    for item in os.scandir(folder):
        if item.name.startswith("viewer-"):
            with suppress(FileNotFoundError):  # removed by another request
                status = item.stat()
                found.append((status.st_mtime, status.st_size, item.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= max_bytes:
            return
        Path(path).unlink(missing_ok=True)
        total -= size


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
