"""Lists of repositories in pages; the cost of a page is independent of the number of repositories."""

import base64
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.base import StorePart
from seqhub.server.store.repo_rows import HIDDEN, REPO, to_repo
from seqhub.server.store.results import has_results
from seqhub.server.types import Account, Gated, Repo, RepoType

SORTS = {
    "updated": "updated",
    "lastModified": "updated",
    "last_modified": "updated",
    "created": "created",
    "createdAt": "created",
    "created_at": "created",
    "likes": "likes",
    "downloads": "downloads",
    "trendingScore": "likes",
    "trending_score": "likes",
}
BENCHMARK = "benchmark:official"  # filter of clients for datasets with a leaderboard
_GRAM = 3  # minimum length of a text for the trigram index of names
_FEW = 300  # up to as many matches are listed by id; with more, a scan in page order is faster


@dataclass(frozen=True, slots=True)
class Summary:
    """Repository in a list."""

    repo: Repo
    downloads: int
    likes: int
    tags: list[str]
    task: str | None  # `pipeline_tag` of the card


class Listing(StorePart):
    """Lists of repositories and tags."""

    def repos(
        self,
        repo_type: RepoType,
        *,
        search: Sequence[str] = (),
        author: str | None = None,
        tags: Sequence[str] = (),
        pipeline_tag: str | None = None,
        gated: bool | Gated | None = None,
        viewer: Account | None,
        sort: str = "updated",
        descending: bool = True,
        after: str | None = None,
        limit: int,
    ) -> tuple[list[Repo], str | None]:
        """Return one page of repositories, and the cursor of the next one.

        Args:
            repo_type: Type of the repositories.
            search: Texts that the repository id must contain (case-insensitive).
            author: Owner of the repositories.
            tags: Tags that the repositories must have.
            pipeline_tag: Value of `pipeline_tag` on the card.
            gated: Whether the repositories are gated, or the mode of gating.
            viewer: Account whose private repositories are also listed; None for public ones only.
            sort: Key of `SORTS`.
            descending: Whether to sort in descending order.
            after: Cursor from the previous page.
            limit: Number of repositories on a page.

        Raises:
            HubHTTPError: 400 for an unknown sort key or an invalid cursor.
        """
        column = SORTS.get(sort)
        if column is None:
            raise HubHTTPError(400, f"sort={sort[:40]!r}: must be one of {', '.join(SORTS)}")
        values: dict[str, Any] = {"kind": repo_type, "viewer": viewer.id if viewer else 0, "limit": limit + 1}
        where = ["repos.kind = :kind"]
        if author is not None:
            where.append("repos.owner = (SELECT id FROM accounts WHERE key = :author)")
            values["author"] = author.lower()
        mine = "SELECT org FROM members WHERE user = :viewer"
        seen = f"repos.private = 0 OR repos.owner = :viewer OR repos.owner IN ({mine})"
        where.append(f"({seen})" if viewer else "repos.private = 0")
        if pipeline_tag is not None:
            tags = [*tags, f"pipeline_tag:{pipeline_tag}"]
        if isinstance(gated, bool):
            where.append("repos.gated <> 'no'" if gated else "repos.gated = 'no'")
        elif gated is not None:
            where.append("repos.gated = :gated")
            values["gated"] = gated
        with self.database.reading() as connection:
            if repo_type == "dataset" and BENCHMARK in tags:
                tags = [tag for tag in tags if tag != BENCHMARK]
                where.append(has_results())
            where += _tag_conditions(connection, tags, values)
            where += _search_conditions(connection, search, values)
            if after is not None:
                values["value"], values["id"] = _cursor(after)
                where.append(f"(repos.{column}, repos.id) {'<' if descending else '>'} (:value, :id)")
            order = "DESC" if descending else "ASC"
            query = f"""{REPO.replace(" FROM", f", repos.{column} FROM", 1)} WHERE {" AND ".join(where)}
                ORDER BY repos.{column} {order}, repos.id {order} LIMIT :limit"""
            rows = connection.execute(query, values).fetchall()
        repos = [to_repo(row[:-1]) for row in rows[:limit]]
        if len(rows) <= limit or not repos:
            return repos, None
        return repos, base64.urlsafe_b64encode(json.dumps([rows[limit - 1][-1], repos[-1].id]).encode()).decode()

    def count(self) -> dict[RepoType, int]:
        """Return the number of repositories of each type, private ones included."""
        with self.database.reading() as connection:
            return dict(connection.execute("SELECT kind, count(*) FROM repos WHERE kind <> ? GROUP BY kind", (HIDDEN,)))

    def tag_counts(self, repo_type: RepoType) -> list[tuple[str, int]]:
        """Return the tags of public repositories, with the number of repositories for each tag."""
        # "+" keeps SQLite from looking up the tags of one repository after another, which takes three times as long.
        query = """SELECT tag, count(*) FROM tags WHERE +repo IN (SELECT id FROM repos WHERE kind = ? AND private = 0)
            GROUP BY tag ORDER BY 2 DESC, 1 LIMIT 10000"""
        with self.database.reading() as connection:
            return connection.execute(query, (repo_type,)).fetchall()

    def author_counts(self, repo_type: RepoType, limit: int) -> list[tuple[str, int]]:
        """Return the accounts with the most public repositories, with their number."""
        query = """SELECT accounts.name, number FROM accounts JOIN (SELECT owner, count(*) AS number FROM repos
            WHERE kind = ? AND private = 0 GROUP BY owner) ON owner = accounts.id ORDER BY 2 DESC, 1 LIMIT ?"""
        with self.database.reading() as connection:
            return connection.execute(query, (repo_type, limit)).fetchall()

    def summaries(self, repos: Sequence[Repo]) -> list[Summary]:
        """Return what lists show of each repository."""
        query = f"""SELECT id, downloads, likes, tags, pipeline_tag FROM repos
            WHERE id IN ({", ".join(str(repo.id) for repo in repos)})"""
        with self.database.reading() as connection:
            rows = {id: rest for id, *rest in connection.execute(query)} if repos else {}
        found = ((repo, *rows[repo.id]) for repo in repos if repo.id in rows)
        return [Summary(repo, downloads, likes, json.loads(tags), task) for repo, downloads, likes, tags, task in found]


def _tag_conditions(connection: sqlite3.Connection, tags: Sequence[str], values: dict[str, Any]) -> list[str]:
    where = []
    for number, tag in enumerate(dict.fromkeys(tag.lower() for tag in tags)):
        values[f"tag{number}"] = tag
        few = _few(connection, "SELECT repo FROM tags WHERE tag = ? LIMIT ?", tag)
        where.append(few or f"EXISTS (SELECT 1 FROM tags WHERE tag = :tag{number} AND repo = repos.id)")
    return where


def _search_conditions(connection: sqlite3.Connection, search: Sequence[str], values: dict[str, Any]) -> list[str]:
    """Return SQL conditions for search texts: the trigram index for rare texts, a scan in page order for others."""
    where = []
    for number, text in enumerate(dict.fromkeys(text.lower() for text in search if text)):
        values[f"text{number}"] = text
        phrase = '"' + text.replace('"', '""').replace("\0", " ") + '"'
        query = "SELECT rowid FROM names WHERE names MATCH ? LIMIT ?"
        few = _few(connection, query, phrase) if len(text) >= _GRAM else None
        where.append(few or f"instr(repos.key, :text{number}) > 0")
    return where


def _few(connection: sqlite3.Connection, query: str, value: str) -> str | None:
    """Return a condition on the ids of matching repositories; None if there are too many."""
    ids = [row[0] for row in connection.execute(query, (value, _FEW))]
    return f"repos.id IN ({', '.join(map(str, ids))})" if len(ids) < _FEW else None


def _cursor(after: str) -> tuple[int, int]:
    try:
        value, id = json.loads(base64.urlsafe_b64decode(after.encode()))
        return int(value), int(id)
    except (ValueError, TypeError, RecursionError) as error:
        raise HubHTTPError(400, "Invalid cursor") from error
