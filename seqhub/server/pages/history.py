"""Pages of the history: commits, one commit with its diff, and the comparison of two revisions."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.responses import Response

from seqhub.server.diffs import DIFF_FILES, Changes, diff
from seqhub.server.pages.links import file_url, repo_url, with_query
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.types import DEFAULT_BRANCH, Commit

PAGE: Final = 30
MAX_CHARACTERS: Final = 40_000  # of the diffs on one page
MAX_LINE: Final = 1000

LineKind = Literal["added", "removed", "hunk", "note", "same"]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """Diff of one file."""

    path: str
    status: Literal["added", "removed", "changed"]
    url: str | None  # page of the file, if it still exists
    lines: list[tuple[LineKind, str]]
    is_large: bool


def commits(context: RequestContext) -> Response:
    """Show a page of the history, newest commit first; of one file or folder, if the URL has its path."""
    revision, path = context.params["revision"], context.params.get("path", "").strip("/")
    after, revisions = context.request.query_params.get("cursor"), context.store.revisions
    total = None
    if path:
        found, after = revisions.log_of_path(context.repo, revision, path, after=after, limit=PAGE)
    else:
        found, after, total = revisions.log(context.repo, revision, after=after, limit=PAGE)
    here = file_url(context.repo, "commits", revision, path)
    return page(
        context,
        "commits.html",
        **repository_values(context, "history", revision),
        path=path,
        commits=[(each, not path or revisions.entry(context.repo, each, path) is not None) for each in found],
        total=total,
        compare_url=f"{repo_url(context.repo)}/compare",
        next_url=None if after is None else with_query(here, cursor=after),
    )


def commit(context: RequestContext) -> Response:
    """Show one commit with the changes to its parent."""
    context.require_heavy_worker()
    new = context.commit()
    old = None if new.parent is None else context.store.revisions.resolve(context.repo, new.parent)
    values = repository_values(context, "history")
    return page(context, "commit.html", **values, commit=new, **_changes(context, old, new, new.oid))


def compare(context: RequestContext) -> Response:
    """Show the changes between two revisions."""
    context.require_heavy_worker()
    query = context.request.query_params
    names = [(query.get(name) or DEFAULT_BRANCH).strip()[:200] for name in ("from", "to")]
    old, new = (context.store.revisions.resolve(context.repo, name) for name in names)
    values = repository_values(context, "history")
    refs = [ref.name for ref in context.store.refs.of_repo(context.repo) if not ref.ref.startswith("refs/pr/")][:100]
    return page(
        context,
        "compare.html",
        **values,
        names=names,
        refs=refs,
        old=old,
        new=new,
        compare_url=f"{repo_url(context.repo)}/compare",
        **_changes(context, old, new, names[1]),
    )


def _changes(context: RequestContext, old: Commit | None, new: Commit, revision: str) -> dict[str, Any]:
    """Return the variables of a diff."""
    changed = context.store.revisions.changes(context.repo, old, new)
    files: list[FileDiff] = []
    room = MAX_CHARACTERS
    for text, (path, (before, after)) in zip(
        diff(context, old, new, changed, MAX_CHARACTERS), list(changed.items())[:DIFF_FILES], strict=False
    ):
        if text.startswith("# further"):
            break
        lines = _body(text)
        status: Literal["added", "removed", "changed"] = (
            "added" if before is None else "removed" if after is None else "changed"
        )
        url = None if after is None else file_url(context.repo, "blob", revision, path)
        is_large = any(entry is not None and entry.lfs is not None for entry in (before, after))
        files.append(FileDiff(path, status, url, _within(lines, room), is_large))
        room -= sum(len(line) for _, line in lines)
    return {"files": files, "changed_count": len(changed), "summary": _summary(changed)}


def _body(text: str) -> list[tuple[LineKind, str]]:
    """Return the lines of the diff of a file below its headers."""
    lines = text.removesuffix("\n").split("\n")
    starts = (number for number, line in enumerate(lines) if line.startswith(("@@", "Binary ", "# ")))
    return [_line(line) for line in lines[next(starts, len(lines)) :]]


def _line(line: str) -> tuple[LineKind, str]:
    kinds: dict[str, LineKind] = {"+": "added", "-": "removed", "@": "hunk", "\\": "note", "#": "note", "B": "note"}
    text = line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"
    return kinds.get(line[:1], "same"), text


def _within(lines: list[tuple[LineKind, str]], room: int) -> list[tuple[LineKind, str]]:
    """Return as many lines as there is room for on the page, with a note on the rest."""
    for place, (_, text) in enumerate(lines):
        room -= len(text)
        if room < 0:
            return [*lines[:place], ("note", f"# {len(lines) - place} further lines are not shown")]
    return lines


def _summary(changed: Changes) -> str:
    added = sum(before is None for before, _ in changed.values())
    removed = sum(after is None for _, after in changed.values())
    counts = {"added": added, "removed": removed, "changed": len(changed) - added - removed}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no changes"


_REPO = "/{prefix}{repo}"
routes = [
    Route("GET", f"{_REPO}/commits/{{revision}}", "info", commits, "page: history", is_page=True),
    Route("GET", f"{_REPO}/commits/{{revision}}/{{path*}}", "info", commits, "page: history of a file", is_page=True),
    Route("GET", f"{_REPO}/commit/{{revision}}", "read", commit, "page: a commit with its diff", is_page=True),
    Route("GET", f"{_REPO}/compare", "read", compare, "page: comparison of two revisions", is_page=True),
]
