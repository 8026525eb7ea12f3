"""Page of a repository: its card, metadata, results, and lines of code that use it from this Hub."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from seqhub.server import cards
from seqhub.server.auth import may
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages import markdown, weights
from seqhub.server.pages.content import text_of
from seqhub.server.pages.links import file_url, repo_url, with_query
from seqhub.server.pages.markdown import plain
from seqhub.server.pages.tabs import tabs_of
from seqhub.server.pages.templating import page
from seqhub.server.pages.usage import usage
from seqhub.server.request import RequestContext
from seqhub.server.routes.listing import Description
from seqhub.server.routing import Route
from seqhub.server.types import DEFAULT_BRANCH, Commit, Repo, RepoType

MAX_README: Final = 1_000_000  # bytes
LIGHT_README: Final = 20_000  # bytes; a heavy worker renders more
MAX_RESULTS: Final = 200
LINKED: Final = 10
MAX_TAGS: Final = 60


@dataclass(frozen=True, slots=True)
class Card:
    """Rendered README.md."""

    html: Markup
    problem: str | None = None  # reason why its YAML cannot be read
    front_matter: str | None = None  # shown with the reason
    is_whole: bool = True


def repository_values(context: RequestContext, tab: str, revision: str = DEFAULT_BRANCH) -> dict[str, Any]:
    """Return the variables that the templates of all pages of a repository need.

    Args:
        context: Context of the request.
        tab: Name of the current tab.
        revision: Revision of the page.
    """
    repo = context.repo
    may_read = may(context.store, context.identity, "read", repo)
    tabs = tabs_of(context, revision, may_read=may_read)
    return {
        "repo": repo,
        "repo_url": repo_url(repo),
        "tabs": [(item.title, item.url(repo, revision), item.name == tab) for item in tabs],
        "revision": revision,
        "likes": context.store.likes.count(repo),
        "downloads": context.store.repos.downloads(repo),
        "may_read": may_read,
        "file_url": lambda verb, path="", at=revision: file_url(repo, verb, at, path),
    }


def repository(context: RequestContext) -> Response:
    """Show the card of a repository."""
    repo, commit = context.repo, context.commit()
    values = repository_values(context, "card")
    fields = context.store.repos.card(repo)
    description = Description(context, repo, commit)
    is_readable = values["may_read"]
    config = (description.config() or {}) if repo.repo_type == "model" and is_readable else {}
    return page(
        context,
        "repository.html",
        **values,
        card=rendered_card(context, commit, DEFAULT_BRANCH) if is_readable else None,
        tags=_tags(repo, context.store.repos.tags(repo)),
        license=_license(fields),
        results=list(results_of(fields)),
        datasets=_linked(context, "dataset", fields.get("datasets")),
        base_models=_linked(context, "model", fields.get("base_model")),
        models=_trained_on(context),
        used_bytes=context.store.repos.used_bytes(repo),
        weights=weights.summary(context, commit) if repo.repo_type == "model" and is_readable else None,
        usage=usage(context.base_url, repo, fields, config),
        commit=commit,
    )


def rendered_card(context: RequestContext, commit: Commit, revision: str, folder: str = "") -> Card | None:
    """Return the README.md of a folder as HTML, cached by content; None if there is none."""
    repo = context.repo
    path = f"{folder}/README.md" if folder else "README.md"
    entry = context.store.revisions.entry(repo, commit, path)
    if entry is None or entry.is_folder:
        return None
    if entry.size > MAX_README:
        return Card(Markup(), is_whole=False)
    content = entry.lfs.sha256 if entry.lfs else entry.oid
    key = ("card", markdown.VERSION, repo.repo_type, repo.repo_id, revision, path, content)

    def computed() -> str:
        if entry.size > LIGHT_README:
            context.require_heavy_worker()
        text = text_of(context, commit, entry, MAX_README)
        front_matter, body = markdown.split_front_matter(text)
        # Parsing YAML takes as long as rendering a short card, and a card in the database was parsed before.
        is_unread = front_matter is not None and not folder and not context.store.repos.card(repo)
        problems = cards.validate(text, repo.repo_type)[0] if is_unread else []
        unreadable = [problem for problem in problems if not problem.startswith('Error: "')]
        body, is_whole = markdown.shortened(body)
        pages, files = file_url(repo, "blob", revision), file_url(repo, "resolve", revision)
        html = markdown.render(body, markdown.Base(f"{pages}/", f"{files}/", folder))
        problem = unreadable[0].removeprefix("Error: ") if unreadable else None
        shown = (front_matter or "")[:10_000] if unreadable else None
        return json.dumps([html, problem, shown, is_whole])

    try:
        html, problem, shown, is_whole = json.loads(context.rendered.get(key, computed))
    except HubHTTPError as error:
        if error.status != 410:  # a large file that was deleted permanently
            raise
        return None
    return Card(Markup(html), problem, shown, is_whole)


def results_of(fields: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the results in the `model-index` of a card, with the fields that have the expected form."""
    count = 0
    for model in _objects(fields.get("model-index")):
        for result in _objects(model.get("results")):
            dataset, task = _object(result.get("dataset")), _object(result.get("task"))
            for metric in _objects(result.get("metrics")):
                count += 1
                if count > MAX_RESULTS:
                    return
                yield {
                    "task": plain(task.get("name") or task.get("type") or ""),
                    "dataset": plain(dataset.get("name") or dataset.get("type") or ""),
                    "config": plain(dataset.get("config") or ""),
                    "split": plain(dataset.get("split") or ""),
                    "metric": plain(metric.get("name") or metric.get("type") or ""),
                    "value": _value(metric.get("value")),
                }


def _value(value: object) -> str:
    """Return a measured value; numbers with at most 6 significant digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else plain(value)


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and 0 < len(item) <= 200]


def _license(fields: dict[str, Any]) -> str | None:
    """Return the licence on the card; the name of a licence that is not in the list of known ones."""
    given = _texts(fields.get("license"))
    if given[:1] == ["other"]:
        given = _texts(fields.get("license_name")) or given
    return given[0] if given else None


def _tags(repo: Repo, tags: list[str]) -> list[tuple[str, str]]:
    """Return the tags that the page does not show elsewhere, with the URL of the list of each."""
    kinds = f"/{repo.repo_type}s"
    shown = [tag for tag in tags if len(tag) <= 100 and not tag.startswith(("license:", "dataset:"))]
    return [(tag, with_query(kinds, tag=tag)) for tag in shown[:MAX_TAGS]]


def _linked(context: RequestContext, repo_type: RepoType, value: object) -> list[tuple[str, str | None]]:
    """Return repositories that a card names, with the URL of those that the client may see on this Hub."""
    found: list[tuple[str, str | None]] = []
    for repo_id in _texts(value)[:LINKED]:
        repo = context.store.repos.find(repo_type, repo_id) if repo_id.count("/") == 1 else None
        is_seen = repo is not None and may(context.store, context.identity, "info", repo)
        found.append((repo_id, repo_url(repo) if repo is not None and is_seen else None))
    return found


def _trained_on(context: RequestContext) -> list[tuple[str, str]]:
    """Return models whose cards name this dataset."""
    if context.repo.repo_type != "dataset":
        return []
    tags = [f"dataset:{context.repo.repo_id}"]
    repos, _ = context.store.listing.repos("model", tags=tags, viewer=context.identity.viewer, limit=LINKED)
    return [(repo.repo_id, repo_url(repo)) for repo in repos]


routes = [Route("GET", "/{prefix}{repo}", "info", repository, "page: card of a repository", is_page=True)]
