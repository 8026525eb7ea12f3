"""Routes of repository information and lists of repositories."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers, strict_json
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.listing import SORTS
from seqhub.server.types import Commit, Gated, Repo, RepoType

PAGE, HIGHEST_PAGE = 100, 1000
MAX_SIBLINGS = 200_000
LIGHT_FILES = 2000  # a heavy worker is used for more
PAGE_BYTES = 2 * 2**20  # maximum size of a page of repositories
MAX_CONDITIONS = 100  # search texts and tags of one list
_COMMON = (
    "author cardData createdAt disabled lastModified likes private resourceGroup sha siblings tags trendingScore "
    "usedStorage xetEnabled"
)
_DOWNLOADED = "downloads downloadsAllTime gated"
_MODEL = (
    "baseModels childrenModelCount config evalResults gguf inference inferenceProviderMapping library_name mask_token "
    "model-index pipeline_tag safetensors spaces transformersInfo widgetData"
)
COSTLY = frozenset({"siblings", "config", "cardData", "model-index"})
EXPANDABLE: Mapping[RepoType, frozenset[str]] = {
    "model": frozenset(f"{_COMMON} {_DOWNLOADED} {_MODEL}".split()),
    "dataset": frozenset(f"{_COMMON} {_DOWNLOADED} citation description mainSize paperswithcode_id".split()),
    "space": frozenset(f"{_COMMON} datasets models region runtime sdk subdomain".split()),
}


class Description:
    """Fields of a repository under the names of the client API, loaded on demand."""

    def __init__(
        self, context: RequestContext, repo: Repo, commit: Commit | None = None, *, blobs: bool = False
    ) -> None:
        self.context = context
        self.repo = repo
        self.at = commit
        self.blobs = blobs
        self.store = context.store
        self._card: dict[str, object] | None = None

    @property
    def card(self) -> dict[str, object]:
        if self._card is None:
            self._card = self.store.repos.card(self.repo)
        return self._card

    @property
    def commit(self) -> Commit:
        if self.at is None:
            self.at = self.store.revisions.resolve(self.repo, "main")
        return self.at

    def shape(self, names: "frozenset[str] | set[str]") -> serializers.Shape:
        """Return the ids of the repository and its fields with these names; unsupported fields are omitted."""
        shape: serializers.Shape = {"_id": f"{self.repo.id:024x}", "id": self.repo.repo_id}
        if self.repo.repo_type == "model":
            shape["modelId"] = self.repo.repo_id
        for name, look_up in self.fields().items():
            if name in names:
                value = look_up()
                if value is not None:
                    shape[name] = value
        return shape

    def fields(self) -> dict[str, Callable[[], object]]:
        """Return a function for each field that loads its value."""
        repo = self.repo

        def downloads() -> int:
            return self.store.repos.downloads(repo)

        fields: dict[str, Callable[[], object]] = {
            "author": lambda: repo.namespace,
            "sha": lambda: self.commit.oid,
            "lastModified": lambda: serializers.timestamp(repo.updated),
            "createdAt": lambda: serializers.timestamp(repo.created),
            "private": lambda: repo.private,
            "gated": lambda: False if repo.gated == "no" else repo.gated,
            "disabled": lambda: False,
            "likes": lambda: self.store.likes.count(repo),
            "tags": lambda: self.store.repos.tags(repo),
            "cardData": lambda: self.card or None,
            "siblings": self.siblings,
            "usedStorage": lambda: self.store.repos.used_bytes(repo),
            "trendingScore": lambda: 0,
        }
        if repo.repo_type == "space":
            fields |= {"sdk": lambda: repo.sdk, "models": list, "datasets": list, "runtime": lambda: None}
        else:
            fields |= {"downloads": downloads, "downloadsAllTime": downloads}
        if repo.repo_type == "dataset":
            fields["description"] = lambda: text_or_none(self.card.get("description"))
        if repo.repo_type == "model":
            fields |= {
                "pipeline_tag": lambda: text_or_none(self.card.get("pipeline_tag")),
                "library_name": self.library_name,
                "model-index": lambda: self.card.get("model-index"),
                "config": self.config,
                "spaces": list,
            }
        return fields

    def siblings(self) -> list[serializers.Shape]:
        """Return every file at the commit."""
        return [shape for page in self.sibling_pages() for shape in page]

    def sibling_pages(self) -> Iterator[list[serializers.Shape]]:
        """Yield every file at the commit, page by page."""
        after: str | None = None
        for number in range(-(-MAX_SIBLINGS // LIGHT_FILES)):
            if number:
                self.context.require_heavy_worker()
            entries, after = self.store.revisions.tree(
                self.repo, self.commit, "", recursive=True, with_last_commit=False, after=after, limit=LIGHT_FILES
            )
            yield [serializers.sibling(entry, blobs=self.blobs) for entry in entries if not entry.is_folder]
            if after is None:
                return

    def config(self) -> serializers.Shape | None:
        """Return the entries of config.json by which clients choose classes; None if the file is not valid."""
        entry = self.store.revisions.entry(self.repo, self.commit, "config.json")
        if entry is None or entry.is_folder or entry.lfs is not None or entry.size > 1_000_000:
            return None
        try:
            found = self.store.revisions.content(self.repo, self.commit, entry)
            config = strict_json.parse_content(found if isinstance(found, bytes) else found.read_bytes())
        except (ValueError, KeyError):  # the file is not JSON, or the object is damaged
            return None
        if not isinstance(config, dict):
            return None
        return {name: config[name] for name, check in CONFIG.items() if check(config.get(name))}

    def library_name(self) -> str | None:
        """Return the library of the card, or "transformers" if config.json has a model type."""
        named = text_or_none(self.card.get("library_name"))
        if named is None and self.at is not None and "model_type" in (self.config() or {}):
            return "transformers"
        return named


def info(context: RequestContext) -> Response:
    """Return one repository at one revision."""
    repo = context.repo
    commit = context.commit()
    description = Description(context, repo, commit, blobs=context.flag("blobs"))
    expand = expanded(context, repo.repo_type)
    lists_files = not expand or "siblings" in expand
    if expand:
        shape = description.shape(expand - {"siblings"})
    else:
        known = set(description.fields()) - {"trendingScore", "downloadsAllTime", "description", "siblings"}
        shape = description.shape(known)
        if context.flag("securityStatus"):
            shape["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    headers = {serializers.REPO_COMMIT: commit.oid}
    if not lists_files:
        return JSONResponse(shape, headers=headers)
    # Pages are serialised one at a time: as Python values, thousands of files would take ten times the memory.
    pages = (json.dumps(page, ensure_ascii=False, separators=(",", ":"))[1:-1] for page in description.sibling_pages())
    files = ",".join(filter(None, pages))
    body = JSONResponse(shape).body
    assert isinstance(body, bytes)
    return Response(body[:-1] + b',"siblings":[' + files.encode() + b"]}", 200, headers, "application/json")


def list_repositories(context: RequestContext) -> Response:
    """Return one page of repositories; expensive fields are included on request only."""
    repo_type = serializers.REPO_TYPE_OF[context.params["kinds"]]
    query = context.request.query_params
    expand = expanded(context, repo_type)
    sort = query.get("sort", "lastModified")
    if sort not in SORTS:
        raise HubHTTPError(400, f'"sort" must be one of {", ".join(SORTS)}, not {sort[:40]!r}.')
    search, tags = query.getlist("search"), context.values("filter") + context.values("tags")
    if len(search) + len(tags) > MAX_CONDITIONS:
        raise HubHTTPError(400, f"{len(search) + len(tags)} texts and tags; at most {MAX_CONDITIONS} are allowed.")
    direction = query.get("direction", "-1")
    if direction not in ("-1", "1"):
        raise HubHTTPError(400, f'"direction" must be -1 or 1, not {direction[:40]!r}.')
    listed = partial(
        context.store.listing.repos,
        repo_type,
        search=tuple(search),
        author=query.get("author"),
        tags=tuple(tags),
        pipeline_tag=query.get("pipeline_tag"),
        gated=gate(query.get("gated")),
        viewer=context.identity.viewer,
        sort=sort,
        descending=direction == "-1",
        after=query.get("cursor"),
    )
    limit = max(1, min(HIGHEST_PAGE, context.integer("limit", PAGE, low=0, high=10**15)))
    names = expand or plain_names(context, repo_type)
    if limit > PAGE or names & COSTLY:
        context.require_heavy_worker()
    repos, after = listed(limit=limit)
    shapes: list[serializers.Shape] = []
    size = 0
    for place, repo in enumerate(repos):
        try:
            shape = Description(context, repo).shape(names)
        except HubHTTPError as error:
            if error.status != 404:  # 404: deleted in the meantime
                raise
            continue
        size += len(json.dumps(shape))
        if shapes and size > PAGE_BYTES:
            _, after = listed(limit=place)
            break
        shapes.append(shape)
    return JSONResponse(shapes, headers={} if after is None else serializers.next_link(context.next_url(after)))


def plain_names(context: RequestContext, repo_type: RepoType) -> frozenset[str]:
    """Return the names of the fields without `expand`."""
    names = {"author", "private", "gated", "likes", "downloads", "tags", "createdAt", "lastModified", "sdk"}
    names |= {"pipeline_tag", "library_name"}
    if repo_type == "dataset":
        names |= {"sha", "disabled", "description"}
    if context.flag("full"):
        names |= {"sha", "siblings", "disabled"} | ({"cardData"} if repo_type != "model" else set())
    if context.flag("cardData"):
        names.add("cardData")
    if context.flag("config"):
        names.add("config")
    return frozenset(names)


def expanded(context: RequestContext, repo_type: RepoType) -> frozenset[str]:
    """Return the valid names in `expand`."""
    names = frozenset(context.values("expand"))
    unknown = sorted(names - EXPANDABLE[repo_type])
    if unknown:
        raise HubHTTPError(
            400, f'"expand" must be one of {", ".join(sorted(EXPANDABLE[repo_type]))}, not {unknown[0][:60]!r}.'
        )
    return names


def gate(text: str | None) -> Gated | bool | None:
    """Parse `gated`: true, false, auto or manual."""
    if text is None:
        return None
    values: dict[str, Gated | bool] = {"true": True, "1": True, "false": False, "0": False}
    values |= {"auto": "auto", "manual": "manual"}
    if text.lower() not in values:
        raise HubHTTPError(400, f'"gated" must be one of {", ".join(values)}, not {text[:40]!r}.')
    return values[text.lower()]


def tags_by_type(context: RequestContext) -> Response:
    """Return the tags of public repositories, grouped as on the public Hub."""
    repo_type: RepoType = "model" if context.params["kinds"] == "models" else "dataset"
    groups: dict[str, list[serializers.Shape]] = {}
    for tag, _ in context.store.listing.tag_counts(repo_type):
        prefix, colon, label = tag.partition(":")
        group = prefix if colon else "other"
        groups.setdefault(group, []).append({"id": tag, "label": label or prefix, "type": group})
    return JSONResponse(groups)


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def is_class_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and is_small(value)


def is_auto_map(value: object) -> bool:
    """Return whether a value maps auto classes to code; a tokenizer has a slow and a fast class, both optional."""

    def is_reference(item: object) -> bool:
        return item is None or isinstance(item, str)

    return (
        isinstance(value, dict)
        and is_small(value)
        and all(is_reference(v) or (isinstance(v, list) and all(map(is_reference, v))) for v in value.values())
    )


def is_small(value: object) -> bool:
    return len(str(value)) < 10_000


CONFIG: Mapping[str, Callable[[object], bool]] = {
    "architectures": is_class_names,
    "auto_map": is_auto_map,
    "model_type": lambda value: isinstance(value, str) and is_small(value),
}


routes = [
    Route("GET", "/api/{kinds}-tags-by-type", "public", tags_by_type, "`get_model_tags`, `get_dataset_tags`"),
    Route("GET", "/api/{kinds}", "public", list_repositories, "`list_models`, `list_datasets`, `list_spaces`"),
    Route("GET", "/api/{kinds}/{repo}/revision/{revision}", "info", info, "`repo_info(revision=...)`"),
    Route("GET", "/api/{kinds}/{repo}", "info", info, "`model_info`, `dataset_info`, `space_info`"),
]
