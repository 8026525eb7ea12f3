"""Discussions and pull requests."""

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Any, Literal

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import index
from seqhub.server.store.base import StoreContext, StorePart, moment, now
from seqhub.server.store.commit_writer import CommitWriter, Unchanged
from seqhub.server.store.contents import Contents
from seqhub.server.store.counting import require_quota
from seqhub.server.store.events import add_event, event, events, note_commit
from seqhub.server.store.refs import full_ref, ref_target
from seqhub.server.store.revisions import BRANCH, difference, find_commit, point_of
from seqhub.server.store.staging import Stage, mark_committed, prepare
from seqhub.server.store.tree_writer import Plan, plan
from seqhub.server.store.unfinished import begin, drop_proposal, end
from seqhub.server.types import Account, Comment, Commit, Discussion, Operation, Repo, Token

Status = Literal["open", "closed", "merged", "draft"]
_COLUMNS = "number, title, author, status, is_pull_request, created, target, merge_commit"
_TITLE = 500  # characters
_TEXT = 65_536


class Discussions(StorePart):
    """Discussions and pull requests.

    Args:
        context: Context that all parts share.
        writer: Writer for commits of pull requests.
    """

    def __init__(self, context: StoreContext, writer: CommitWriter) -> None:
        super().__init__(context)
        self.writer = writer

    def open(
        self,
        repo: Repo,
        title: str,
        description: str,
        author: str,
        *,
        pull_request: bool,
        target: str = "main",
        status: Status = "open",
        base: str | None = None,
    ) -> Discussion:
        """Open a discussion, or a pull request whose ref refs/pr/NUMBER starts at the head of the target.

        Args:
            repo: The repository.
            title: Title of the discussion.
            description: First comment; may be empty.
            author: Name of the author.
            pull_request: Whether to open a pull request.
            target: Target branch of a pull request.
            status: "open", or "draft".
            base: Revision at which a pull request starts; None for the head of the target.

        Raises:
            HubHTTPError: 404 RevisionNotFound if the target is not a branch, 400 if title or text are too long.
        """
        with self.database.transaction() as connection:
            return self._open(connection, repo, title, description, author, pull_request, target, status, base)

    def propose(
        self,
        repo: Repo,
        operations: Sequence[Operation],
        *,
        target: str = "main",
        base: str | None = None,
        author: str,
        title: str,
        message: str = "",
        uploader: Account,
        token: Token | None = None,
        contents: Contents | None = None,
    ) -> tuple[Discussion, Commit]:
        """Open a pull request with its first commit, both or neither; arguments and errors as `Commits.create`."""
        with nullcontext(contents) if contents is not None else self.writer.contents() as contents:
            prepared = prepare(operations, self.limits, contents)
            branch = full_ref(target) if full_ref(target).startswith(BRANCH) else BRANCH + full_ref(target)
            _check_text(title, message)

            def planned(connection: sqlite3.Connection) -> Plan | Unchanged:
                head = ref_target(connection, repo.id, branch)
                head = head if base is None else find_commit(connection, repo.id, base)
                return self.writer.plan(connection, repo, branch, head, prepared, uploader, token, contents)

            with self.database.reading_latest() as connection:
                expected = planned(connection)  # a refused commit leaves nothing behind
            contents.keep(self.database, self.writer.blobs.path)
            if isinstance(expected, Unchanged) or expected.is_small:
                with self.database.transaction() as connection:
                    opened = self._open(connection, repo, title, message, author, True, target, "open", base)
                    reference = f"refs/pr/{opened.number}"
                    head = ref_target(connection, repo.id, reference)
                    commit = self.writer.write_now(
                        connection, repo, reference, head, prepared, author, title, message, uploader, token, contents
                    )
                    return _find(connection, repo.id, opened.number), commit
            with self.database.transaction() as connection:
                opened = self._open(connection, repo, title, message, author, True, target, "open", base)
                mark = begin(connection, "proposal", repo.id, opened.number)
            reference = f"refs/pr/{opened.number}"

            def on_reference(connection: sqlite3.Connection) -> Plan | Unchanged:
                head = ref_target(connection, repo.id, reference)
                return self.writer.plan(connection, repo, reference, head, prepared, uploader, token, contents)

            def noted(connection: sqlite3.Connection, commit: Commit, found: Plan) -> None:
                mark_committed(connection, repo, found.large, uploader)
                require_quota(connection, repo, self.limits)
                note_commit(connection, repo.id, reference, commit)
                end(connection, mark)

            try:
                made = self.writer.write(repo, reference, on_reference, noted, author, title, message, contents)
            except BaseException:
                with suppress(HubHTTPError):
                    drop_proposal(self.database, repo.id, opened.number, mark)
                raise
            with self.database.transaction() as connection:
                end(connection, mark)
                commit = made if isinstance(made, Commit) else made.head
                return _find(connection, repo.id, opened.number), commit

    def _open(
        self,
        connection: sqlite3.Connection,
        repo: Repo,
        title: str,
        description: str,
        author: str,
        pull_request: bool,
        target: str,
        status: Status,
        base: str | None,
    ) -> Discussion:
        _check_text(title, description)
        reference = full_ref(target)
        if pull_request and not reference.startswith(BRANCH):
            reference = BRANCH + reference  # not a branch, so it is not found
        start = ref_target(connection, repo.id, reference) if pull_request else None
        if pull_request and base is not None:
            start = find_commit(connection, repo.id, base)
        query = "SELECT coalesce(max(number), 0) + 1 FROM discussions WHERE repo = ?"
        number: int = connection.execute(query, (repo.id,)).fetchone()[0]
        values = (repo.id, number, title, author, status, pull_request, now(), reference.removeprefix(BRANCH), start)
        connection.execute("INSERT INTO discussions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", values)
        if description or not pull_request:
            add_event(connection, repo.id, number, author, "comment", description, {})
        if start is not None:
            query = "INSERT OR REPLACE INTO refs (repo, ref, target) VALUES (?, ?, ?)"
            connection.execute(query, (repo.id, f"refs/pr/{number}", start))
        return _find(connection, repo.id, number)

    def page(
        self,
        repo: Repo,
        *,
        author: str | None = None,
        pull_requests: bool | None = None,
        status: Status | None = None,
        page: int = 0,
        page_size: int = 50,
    ) -> tuple[list[Discussion], int]:
        """Return one page of discussions without comments, newest first, and the total number on all pages.

        Args:
            repo: The repository.
            author: Only discussions of this author.
            pull_requests: True for pull requests only, False for discussions only.
            status: Only discussions with this status; "open" includes drafts.
            page: Number of the page, from 0.
            page_size: Discussions on a page.
        """
        where = "repo = :repo"
        where += " AND lower(author) = lower(:author)" if author is not None else ""
        where += " AND is_pull_request = :pull" if pull_requests is not None else ""
        where += {None: "", "open": " AND status IN ('open', 'draft')"}.get(status, " AND status = :status")
        values = {"repo": repo.id, "author": author, "pull": pull_requests, "status": status}
        with self.database.reading() as connection:
            total: int = connection.execute(f"SELECT count(*) FROM discussions WHERE {where}", values).fetchone()[0]
            query = f"SELECT {_COLUMNS} FROM discussions WHERE {where} ORDER BY number DESC LIMIT :limit OFFSET :skip"
            rows = connection.execute(query, values | {"limit": page_size, "skip": max(page, 0) * page_size})
            return [_to_discussion(row, []) for row in rows], total

    def find(self, repo: Repo, number: int) -> Discussion:
        """Return a discussion with its comments and events.

        Raises:
            HubHTTPError: 404 if it does not exist.
        """
        with self.database.reading() as connection:
            return _find(connection, repo.id, number)

    def comment(self, repo: Repo, number: int, author: str, content: str) -> Comment:
        """Add a comment."""
        _check_text("-", content)
        with self.database.transaction() as connection:
            _find(connection, repo.id, number)
            return add_event(connection, repo.id, number, author, "comment", content, {})

    def edit_comment(self, repo: Repo, number: int, comment_id: str, content: str) -> Comment:
        """Change the text of a comment; the caller checks the permission.

        Raises:
            HubHTTPError: 404 for an unknown comment, 403 for a hidden one or an event.
        """
        _check_text("-", content)
        with self.database.transaction() as connection:
            old = event(connection, repo.id, number, comment_id)
            if old.hidden or old.kind != "comment":
                raise HubHTTPError(403, "this comment cannot be edited")
            connection.execute("UPDATE comments SET content = ?, edited = 1 WHERE id = ?", (content, comment_id))
            return event(connection, repo.id, number, comment_id)

    def hide_comment(self, repo: Repo, number: int, comment_id: str) -> Comment:
        """Remove the text of a comment permanently."""
        with self.database.transaction() as connection:
            if event(connection, repo.id, number, comment_id).kind != "comment":
                raise HubHTTPError(403, "this event cannot be hidden")
            connection.execute("UPDATE comments SET content = '', hidden = 1 WHERE id = ?", (comment_id,))
            return event(connection, repo.id, number, comment_id)

    def change_status(
        self, repo: Repo, number: int, status: Literal["open", "closed"], author: str, comment: str = ""
    ) -> Comment:
        """Close or reopen a discussion.

        Raises:
            HubHTTPError: 400 if it already has this status or is merged.
        """
        with self.database.transaction() as connection:
            old = _find(connection, repo.id, number).status
            if status not in ("open", "closed") or old in (status, "merged"):
                raise HubHTTPError(400, f"discussion {number} is {old}; it cannot become {str(status)[:20]}")
            query = "UPDATE discussions SET status = ? WHERE repo = ? AND number = ?"
            connection.execute(query, (status, repo.id, number))
            return add_event(
                connection, repo.id, number, author, "status-change", comment, {"status": status, "old": old}
            )

    def rename(self, repo: Repo, number: int, title: str, author: str) -> Comment:
        """Change the title."""
        _check_text(title, "")
        with self.database.transaction() as connection:
            old = _find(connection, repo.id, number).title
            query = "UPDATE discussions SET title = ? WHERE repo = ? AND number = ?"
            connection.execute(query, (title, repo.id, number))
            return add_event(connection, repo.id, number, author, "title-change", "", {"from": old, "to": title})

    def merge(self, repo: Repo, number: int, author: str, comment: str = "") -> Commit:
        """Merge a pull request into its target by a single commit, as on huggingface.co.

        Raises:
            HubHTTPError: 404 if it does not exist, 400 if it is not an open pull request, 409 if the target has changed
                one of its files in another way.
        """
        with self.database.reading() as connection:
            pull = _find(connection, repo.id, number)
        target, title = full_ref(pull.target), f"{pull.title} (#{number})"

        def planned(connection: sqlite3.Connection) -> Plan | Unchanged:
            pull = _find(connection, repo.id, number)
            if not pull.is_pull_request or pull.status not in ("open", "draft"):
                raise HubHTTPError(
                    400, f"discussion {number} cannot be merged: it is {pull.status} or not a pull request"
                )
            head = ref_target(connection, repo.id, target)
            theirs = ref_target(connection, repo.id, f"refs/pr/{number}")
            query = "SELECT base FROM discussions WHERE repo = ? AND number = ?"
            base = connection.execute(query, (repo.id, number)).fetchone()[0]
            chains = [index.index_chain(connection, point_of(connection, id)) for id in (base, theirs, head)]
            stage = Stage(connection, repo, chains[2], self.writer.blobs.path)
            for path, (before, after) in difference(connection, chains[0], chains[1]).items():
                here = index.locate(connection, chains[2], path)
                if not (_same(here, before) or _same(here, after)):
                    raise HubHTTPError(409, f"conflict: {path!a} was also changed on {pull.target}")
                stage.files[path] = after
            return plan(connection, repo, target, head, stage.changes(), self.limits)

        def noted(connection: sqlite3.Connection, commit: Commit, found: Plan) -> None:
            pull = _find(connection, repo.id, number)
            if pull.status not in ("open", "draft"):
                raise HubHTTPError(400, f"discussion {number} cannot be merged: it is {pull.status}")
            query = "UPDATE discussions SET status = 'merged', merge_commit = ? WHERE repo = ? AND number = ?"
            connection.execute(query, (bytes.fromhex(commit.oid), repo.id, number))
            require_quota(connection, repo, self.limits)
            extra = {"status": "merged", "old": pull.status, "oid": commit.oid}
            add_event(connection, repo.id, number, author, "status-change", comment, extra)

        with self.writer.contents() as contents:
            made = self.writer.write(repo, target, planned, noted, author, title, comment, contents)
            return made if isinstance(made, Commit) else made.head


def _same(a: index.Row | None, b: index.Row | None) -> bool:
    return a is b if a is None or b is None else a.same_as(b)


def _find(connection: sqlite3.Connection, repo: int, number: int) -> Discussion:
    query = f"SELECT {_COLUMNS} FROM discussions WHERE repo = ? AND number = ?"
    row = connection.execute(query, (repo, number)).fetchone()
    if row is None:
        raise HubHTTPError(404, f"no discussion {number}")
    return _to_discussion(row, events(connection, repo, number))


def _to_discussion(row: tuple[Any, ...], comments: list[Comment]) -> Discussion:
    number, title, author, status, is_pull_request, created, target, merged = row
    oid = merged.hex() if merged else None
    return Discussion(number, title, author, status, bool(is_pull_request), moment(created), target, oid, comments)


def _check_text(title: str, text: str) -> None:
    if not 0 < len(title.strip()) <= _TITLE or len(text) > _TEXT:
        raise HubHTTPError(400, f"a title must have 1 to {_TITLE} characters, a text at most {_TEXT:,}")
