"""Routes that read files: content with ranges, folders, single paths."""

import json
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from seqhub.server import serializers, strict_json
from seqhub.server.conditional import is_known, requested_range
from seqhub.server.errors import HubHTTPError, entry_not_found
from seqhub.server.pickle_scan import Status
from seqhub.server.request import RequestContext, is_true
from seqhub.server.routing import Route
from seqhub.server.types import Commit, Entry

PIECE = 256 * 1024
PATHS = 20_000
TREE_PAGE, EXPANDED_PAGE = 1000, 50  # as on the public Hub; last commits are expensive
MAX_HEADER, MAX_HEADERS = 8_000_000, 16_000_000  # bytes of safetensors headers in a file and in a response
MAX_INDEX = 8_000_000  # bytes of a shard index
LIGHT_PATHS = 1000  # a heavy worker is used for more
MAX_SHARDS = 1000
TEXT = frozenset(
    [
        ".md",
        ".txt",
        ".json",
        ".jsonl",
        ".yaml",
        ".yml",
        ".py",
        ".csv",
        ".tsv",
        ".toml",
        ".cfg",
        ".ini",
        ".gitattributes",
        ".gitignore",
        ".html",
        ".js",
        ".css",
        ".xml",
    ]
)


IMAGES = {  # suffix -> media type, so that cards and pages can show them
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
# An SVG that is opened by itself is a document; without `allow-scripts` none of its scripts run.
SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"


def resolve(context: RequestContext) -> Response:
    """Send a file. It is never compressed, since clients compare Content-Length with the size of the file."""
    commit, entry = found_file(context)
    etag = f'"{entry.lfs.sha256 if entry.lfs else entry.oid}"'
    headers = {
        "ETag": etag,
        serializers.REPO_COMMIT: commit.oid,
        "Accept-Ranges": "bytes",
        "Content-Type": content_type(entry.path),
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(PurePosixPath(entry.path).name)}",
    }
    if headers["Content-Type"] == IMAGES[".svg"]:
        headers["Content-Security-Policy"] = SVG_POLICY
    if entry.lfs is not None:
        headers |= {serializers.LINKED_SIZE: str(entry.lfs.size), serializers.LINKED_ETAG: etag}
    if is_known(context.request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    start, stop, status = range_of(context, entry.size, etag)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    elif entry.size == 0 and "range" in context.request.headers:
        headers["Content-Range"] = "bytes */0"
    headers["Content-Length"] = str(stop - start)
    if context.request.method == "HEAD" and entry.lfs is None:
        return Response(status_code=status, headers=headers)
    content = context.store.revisions.content(context.repo, commit, entry)
    if context.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if isinstance(content, bytes):
        return Response(content[start:stop], status, headers)
    return StreamingResponse(pieces(content, start, stop), status, headers)


def raw(context: RequestContext) -> Response:
    """Send the git blob of a file, which is the pointer for a large file."""
    commit, entry = found_file(context)
    etag = f'"{entry.oid}"'
    headers = {
        serializers.REPO_COMMIT: commit.oid,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Type": content_type(entry.path),
    }
    if is_known(context.request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if entry.lfs is not None:
        body = pointer(entry.lfs.sha256, entry.lfs.size)
    else:
        found = context.store.revisions.content(context.repo, commit, entry)
        if isinstance(found, Path):
            start, stop, status = range_of(context, entry.size, etag)
            if status == 206:
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
            headers["Content-Length"] = str(stop - start)
            if context.request.method == "HEAD":
                return Response(status_code=status, headers=headers)
            return StreamingResponse(pieces(found, start, stop), status, headers)
        body = found
    start, stop, status = range_of(context, len(body), etag)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return Response(body[start:stop], status, headers)


def tree(context: RequestContext) -> Response:
    """List a folder."""
    expand = context.flag("expand")
    highest = EXPANDED_PAGE if expand else TREE_PAGE
    commit, folder = context.commit(), context.params.get("path", "").strip("/")
    limit = min(context.integer("limit", highest, low=1, high=10_000), highest)
    try:
        found, after = context.store.revisions.tree(
            context.repo,
            commit,
            folder,
            recursive=context.flag("recursive"),
            with_last_commit=expand,
            after=context.request.query_params.get("cursor"),
            limit=limit,
        )
    except HubHTTPError as error:
        error.headers[serializers.REPO_COMMIT] = commit.oid  # clients cache that the folder does not exist
        raise
    shapes = [
        serializers.tree_entry(e, expand=expand, scan=scan_of(context, e) if expand else "not scanned") for e in found
    ]
    headers = {serializers.REPO_COMMIT: commit.oid}
    if after is not None:
        headers |= serializers.next_link(context.next_url(after))
    return JSONResponse(shapes, headers=headers)


def paths_info(context: RequestContext) -> Response:
    """Return the entries at some paths; missing ones are omitted."""
    form = context.form()
    paths = [path.strip("/") for path in form.get("paths", []) + form.get("paths[]", [])]
    if len(paths) > PATHS:
        raise HubHTTPError(413, f"{len(paths)} paths; at most {PATHS} are allowed.")
    if len(paths) > LIGHT_PATHS:
        context.require_heavy_worker()
    expand = is_true(form.get("expand", ["false"])[0])
    commit = context.commit()
    found = context.store.revisions.entries(
        context.repo, commit, [path for path in paths if path], with_last_commit=expand
    )
    shapes = [
        serializers.tree_entry(e, expand=expand, copyable=True, scan=scan_of(context, e) if expand else "not scanned")
        for e in found
    ]
    return JSONResponse(shapes, headers={serializers.REPO_COMMIT: commit.oid})


def scan_of(context: RequestContext, entry: Entry) -> Status:
    """Return the scan result of a file, without starting a scan."""
    if context.scanner is None or entry.is_folder:
        return "not scanned"
    content = entry.lfs.sha256 if entry.lfs else entry.oid
    return context.scanner.status(content, entry.path, context.store.scans)


def safetensors_metadata(context: RequestContext) -> Response:
    """Return the headers of all shards of an index on main."""
    commit, index_path = context.store.revisions.resolve(context.repo, "main"), context.params["path"]
    index_entry = context.store.revisions.entry(context.repo, commit, index_path)
    if index_entry is None or index_entry.is_folder:
        raise absent_entry(commit, index_path, "main")
    if index_entry.size > MAX_INDEX:
        raise HubHTTPError(
            422, f"{index_path} has {index_entry.size:,} bytes; at most {MAX_INDEX:,} are allowed for an index."
        )
    found = context.store.revisions.content(context.repo, commit, index_entry)
    try:
        index = strict_json.parse(found if isinstance(found, bytes) else found.read_bytes())
        metadata = index.get("metadata")
        shards = sorted(set(index["weight_map"].values()))
        names = [str(PurePosixPath(index_path).with_name(PurePosixPath(shard).name)) for shard in shards]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubHTTPError(422, f"{index_path} is not an index of safetensors shards.") from None
    if len(shards) > MAX_SHARDS:
        raise HubHTTPError(422, f"{index_path} lists {len(shards)} shards; at most {MAX_SHARDS} are allowed.")
    del index, found  # free memory for the headers of the shards
    parts: list[bytes] = []
    total = 0
    for shard, name in zip(shards, names, strict=True):
        header = shard_header(context, commit, name, MAX_HEADERS - total)
        total += len(header)
        parts.append(json.dumps(shard).encode() + b":" + header)
    body = b'{"index":' + compact({"metadata": metadata}) + b',"headers":{' + b",".join(parts) + b"}}"
    return Response(body, media_type="application/json")


def shard_header(context: RequestContext, commit: Commit, path: str, room: int) -> bytes:
    """Return the header of a safetensors file as JSON, cached by content.

    Args:
        context: Context of the request.
        commit: Commit of the file.
        path: Path of the file.
        room: Number of bytes left in the response.
    """
    entry = context.store.revisions.entry(context.repo, commit, path)
    if entry is None or entry.is_folder:
        raise absent_entry(commit, path, "main")
    content = context.store.revisions.content(context.repo, commit, entry)
    length = int.from_bytes(first_bytes(content, 0, 8), "little")
    if not 2 <= length <= entry.size - 8:
        raise HubHTTPError(422, f"{path} is not a safetensors file.")
    if length > min(MAX_HEADER, room):
        limit = f"at most {MAX_HEADER:,} for a file and {MAX_HEADERS:,} for all files are allowed"
        raise HubHTTPError(413, f"The header of {path} has {length:,} bytes; {limit}. Read it by a range request.")

    def computed() -> bytes:
        try:
            return compact(strict_json.parse(first_bytes(content, 8, 8 + length)))
        except ValueError:
            raise HubHTTPError(422, f"{path} is not a safetensors file.") from None

    return context.headers.get(entry.lfs.sha256 if entry.lfs else entry.oid, computed)


def compact(value: object) -> bytes:
    """Return JSON without spaces, in the format of `JSONResponse`."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def first_bytes(content: bytes | Path, start: int, stop: int) -> bytes:
    """Return a range of bytes of the content of a file."""
    if isinstance(content, bytes):
        return content[start:stop]
    with content.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def found_file(context: RequestContext) -> tuple[Commit, Entry]:
    """Return the commit and the entry of a file."""
    commit, path = context.commit(), context.params["path"]
    entry = None if path.endswith("/") else context.store.revisions.entry(context.repo, commit, path)
    if entry is None or entry.is_folder:
        raise absent_entry(commit, path, context.params["revision"])
    return commit, entry


def absent_entry(commit: Commit, path: str, revision: str) -> HubHTTPError:
    """Return a 404 with the commit, for which clients cache that the file does not exist."""
    error = entry_not_found(path, revision)
    error.headers[serializers.REPO_COMMIT] = commit.oid
    return error


def range_of(context: RequestContext, size: int, etag: str) -> tuple[int, int, int]:
    """Return start, stop and status of the response; see `requested_range`."""
    headers = context.request.headers
    return requested_range(headers.get("range", ""), headers.get("if-range"), size, etag)


async def pieces(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    """Yield a range of bytes of a file on disk, read in threads."""
    file = await run_in_threadpool(path.open, "rb")
    try:
        await run_in_threadpool(file.seek, start)
        left = stop - start
        while left > 0:
            piece = await run_in_threadpool(file.read, min(PIECE, left))
            if not piece:
                raise OSError(f"{path.name} is shorter than the size in its entry")
            left -= len(piece)
            yield piece
    finally:
        await run_in_threadpool(file.close)


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def content_type(path: str) -> str:
    """Return the media type. All text is sent as plain text, so that browsers do not execute files of repositories."""
    name = PurePosixPath(path)
    if name.suffix.lower() in IMAGES:
        return IMAGES[name.suffix.lower()]
    is_text = name.suffix.lower() in TEXT or name.name in TEXT
    return "text/plain; charset=utf-8" if is_text else "application/octet-stream"


_REPO = "/api/{kinds}/{repo}"
routes = [
    Route("GET", "/{prefix}{repo}/resolve/{revision}/{path*}", "read", resolve, "every download; ranges, HEAD"),
    Route("GET", "/api/resolve-cache/{kinds}/{repo}/{revision}/{path*}", "read", resolve, "alias of the route above"),
    Route("GET", "/{prefix}{repo}/raw/{revision}/{path*}", "read", raw, "git blob; the pointer for large files"),
    Route(
        "GET", f"{_REPO}/tree/{{revision}}", "info", tree, "`list_repo_tree`, `snapshot_download`, `HfFileSystem.ls`"
    ),
    Route("GET", f"{_REPO}/tree/{{revision}}/{{path*}}", "info", tree, "the same for a folder"),
    Route(
        "POST",
        f"{_REPO}/paths-info/{{revision}}",
        "info",
        paths_info,
        "`get_paths_info`, `file_exists`",
        body_limit=8 * 2**20,
    ),
    Route(
        "GET",
        f"{_REPO}/safetensors-metadata/{{path*}}",
        "read",
        safetensors_metadata,
        "metadata of sharded models",
        work="heavy",
    ),
]
