"""Pages of folders and files."""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.pages import notebook, tables, weights
from seqhub.server.pages.content import beginning, is_text, text_of
from seqhub.server.pages.highlight import highlight, language_of
from seqhub.server.pages.links import file_url, with_query
from seqhub.server.pages.markdown import Base, render, shortened, split_front_matter
from seqhub.server.pages.repository import rendered_card, repository_values
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routes.files import IMAGES, absent_entry, scan_of
from seqhub.server.routing import Route
from seqhub.server.types import Commit, Entry

TREE_PAGE: Final = 100
FILTERED: Final = 10  # entries; a filter by name is shown for a folder with more
MAX_NAME: Final = 200  # characters
MAX_REFS: Final = 100  # in the list of branches and tags
TEXT_BYTES: Final = 40_000  # of a text on one page
CODE_BYTES: Final = 20_000  # of a text with colours
TEXT_LINES: Final = 1000
LIGHT_CODE: Final = 10_000  # characters; a heavy worker highlights more
_MARKDOWN: Final = frozenset({".md", ".markdown"})


def tree(context: RequestContext) -> Response:
    """Show a folder."""
    revision, folder = context.params["revision"], context.params.get("path", "").strip("/")
    commit, query = context.commit(), context.request.query_params
    named = (query.get("name") or "").strip()[:MAX_NAME]
    if named:
        context.require_heavy_worker()  # it may read thousands of entries
    entries, after = context.store.revisions.tree(
        context.repo,
        commit,
        folder,
        recursive=False,
        with_last_commit=True,
        named=named,
        after=query.get("cursor"),
        limit=TREE_PAGE,
    )
    values = repository_values(context, "files", revision)
    here = file_url(context.repo, "tree", revision, folder)
    is_first = not query.get("cursor")
    has_card = values["may_read"] and bool(folder) and is_first and not named
    return page(
        context,
        "tree.html",
        **values,
        **revision_values(context, "tree", folder),
        commit=commit,
        folder=folder,
        named=named,
        has_filter=bool(named) or not is_first or len(entries) > FILTERED,
        here=here,
        entries=[(entry, PurePosixPath(entry.path).name, scan_of(context, entry)) for entry in entries],
        next_url=None if after is None else with_query(here, name=named, cursor=after),
        card=rendered_card(context, commit, revision, folder) if has_card else None,
    )


def blob(context: RequestContext) -> Response:
    """Show a file."""
    revision, path = context.params["revision"], context.params["path"]
    commit = context.commit()
    entries = context.store.revisions.entries(context.repo, commit, [path], with_last_commit=True)
    if not entries:
        raise absent_entry(commit, path, revision)
    entry = entries[0]
    if entry.is_folder:
        return RedirectResponse(file_url(context.repo, "tree", revision, entry.path), status_code=307)
    return page(
        context,
        "blob.html",
        **repository_values(context, "files", revision),
        **revision_values(context, "blob", entry.path),
        commit=commit,
        entry=entry,
        scan=scan_of(context, entry),
        **view_of(context, commit, entry),
    )


def revision_values(context: RequestContext, verb: str, path: str) -> dict[str, Any]:
    """Return the variables of the path and of the list of branches and tags."""
    repo, revision = context.repo, context.params["revision"]
    parts = path.split("/") if path else []
    crumbs = [
        (part, file_url(repo, "tree", revision, "/".join(parts[: place + 1]))) for place, part in enumerate(parts)
    ]
    refs = [ref for ref in context.store.refs.of_repo(repo) if ref.ref.startswith(("refs/heads/", "refs/tags/"))]
    named = [(ref.name, ref.ref, file_url(repo, verb, _short(ref.ref), path)) for ref in refs[:MAX_REFS]]
    return {"crumbs": crumbs, "refs": named, "short_revision": revision[:10] if _is_oid(revision) else revision}


def view_of(context: RequestContext, commit: Commit, entry: Entry) -> dict[str, Any]:
    """Return the variables of the view of a file: its type, and what that type shows."""
    suffix = PurePosixPath(entry.path).suffix.lower()
    as_source = "source" in context.request.query_params
    found: dict[str, Any] | None = None
    if suffix in IMAGES and not as_source:
        found = {"view": "image"}
    elif suffix == ".safetensors":
        found = _weights_view(context, commit, entry)
    elif not as_source and suffix in (".csv", ".tsv", ".jsonl", ".ndjson"):
        found = _table_view(context, commit, entry, suffix)
    elif not as_source and suffix == ".ipynb":
        found = _notebook_view(context, commit, entry)
    elif not as_source and suffix in _MARKDOWN:
        found = _markdown_view(context, commit, entry)
    has_source = found is not None and (suffix == ".svg" or found["view"] in ("table", "notebook", "markdown"))
    return {"has_source": has_source, **(found or _text_view(context, commit, entry))}


def _weights_view(context: RequestContext, commit: Commit, entry: Entry) -> dict[str, Any]:
    try:
        found = weights.read(context, commit, entry)
    except HubHTTPError as error:
        if error.status not in (413, 422):
            raise
        return {"view": "binary", "reason": error.message}
    first = context.integer("tensor", 0, low=0, high=10**9)
    shown = found.tensors[first : first + weights.PAGE]
    after = first + len(shown)
    here = file_url(context.repo, "blob", context.params["revision"], entry.path)
    next_url = with_query(here, tensor=str(after)) if after < len(found.tensors) else None
    return {"view": "weights", "weights": found, "tensors": shown, "next_url": next_url}


def _table_view(context: RequestContext, commit: Commit, entry: Entry, suffix: str) -> dict[str, Any] | None:
    raw = beginning(context, commit, entry, tables.MAX_BYTES)
    is_whole = entry.size <= len(raw)
    if suffix in (".csv", ".tsv"):
        found = tables.csv_table(raw, is_whole, "\t" if suffix == ".tsv" else ",")
    else:
        found = tables.json_lines_table(raw, is_whole)
    return None if found is None else {"view": "table", "table": found}


def _notebook_view(context: RequestContext, commit: Commit, entry: Entry) -> dict[str, Any] | None:
    if entry.size > notebook.MAX_BYTES:
        return None
    context.require_heavy_worker()
    first = context.integer("cell", 0, low=0, high=10**6)
    try:
        found = notebook.parse(beginning(context, commit, entry, notebook.MAX_BYTES), _base(context, entry), first)
    except ValueError:
        return None
    here = file_url(context.repo, "blob", context.params["revision"], entry.path)
    next_url = None if found.next_cell is None else with_query(here, cell=str(found.next_cell))
    return {"view": "notebook", "notebook": found, "next_url": next_url}


def _markdown_view(context: RequestContext, commit: Commit, entry: Entry) -> dict[str, Any] | None:
    base = _base(context, entry)
    key = ("markdown", base, entry.lfs.sha256 if entry.lfs else entry.oid)

    def computed() -> str:
        text = text_of(context, commit, entry, 4 * 100_000)
        if len(text) > LIGHT_CODE:
            context.require_heavy_worker()
        return render(shortened(split_front_matter(text)[1])[0], base)

    return {"view": "markdown", "html": Markup(context.rendered.get(key, computed))}


def _text_view(context: RequestContext, commit: Commit, entry: Entry) -> dict[str, Any]:
    """Return one part of a text, at most `TEXT_BYTES` or `CODE_BYTES` long; parts begin at a line."""
    if entry.size and not is_text(beginning(context, commit, entry, 8192)):
        return {"view": "binary", "reason": "It is not a text."}
    start = context.integer("byte", 0, low=0, high=10**15)
    first_line = context.integer("line", 1, low=1, high=10**12)
    language = language_of(entry.path)
    raw = beginning(context, commit, entry, CODE_BYTES if language else TEXT_BYTES, start)
    end = len(raw)
    lines = raw.split(b"\n")
    if len(lines) > TEXT_LINES:
        end = sum(len(line) + 1 for line in lines[:TEXT_LINES])
    elif start + len(raw) < entry.size:
        end = raw.rfind(b"\n") + 1 or len(raw)
    text = raw[:end].decode("utf-8", "replace")
    count = text.count("\n") + (not text.endswith("\n"))

    def computed() -> str:
        if len(text) > LIGHT_CODE:
            context.require_heavy_worker()
        return numbered_lines(highlight(text, language), first_line) if text else ""

    key = ("text", language, start, first_line, entry.lfs.sha256 if entry.lfs else entry.oid)
    html = Markup(context.rendered.get(key, computed))
    query: dict[str, str] = {"source": "1"} if "source" in context.request.query_params else {}
    here = file_url(context.repo, "blob", context.params["revision"], entry.path)
    has_more = start + end < entry.size
    next_url = with_query(here, byte=str(start + end), line=str(first_line + count), **query) if has_more else None
    return {"view": "text", "html": html, "next_url": next_url}


def numbered_lines(html: str, first: int) -> str:
    """Return lines of HTML with links to each line.

    Args:
        html: Lines, without elements that span two of them.
        first: Number of the first line.
    """
    return "".join(
        f'<span class="code-line" id="L{number}"><a class="line-number" href="#L{number}" aria-label="Line {number}" '
        f'data-line="{number}"></a><span class="line-text">{line}\n</span></span>'
        for number, line in enumerate(html.removesuffix("\n").split("\n"), first)
    )


def _base(context: RequestContext, entry: Entry) -> Base:
    repo, revision = context.repo, context.params["revision"]
    pages, files = file_url(repo, "blob", revision), file_url(repo, "resolve", revision)
    return Base(f"{pages}/", f"{files}/", entry.path.rpartition("/")[0])


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _is_oid(revision: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


_REPO = "/{prefix}{repo}"
routes = [
    Route("GET", f"{_REPO}/tree/{{revision}}", "info", tree, "page: files", is_page=True),
    Route("GET", f"{_REPO}/tree/{{revision}}/{{path*}}", "info", tree, "page: files of a folder", is_page=True),
    Route("GET", f"{_REPO}/blob/{{revision}}/{{path*}}", "read", blob, "page: a file", is_page=True),
]
