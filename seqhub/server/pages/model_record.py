"""Record of the training run of a model, as far as it supports results that the model claims."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any, Final

from seqhub.server import strict_json
from seqhub.server.auth import may
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages import run_files, weights
from seqhub.server.pages.content import beginning
from seqhub.server.request import RequestContext
from seqhub.server.store.results import Entry as Result
from seqhub.server.types import DEFAULT_BRANCH, Commit, Entry, Repo

RECORD: Final = "run.json"
MAX_FILES: Final = 50  # that a record lists
MAX_HASHED: Final = 64_000_000  # bytes of these files that are not stored by their SHA-256
_MAX_SPLITS: Final = 100


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Facts of the record of a model; empty without one, or if the client may not read it.

    Args:
        seed: Seed of the training run.
        parameters: Number of parameters.
        task: Task id, `task/config`.
        values: Split, or `config/split` for other configs -> metric -> value.
        has_files: Whether the files that it lists, weights among them, are those of the repository.
    """

    seed: str = ""
    parameters: int | None = None
    task: str = ""
    values: dict[str, dict[str, float]] | None = None
    has_files: bool = False

    def states(self, dataset: Repo, result: Result) -> bool:
        """Return whether the record states a result on a dataset, for the files of the repository."""
        task, _, config = self.task.partition("/")
        if not self.has_files or not self.values or task.casefold() != dataset.name.casefold():
            return False
        split = result.split if result.config == config else f"{result.config}/{result.split}"
        value = self.values.get(split, {}).get(result.metric)
        return value is not None and math.isclose(value, result.value, rel_tol=1e-9, abs_tol=1e-12)


def read_record(context: RequestContext, model: Repo) -> ModelRecord:
    """Return the record of a model on its main branch."""
    if not may(context.store, context.identity, "read", model):
        return ModelRecord()
    there = replace(context, found_repo=model)
    commit = context.store.revisions.resolve(model, DEFAULT_BRANCH)
    named = context.store.revisions.entries(model, commit, [RECORD, weights.WEIGHTS])
    entries = {entry.path: entry for entry in named if not entry.is_folder}
    if not entries:
        return ModelRecord()
    key = tuple(map(_content, entries.values()))
    facts = json.loads(context.rendered.get(("facts", key), lambda: _facts(there, commit, entries)))
    listed: dict[str, str] = facts.pop("files")
    if not listed:
        return ModelRecord(**facts)
    files = [entry for entry in context.store.revisions.entries(model, commit, list(listed)) if not entry.is_folder]
    key = (*key, *map(_content, files))
    has_files = context.rendered.get(("record", key), lambda: _agrees(there, commit, files, listed))
    return ModelRecord(**facts, has_files=bool(has_files))


def _facts(context: RequestContext, commit: Commit, entries: dict[str, Entry]) -> str:
    """Return the facts of a record, and the files that it lists, as JSON."""
    context.require_heavy_worker()
    record = _parsed(context, commit, entries.get(RECORD))
    facts = run_files.facts_of(record)
    parameters = facts.parameters
    if parameters is None and weights.WEIGHTS in entries:
        found = weights.summary(context, commit)
        parameters = found.parameters if found else None
    files = record.get("files")
    return json.dumps(
        {
            "seed": facts.seed,
            "parameters": parameters,
            "task": facts.task,
            "values": _values(record.get("evaluation")),
            "files": files if _are_hashes(files) else {},
        }
    )


def _parsed(context: RequestContext, commit: Commit, entry: Entry | None) -> dict[str, Any]:
    if entry is None or entry.size > run_files.MAX_RECORD:
        return {}
    try:
        record = strict_json.parse_content(beginning(context, commit, entry, run_files.MAX_RECORD))
    except (ValueError, HubHTTPError):  # not JSON; a large file that was deleted permanently
        return {}
    return record if isinstance(record, dict) else {}


def _values(evaluation: Any) -> dict[str, dict[str, float]]:
    """Return the numbers in the evaluation of a record, by split and metric."""
    if not isinstance(evaluation, dict):
        return {}
    return {
        split: {
            name: float(value)
            for name, value in metrics.items()
            if type(value) in (int, float) and abs(value) <= run_files.LARGEST
        }
        for split, metrics in list(evaluation.items())[:_MAX_SPLITS]
        if isinstance(metrics, dict)
    }


def _are_hashes(files: Any) -> bool:
    """Return whether the files of a record have the expected form, and weights are among them."""
    return (
        isinstance(files, dict)
        and len(files) <= MAX_FILES
        and any(name.endswith(".safetensors") for name in files)
        and all(isinstance(digest, str) and len(digest) == 64 for digest in files.values())
    )


def _agrees(context: RequestContext, commit: Commit, files: list[Entry], listed: dict[str, str]) -> str:
    """Return "yes" if files have the SHA-256 that a record lists, else ""."""
    if len(files) < len(listed) or sum(entry.size for entry in files if not entry.lfs) > MAX_HASHED:
        return ""
    if any(entry.lfs is not None and entry.lfs.sha256 != listed[entry.path] for entry in files):
        return ""
    context.require_heavy_worker()
    return "yes" if all(entry.lfs or _sha256(context, commit, entry) == listed[entry.path] for entry in files) else ""


def _sha256(context: RequestContext, commit: Commit, entry: Entry) -> str:
    content = context.store.revisions.content(context.repo, commit, entry)
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(entry: Entry) -> tuple[str, str]:
    return entry.path, entry.lfs.sha256 if entry.lfs else entry.oid
