"""Routes of the dataset viewer, with the responses of the public dataset viewer.

The repository is the query parameter `dataset`. The same routes answer without their prefix under the host name
`datasets-server.HOST`, which `datasets` derives from HF_ENDPOINT. The parameter `revision` is an addition.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse, Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.viewer.croissant import croissant_crumbs, croissant_metadata
from seqhub.server.viewer.datasets import DatasetView, Summary
from seqhub.server.viewer.discovery import Config
from seqhub.server.viewer.errors import ViewerError, invalid_parameter
from seqhub.server.workers import Work

PREFIX: Final = "/datasets-server"
MAX_LENGTH: Final = 100  # rows of a page
MAX_QUERY: Final = 1000  # characters of a search
REVISION: Final = "X-Revision"

Handler = Callable[[RequestContext, DatasetView], Response]


def splits(context: RequestContext, view: DatasetView) -> Response:
    """List configs and splits."""
    found = [
        {"dataset": view.repo.repo_id, "config": config.name, "split": split}
        for config in _wanted(context, view)
        for split in config.splits
    ]
    return JSONResponse({"splits": found, "pending": [], "failed": []})


def first_rows(context: RequestContext, view: DatasetView) -> Response:
    """Return the first 100 rows."""
    config, split = _config_and_split(context, view)
    names = {"dataset": view.repo.repo_id, "config": config.name, "split": split}
    assets = _assets(context, view, config, split)
    return _json(view.query("first-rows", config, split, names=names, assets=assets))


def rows(context: RequestContext, view: DatasetView) -> Response:
    """Return a page of rows."""
    config, split = _config_and_split(context, view)
    return _json(view.query("rows", config, split, **_page(context, view, config, split)))


def search(context: RequestContext, view: DatasetView) -> Response:
    """Return a page of the rows that contain a text."""
    config, split = _config_and_split(context, view)
    query = _required(context, "query")
    if len(query) > MAX_QUERY:
        raise invalid_parameter("query", f"has {len(query)} characters; at most {MAX_QUERY} are allowed")
    return _json(view.query("search", config, split, query=query, **_page(context, view, config, split)))


def filter_rows(context: RequestContext, view: DatasetView) -> Response:
    """Return a page of the rows that match a filter, sorted by a column if wanted."""
    config, split = _config_and_split(context, view)
    given = {name: context.request.query_params.get(name, "") for name in ("where", "orderby")}
    return _json(view.query("filter", config, split, **given, **_page(context, view, config, split)))


def statistics(context: RequestContext, view: DatasetView) -> Response:
    """Return the statistics of each column."""
    config, split = _config_and_split(context, view)
    return _json(view.query("statistics", config, split))


def size(context: RequestContext, view: DatasetView) -> Response:
    """Return numbers of rows and bytes."""
    configs = _wanted(context, view)
    summaries, more = view.summary(configs)
    name = view.repo.repo_id
    by_split, by_config = [], []
    for config in configs:
        found = _readable(summaries, config)
        items = []
        for item in found:
            bytes_of_files = sum(view.sizes(config.splits[item["split"]]).values())
            items.append(
                {
                    "dataset": name,
                    "config": config.name,
                    "split": item["split"],
                    "num_bytes_original_files": bytes_of_files,
                    "num_bytes_parquet_files": bytes_of_files if config.format == "parquet" else 0,
                    "num_bytes_memory": item["memory_bytes"],
                    "num_rows": item["num_rows"],
                    "num_columns": len(item["features"]),
                }
            )
        columns = max((len(item["features"]) for item in found), default=0)
        by_config.append({"dataset": name, "config": config.name, **_totals(items), "num_columns": columns})
        by_split += items
    body: dict[str, Any] = {
        "dataset": {"dataset": name, **_totals(by_config)},
        "configs": by_config,
        "splits": by_split,
    }
    if "config" in context.request.query_params:
        body = {"config": by_config[0], "splits": by_split}
    return _about({"size": body}, view, summaries, more)


def parquet(context: RequestContext, view: DatasetView) -> Response:
    """List the Parquet files; configs in other formats have none and are listed as failed."""
    name, found, failed = view.repo.repo_id, [], []
    for config in _wanted(context, view):
        if config.format != "parquet":
            error = f"The data files of this config are {config.format}; the Hub does not convert them to Parquet."
            failed.append({"dataset": name, "config": config.name, "split": None, "error": {"error": error}})
            continue
        for split, paths in config.splits.items():
            sizes = view.sizes(paths)
            found += [
                {
                    "dataset": name,
                    "config": config.name,
                    "split": split,
                    "url": _file_url(context, view, path),
                    "filename": path.rpartition("/")[2],
                    "size": sizes[path],
                }
                for path in paths
            ]
    return JSONResponse({"parquet_files": found, "pending": [], "failed": failed, "partial": False})


def info(context: RequestContext, view: DatasetView) -> Response:
    """Return features and sizes of the splits in the form of `datasets.DatasetInfo`."""
    configs = _wanted(context, view)
    summaries, more = view.summary(configs)
    infos = {config.name: found for config in configs if (found := _info(view, config, summaries)) is not None}
    if "config" in context.request.query_params:
        if not infos:
            raise _error_of(summaries)
        return _about({"dataset_info": infos[configs[0].name]}, view, summaries, more)
    return _about({"dataset_info": infos}, view, summaries, more)


def is_valid(context: RequestContext, view: DatasetView) -> Response:
    """Return which operations work for a dataset, or for some of its splits."""
    try:
        summaries, _ = view.summary(_wanted(context, view))
    except ViewerError as problem:
        if problem.status == 404:
            raise
        summaries = []
    split = context.request.query_params.get("split")
    found = [item for item in summaries if "error" not in item and split in (None, item["split"])]
    names = ("preview", "viewer", "filter", "statistics")
    return JSONResponse({**dict.fromkeys(names, bool(found)), "search": any(item["has_text"] for item in found)})


def crumbs(context: RequestContext, view: DatasetView) -> Response:
    """Return the parts of Croissant metadata that describe files and columns."""
    return JSONResponse(croissant_crumbs(_page_url(context, view), *_described(view)))


def croissant(context: RequestContext) -> Response:
    """Return the Croissant metadata of a dataset."""
    view = _view(context, "main")

    def found(context: RequestContext, view: DatasetView) -> Response:
        body = croissant_metadata(_page_url(context, view), view.repo.repo_id, view.card(), *_described(view))
        return JSONResponse(body, media_type="application/ld+json")

    return _answered(context, view, found)


def parquet_urls(context: RequestContext) -> Response:
    """Return the URLs of the Parquet files by config and split."""
    view = _view(context, "main")

    def found(context: RequestContext, view: DatasetView) -> Response:
        urls = {
            config.name: {s: [_file_url(context, view, path) for path in paths] for s, paths in config.splits.items()}
            for config in view.configs
            if config.format == "parquet"
        }
        return JSONResponse(urls)

    return _answered(context, view, found)


def asset(context: RequestContext, view: DatasetView) -> Response:
    """Send an image or sound."""
    config, split = _config_and_split(context, view)
    row = _number(_required(context, "row"), "row")
    found = view.asset(config, split, row, _required(context, "column"))
    return Response(found.body, media_type=found.content_type)


def _handler(handler: Handler) -> Callable[[RequestContext], Response]:
    def handle(context: RequestContext) -> Response:
        return _answered(context, _view(context, context.request.query_params.get("revision", "main")), handler)

    handle.__doc__ = handler.__doc__
    return handle


def _view(context: RequestContext, revision: str) -> DatasetView:
    if context.repo.repo_type != "dataset":
        raise HubHTTPError(404, f"{context.repo.repo_id} is a {context.repo.repo_type}; this works for datasets only.")
    commit = context.store.revisions.resolve(context.repo, revision)
    return DatasetView(context.viewer, context.store, context.repo, commit)


def _answered(context: RequestContext, view: DatasetView, handler: Handler) -> Response:
    """Return the response of a handler with the header that names the commit, also for errors."""
    try:
        response = handler(context, view)
    except ViewerError as problem:
        headers = {REVISION: view.commit.oid}
        raise HubHTTPError(problem.status, problem.message, code=problem.code, headers=headers) from None
    response.headers[REVISION] = view.commit.oid
    return response


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _required(context: RequestContext, name: str) -> str:
    value = context.request.query_params.get(name, "")
    if not value.strip():
        raise ViewerError(422, "MissingRequiredParameter", f"Parameter '{name}' is required")
    return value


def _number(text: str, name: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise invalid_parameter(name, f"must be an integer, not {text[:40]!r}")
    if text.startswith("-"):
        raise invalid_parameter(name, f"must not be negative: {text}")
    return int(text)


def _wanted(context: RequestContext, view: DatasetView) -> Sequence[Config]:
    """Return the config of the query, or all configs."""
    name = context.request.query_params.get("config")
    return view.configs if name is None else [view.config(name)]


def _config_and_split(context: RequestContext, view: DatasetView) -> tuple[Config, str]:
    return view.config(_required(context, "config")), _required(context, "split")


def _page(context: RequestContext, view: DatasetView, config: Config, split: str) -> dict[str, Any]:
    query = context.request.query_params
    offset, length = _number(query.get("offset", "0"), "offset"), _number(query.get("length", "100"), "length")
    if length > MAX_LENGTH:
        raise invalid_parameter("length", f"must not be greater than {MAX_LENGTH}, not {length}")
    return {"offset": offset, "length": length, "assets": _assets(context, view, config, split)}


def _base_url(context: RequestContext) -> str:
    """Return the URL of the Hub, also for a request to the host name of the viewer."""
    return context.base_url.replace("://datasets-server.", "://", 1)


def _page_url(context: RequestContext, view: DatasetView) -> str:
    return f"{_base_url(context)}/datasets/{view.repo.repo_id}"


def _file_url(context: RequestContext, view: DatasetView, path: str) -> str:
    return f"{_page_url(context, view)}/resolve/{view.commit.oid}/{quote(path)}"


def _assets(context: RequestContext, view: DatasetView, config: Config, split: str) -> str:
    """Return the beginning of the URLs of images and sounds."""
    query = {"dataset": view.repo.repo_id, "config": config.name, "split": split, "revision": view.commit.oid}
    return f"{_base_url(context)}{PREFIX}/assets?{urlencode(query)}"


def _readable(summaries: Iterable[Summary], config: Config) -> list[Summary]:
    return [item for item in summaries if item["config"] == config.name and "error" not in item]


def _totals(items: Sequence[dict[str, Any]]) -> dict[str, int]:
    names = ("num_bytes_original_files", "num_bytes_parquet_files", "num_bytes_memory", "num_rows")
    return {name: sum(item[name] for item in items) for name in names}


def _about(body: dict[str, Any], view: DatasetView, summaries: Sequence[Summary], more: bool) -> Response:
    """Return a response with the splits that could not be read."""
    failed = [
        {"dataset": view.repo.repo_id, "config": item["config"], "split": item["split"], "error": item["error"]}
        for item in summaries
        if "error" in item
    ]
    partial = more or any(item.get("partial", False) for item in summaries)
    return JSONResponse({**body, "pending": [], "failed": failed, "partial": partial})


def _error_of(summaries: Sequence[Summary]) -> ViewerError:
    error = summaries[0]["error"]
    return ViewerError(error["status"], error["code"], error["message"])


def _info(view: DatasetView, config: Config, summaries: Sequence[Summary]) -> dict[str, Any] | None:
    """Return the information of a config; None if none of its splits can be read."""
    found = _readable(summaries, config)
    if not found:
        return None
    name = view.repo.name
    sizes = view.sizes([path for paths in config.splits.values() for path in paths])
    return {
        "description": "",
        "citation": "",
        "homepage": "",
        "license": "",
        "features": found[0]["features"],
        "builder_name": config.format,
        "dataset_name": name,
        "config_name": config.name,
        "version": {"version_str": "0.0.0", "major": 0, "minor": 0, "patch": 0},
        "splits": {
            item["split"]: {
                "name": item["split"],
                "num_bytes": item["memory_bytes"],
                "num_examples": item["num_rows"],
                "dataset_name": name,
            }
            for item in found
        },
        "download_size": sum(sizes.values()),
        "dataset_size": sum(item["memory_bytes"] for item in found),
    }


def _described(view: DatasetView) -> tuple[Sequence[Config], dict[str, dict[str, Any]]]:
    """Return the configs, and the features of those that can be read."""
    configs = view.configs
    summaries, _ = view.summary(configs)
    features = {config.name: found[0]["features"] for config in configs if (found := _readable(summaries, config))}
    return configs, features


def _route(path: str, handler: Handler, purpose: str, *, is_scan: bool = False) -> Route:
    work: Work = "scan" if is_scan else "page"
    return Route("GET", PREFIX + path, "read", _handler(handler), purpose, work=work, takes_dataset=True)


routes = [
    _route("/splits", splits, "configs and splits of a dataset"),
    _route("/first-rows", first_rows, "the first 100 rows of a split"),
    _route("/rows", rows, "a page of the rows of a split"),
    _route("/search", search, "rows that contain a text", is_scan=True),
    _route("/filter", filter_rows, "rows that match a filter, sorted by a column if wanted", is_scan=True),
    _route("/statistics", statistics, "statistics and histograms of the columns of a split", is_scan=True),
    _route("/size", size, "numbers of rows and bytes of a dataset"),
    _route("/parquet", parquet, "Parquet files of a dataset"),
    _route("/info", info, "features and sizes of a dataset; `load_dataset` asks for it"),
    _route("/is-valid", is_valid, "which parts of the viewer work for a dataset"),
    _route("/croissant-crumbs", crumbs, "files and columns of a dataset as Croissant metadata"),
    _route("/assets", asset, "image or sound in a row"),
    Route("GET", "/api/{kinds}/{repo}/croissant", "read", croissant, "Croissant metadata of a dataset", work="page"),
    Route("GET", "/api/{kinds}/{repo}/parquet", "read", parquet_urls, "URLs of the Parquet files of a dataset"),
]
