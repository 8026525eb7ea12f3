"""Results of models on datasets: those in `model-index` of cards, and in files of `.eval_results`."""

import json
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from seqhub.server.store import index, objects
from seqhub.server.store.base import StorePart
from seqhub.server.store.cards import parse_yaml
from seqhub.server.store.repo_rows import REPO, to_repo
from seqhub.server.types import Account, Repo

CARD: Final = "README.md"
_FILE: Final = re.compile(r"\.eval_results/[^/]+\.ya?ml")
_FILE_BYTES: Final = 64 * 1024
MAX_RESULT_FILES: Final = 50  # that are read of a commit
_RESULTS: Final = 500  # of a file
_TEXT: Final = 100  # characters of a name
_NOTES: Final = 300
_NAMESPACE: Final = "seqhub"  # of dataset names without one, as in redirects
_LARGEST: Final = 1e100
_LOWER: Final = re.compile(r"loss|error|mse|mae|rmse|wer|cer|perplexity|distance", re.IGNORECASE)


class Result(NamedTuple):
    """Claimed result of a model, as columns of the table `results`."""

    dataset: str  # lower-case id
    config: str
    split: str
    metric: str
    title: str  # of the metric
    value: float
    details: str  # JSON object with `notes` and `source`, both optional


@dataclass(frozen=True, slots=True)
class Entry:
    """Row of a leaderboard."""

    model: Repo
    file: str
    config: str
    split: str
    metric: str
    title: str
    value: float
    details: Mapping[str, Any]
    oid: str | None  # commit that claims it; None if the history of the repository was rewritten
    date: datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    """Results of a dataset that can be compared."""

    config: str
    split: str
    metric: str
    title: str
    models: int

    @property
    def is_lower_better(self) -> bool:
        """True if lower values are better, by the name of the metric."""
        return lower_is_better(self.metric or self.title)


def lower_is_better(metric: str) -> bool:
    """Return whether lower values of a metric are better, by its name.

    >>> lower_is_better("validation_loss"), lower_is_better("accuracy")
    (True, False)
    """
    return _LOWER.search(metric) is not None


SORTS: Final[Mapping[str, str]] = {
    "value": "results.value",
    "model": "repos.key",
    "config": "results.config",
    "split": "results.split",
    "metric": "results.metric",
    "date": "commits.date",
}
# A file of .eval_results often repeats a result of the card without its split and metric.
_REPEATED = """results.file <> 'README.md' AND EXISTS (SELECT 1 FROM results AS other WHERE other.repo = results.repo
    AND other.file = 'README.md' AND other.dataset = results.dataset AND other.config = results.config
    AND other.value = results.value)"""
_SEEN = """repos.kind = 'model' AND (repos.private = 0 OR repos.owner = :viewer
    OR repos.owner IN (SELECT org FROM members WHERE user = :viewer))"""
_OF_DATASET = f"""results.dataset IN (SELECT :key UNION SELECT key FROM redirects WHERE kind = 'dataset' AND repo = :id)
    AND {_SEEN} AND NOT ({_REPEATED})"""


class Results(StorePart):
    """Leaderboards of datasets; a private model is in those of its readers only."""

    def groups(self, dataset: Repo, viewer: Account | None) -> list[Group]:
        """Return the groups of comparable results of a dataset, those with the most models first."""
        query = f"""SELECT config, split, metric, max(title), count(DISTINCT results.repo) FROM results
            CROSS JOIN repos ON repos.id = results.repo WHERE {_OF_DATASET} GROUP BY config, split, metric
            ORDER BY 5 DESC, metric <> 'accuracy', split <> 'test', config, split, metric LIMIT 500"""
        with self.database.reading() as connection:
            return [Group(*row) for row in connection.execute(query, _values(dataset, viewer))]

    def of_dataset(
        self,
        dataset: Repo,
        viewer: Account | None,
        *,
        config: str | None = None,
        split: str | None = None,
        metric: str | None = None,
        base_models_only: bool = False,
        sort: str = "value",
        descending: bool = True,
        offset: int = 0,
        limit: int,
    ) -> list[Entry]:
        """Return results on a dataset.

        Args:
            dataset: The dataset.
            viewer: Account whose private models are also listed; None for public ones only.
            config: Config of the dataset; None for all.
            split: Split; None for all.
            metric: Metric; None for all.
            base_models_only: Whether models are omitted whose card names a base model.
            sort: Key of `SORTS`.
            descending: Whether to sort in descending order.
            offset: Number of rows before the first one.
            limit: Maximum number of rows.
        """
        values: dict[str, Any] = {**_values(dataset, viewer), "offset": offset, "limit": limit}
        where = [_OF_DATASET]
        for name, value in (("config", config), ("split", split), ("metric", metric)):
            if value is not None:
                where.append(f"results.{name} = :{name}")
                values[name] = value
        if base_models_only:
            where.append("""NOT EXISTS (SELECT 1 FROM tags WHERE tags.repo = repos.id
                AND tag >= 'base_model:' AND tag < 'base_model;')""")
        names = ("file", "config", "split", "metric", "title", "value", "details", "oid")
        columns = ", ".join([*(f"results.{name}" for name in names), "commits.date"])
        order = "DESC" if descending else "ASC"
        fields, _ = REPO.split(" FROM")
        query = f"""{fields}, {columns} FROM results CROSS JOIN repos ON repos.id = results.repo
            JOIN accounts ON accounts.id = repos.owner
            LEFT JOIN commits ON commits.repo = results.repo AND commits.oid = results.oid
            WHERE {" AND ".join(where)} ORDER BY {SORTS[sort]} {order}, repos.key, results.file, results.place
            LIMIT :limit OFFSET :offset"""
        with self.database.reading() as connection:
            return [_entry(row) for row in connection.execute(query, values)]


def has_results() -> str:
    """Return the SQL condition of datasets with results of models that `:viewer` may see."""
    seen = _SEEN.replace("repos.", "models.")
    # CROSS JOIN keeps SQLite from reading all models for each dataset.
    models = f"CROSS JOIN repos AS models ON models.id = results.repo WHERE {seen}"
    return f"""(EXISTS (SELECT 1 FROM results {models} AND results.dataset = repos.key)
        OR EXISTS (SELECT 1 FROM redirects CROSS JOIN results ON results.dataset = redirects.key {models}
            AND redirects.kind = 'dataset' AND redirects.repo = repos.id))"""


def card_results(card: Mapping[str, Any]) -> list[Result]:
    """Return the results in the `model-index` of a card that have a dataset and a number.

    >>> dataset, metric = {"type": "ada/rows", "config": "hard", "split": "test"}, {"type": "accuracy", "value": 0.5}
    >>> card_results({"model-index": [{"results": [{"dataset": dataset, "metrics": [metric]}]}]})[0][:6]
    ('ada/rows', 'hard', 'test', 'accuracy', 'accuracy', 0.5)
    """
    found = []
    for model in _objects(card.get("model-index")):
        for result in _objects(model.get("results")):
            dataset, source = _object(result.get("dataset")), _source(result.get("source"))
            name = _dataset(dataset.get("type"))
            for metric in _objects(result.get("metrics")):
                value = _number(metric.get("value"))
                if name is None or value is None:
                    continue
                kind = _text(metric.get("type"))
                title = _text(metric.get("name")) or kind
                details = json.dumps({"source": source} if source else {})
                config, split = _text(dataset.get("config")), _text(dataset.get("split"))
                found.append(Result(name, config, split, kind or title, title, value, details))
                if len(found) == _RESULTS:
                    return found
    return found


def file_results(raw: bytes) -> list[Result]:
    r"""Return the results of a file of `.eval_results`, whose tasks are shown as configs.

    >>> file_results(b"- dataset: {id: ada/rows, task_id: hard}\n  value: 0.5")
    [Result(dataset='ada/rows', config='hard', split='', metric='', title='', value=0.5, details='{}')]
    """
    if len(raw) > _FILE_BYTES:
        return []
    found = []
    for entry in _objects(parse_yaml(raw.decode("utf-8", "replace")))[:_RESULTS]:
        dataset = _object(entry.get("dataset"))
        name, value, source = _dataset(dataset.get("id")), _number(entry.get("value")), _source(entry.get("source"))
        notes = entry.get("notes")
        details = {"notes": notes[:_NOTES]} if isinstance(notes, str) else {}
        if name is not None and value is not None:
            written = json.dumps(details | ({"source": source} if source else {}))
            found.append(Result(name, _text(dataset.get("task_id")), "", "", "", value, written))
    return found


def is_result_file(path: str) -> bool:
    """Return whether a path is a file of results."""
    return _FILE.fullmatch(path) is not None


def changed_results(contents: Mapping[str, bytes | Path | None]) -> dict[str, list[Result]]:
    """Return the results of changed files of `.eval_results`: path -> content, None for a removed file."""
    found = {}
    for path, content in contents.items():
        if isinstance(content, Path):
            with content.open("rb") as file:
                content = file.read(_FILE_BYTES + 1)
        found[path] = file_results(content) if content is not None else []
    return found


def write_results(
    connection: sqlite3.Connection, repo: int, oid: bytes, results: Mapping[str, Sequence[Result]]
) -> None:
    """Replace the results of the changed files of a repository.

    Args:
        connection: Connection in a write transaction.
        repo: Id of the repository.
        oid: Commit that changed the files.
        results: Results of each changed file.
    """
    for file, rows in results.items():
        connection.execute("DELETE FROM results WHERE repo = ? AND file = ?", (repo, file))
        values = [(repo, file, place, *row, oid) for place, row in enumerate(rows)]
        connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def fill_results(connection: sqlite3.Connection) -> None:
    """Fill the table from the models of a Hub that was written before there was one."""
    query = """SELECT repos.id, repos.card, commits.line, commits.seq FROM repos JOIN refs ON refs.repo = repos.id
        AND refs.ref = 'refs/heads/main' JOIN commits ON commits.id = refs.target WHERE repos.kind = 'model'"""
    for repo, card, line, seq in connection.execute(query).fetchall():
        chain = index.index_chain(connection, index.Point(line, seq))
        rows = [row for row in index.children(connection, chain, ".eval_results") if is_result_file(row.path)][
            :MAX_RESULT_FILES
        ]
        found: dict[index.Row, list[Result]] = {}
        readme = index.locate(connection, chain, CARD) if '"model-index"' in card else None
        if readme is not None:
            found[readme] = card_results(json.loads(card))
        for row in rows:
            if row.kind == index.FILE and row.sha256 is None and row.size <= _FILE_BYTES:
                with suppress(KeyError, ValueError):  # the object is damaged
                    found[row] = file_results(objects.read(connection, repo, row.oid)[1])
        for row, results in found.items():
            (oid,) = connection.execute("SELECT oid FROM commits WHERE id = ?", (row.target,)).fetchone() or (b"",)
            write_results(connection, repo, oid, {row.path: results})


def _values(dataset: Repo, viewer: Account | None) -> dict[str, Any]:
    return {"key": dataset.repo_id.lower(), "id": dataset.id, "viewer": viewer.id if viewer else 0}


def _entry(row: Sequence[Any]) -> Entry:
    file, config, split, metric, title, value, details, oid, date = row[9:]
    moment = None if date is None else datetime.fromtimestamp(date, UTC)
    found = None if date is None else oid.hex()
    return Entry(to_repo(tuple(row[:9])), file, config, split, metric, title, value, json.loads(details), found, moment)


def _dataset(value: Any) -> str | None:
    """Return the key of a dataset; a name without a namespace is one of the default namespace."""
    if not isinstance(value, str) or not 0 < len(value) <= 2 * _TEXT:
        return None
    return (value if "/" in value else f"{_NAMESPACE}/{value}").lower()


def _source(value: Any) -> dict[str, str]:
    """Return URL and name of the source of a result, if it is a web page."""
    found = _object(value)
    url = found.get("url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or len(url) > _NOTES:
        return {}
    return {"url": url, "name": _text(found.get("name")) or url}


def _text(value: Any) -> str:
    text = " ".join(str(value).split()) if isinstance(value, (str, int, float)) else ""
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _number(value: Any) -> float | None:
    if type(value) not in (int, float) or abs(value) > _LARGEST:
        return None
    return float(value) if math.isfinite(value) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
