"""Home, and lists of repositories with search, facets, sorting and pages, all as links and forms with GET."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from seqhub.server import serializers
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.links import repo_url, with_query
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.listing import Summary
from seqhub.server.types import Repo, RepoType

PAGE: Final = 30
HOME_PAGE: Final = 6
SORTS: Final[Mapping[str, tuple[str, str]]] = {  # name in the URL -> key of the store, text
    "trending": ("trendingScore", "Trending"),
    "downloads": ("downloads", "Most downloads"),
    "likes": ("likes", "Most likes"),
    "updated": ("lastModified", "Recently updated"),
}
MAX_TEXT: Final = 200
_FACET_SECONDS: Final = 10  # for which the counts of facets are kept
_FACET_VALUES: Final = 12
_SHOWN_TAGS: Final = 6  # of a repository in a list


@dataclass(frozen=True, slots=True)
class Facet:
    """Property by which a list is filtered.

    Args:
        name: Parameter of the URL.
        title: Heading.
        prefix: Prefix of its tags; "" for tags without a prefix.
    """

    name: str
    title: str
    prefix: str


_LICENSE, _TAG = Facet("license", "License", "license:"), Facet("tag", "Tag", "")
FACETS: Final[Mapping[RepoType, tuple[Facet, ...]]] = {
    "model": (Facet("task", "Task", "pipeline_tag:"), Facet("library", "Library", "library:"), _LICENSE, _TAG),
    "dataset": (Facet("task", "Task", "task_categories:"), Facet("size", "Size", "size_categories:"), _LICENSE, _TAG),
    "space": (Facet("sdk", "SDK", "sdk:"), _LICENSE, _TAG),
}


@dataclass(frozen=True, slots=True)
class Item:
    """Repository in a list."""

    repo: Repo
    url: str
    downloads: int
    likes: int
    task: str | None
    tags: list[str]


def home(context: RequestContext) -> Response:
    """Show the repositories that changed last."""
    found = {repo_type: _items(context, repo_type, HOME_PAGE) for repo_type in ("model", "dataset")}
    return page(context, "home.html", models=found["model"], datasets=found["dataset"])


def repositories(context: RequestContext) -> Response:
    """Show one page of repositories."""
    kinds = context.params["kinds"]
    repo_type = serializers.REPO_TYPE_OF[kinds]
    query = context.request.query_params
    sort = query.get("sort") or "trending"
    if sort not in SORTS:
        raise HubHTTPError(400, f'"sort" must be one of {", ".join(SORTS)}, not {sort[:40]!r}.')
    facets = FACETS[repo_type]
    given = {name: (query.get(name) or "").strip()[:MAX_TEXT] for name in ("q", "author", *(f.name for f in facets))}
    repos, after = context.store.listing.repos(
        repo_type,
        search=given["q"].split()[:8],
        author=given["author"] or None,
        tags=[facet.prefix + given[facet.name] for facet in facets if given[facet.name]],
        viewer=context.identity.viewer,
        sort=SORTS[sort][0],
        after=query.get("cursor") or None,
        limit=PAGE,
    )
    state = {**given, "sort": "" if sort == "trending" else sort}
    path = f"/{kinds}"
    groups = []
    for name, title, values in _facet_values(context, repo_type):
        chosen = given[name].lower()
        if chosen and chosen not in {value.lower() for value, _ in values}:
            values = [(given[name], None), *values]
        links = []
        for value, count in values:
            is_chosen = value.lower() == chosen
            links.append((value, count, is_chosen, with_query(path, **state | {name: "" if is_chosen else value})))
        groups.append((title, links))
    return page(
        context,
        "list.html",
        kinds=kinds,
        repo_type=repo_type,
        items=[_item(found) for found in context.store.listing.summaries(repos)],
        state=state,
        sort=sort,
        sorts={name: title for name, (_, title) in SORTS.items()},
        groups=[(title, links) for title, links in groups if links],
        is_filtered=any(given.values()),
        is_first=not query.get("cursor"),
        first_url=with_query(path, **state),
        next_url=None if after is None else with_query(path, **state, cursor=after),
        clear_url=path,
    )


def _items(context: RequestContext, repo_type: RepoType, limit: int) -> list[Item]:
    repos, _ = context.store.listing.repos(repo_type, viewer=context.identity.viewer, limit=limit)
    return [_item(found) for found in context.store.listing.summaries(repos)]


def _item(found: Summary) -> Item:
    tags = [tag for tag in found.tags if ":" not in tag and tag != found.task and len(tag) <= 40][:_SHOWN_TAGS]
    return Item(found.repo, repo_url(found.repo), found.downloads, found.likes, found.task and found.task[:60], tags)


def _facet_values(context: RequestContext, repo_type: RepoType) -> list[tuple[str, str, list[tuple[str, int | None]]]]:
    """Return name, title and the most frequent values of each facet, counted in public repositories."""

    def counted() -> str:
        tags = context.store.listing.tag_counts(repo_type)
        found: list[tuple[str, str, list[tuple[str, int]]]] = []
        used: set[str] = set()
        for facet in FACETS[repo_type]:
            if facet.prefix:
                of_facet = [(tag[len(facet.prefix) :], count) for tag, count in tags if tag.startswith(facet.prefix)]
                used |= {value for value, _ in of_facet}
            else:
                of_facet = [(tag, count) for tag, count in tags if ":" not in tag and tag not in used]
            values = [(value, count) for value, count in of_facet if value and len(value) <= 60]
            found.append((facet.name, facet.title, values[:_FACET_VALUES]))
        found.append(("author", "Author", context.store.listing.author_counts(repo_type, _FACET_VALUES)))
        return json.dumps(found)

    # Counting reads all tags: at 10,000 repositories it takes longer than the rest of the page.
    period = int(time.monotonic() / _FACET_SECONDS)
    found = json.loads(context.rendered.get(("facets", repo_type, period), counted))
    return [(name, title, [(value, count) for value, count in values]) for name, title, values in found]


routes = [
    Route("GET", "/", "public", home, "page: home", is_page=True),
    Route("GET", "/{kinds}", "public", repositories, "page: list of repositories", is_page=True),
]
