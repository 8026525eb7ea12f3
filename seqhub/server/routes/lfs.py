"""Git LFS: batch route, and signed URLs for uploads and downloads. Locks are not supported.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md (and basic-transfers.md, locking.md). Two
transfers are supported besides `basic`: huggingface_hub's `multipart` (`chunk_size` and numbered URLs of parts in the
upload's header, a completion request to its href) and `xet` (the write-token route as href, its answer as headers).

No response reveals whether this server has a file that the client has not sent and may not read.
"""

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from seqhub.server.conditional import is_known
from seqhub.server.errors import HubHTTPError
from seqhub.server.json_body import Fields
from seqhub.server.multipart import joined_parts, new_upload, remove_upload, waiting_bytes
from seqhub.server.request import RequestContext
from seqhub.server.routes.files import pieces, range_of
from seqhub.server.routes.signed import (
    exactly,
    grant_for,
    life_of_batch,
    pump,
    resolve_grant,
    upload_permission,
    uploader,
)
from seqhub.server.routes.xet import SESSION_ID, connection
from seqhub.server.routing import Route
from seqhub.server.serializers import PREFIX_OF
from seqhub.server.signed_urls import Action, Grant, Signer
from seqhub.server.store.database import storage_errors

MAX_OBJECTS = 1000  # in a batch; clients send 256, git-lfs 100
MAX_PARTS = 10_000
HASH_ALGORITHMS = ("sha256", "sha_256")  # spelling of git-lfs, and of the JavaScript client
LFS_JSON = "application/vnd.git-lfs+json"
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Plan:
    """Minimum size of a file that is sent in parts, and size of a part, in bytes.

    A single request is faster, but after an interruption the client sends only one part again, not the whole file.
    """

    above: int = 5 * 2**30
    part: int = 512 * 2**20


def batch(context: RequestContext, plan: Plan) -> Response:
    """Return upload or download actions for a batch of objects."""
    fields = context.json()
    operation = fields.text("operation")
    if operation not in ("upload", "download"):
        raise _lfs_error(422, f'"operation" must be upload or download, not {operation[:40]!r}.')
    algorithm = fields.text("hash_algo", "sha256")
    if algorithm not in HASH_ALGORITHMS:
        raise _lfs_error(409, f'"hash_algo" must be sha256, not {algorithm[:40]!r}.')
    revision = fields.fields("ref").optional_text("name") if fields.values.get("ref") is not None else None
    permission = upload_permission(context, revision) if operation == "upload" else "read"
    context.require(permission)
    offered = fields.texts("transfers", limit=20) or ["basic"]
    wanted = [_wanted(item) for item in fields.objects("objects", limit=MAX_OBJECTS)]
    if operation == "download":
        transfer, answer = "basic", _downloads(context, wanted)
    elif "xet" in offered:
        transfer, answer = "xet", _xet_uploads(context, wanted, revision)
    else:
        parts = plan if "multipart" in offered else None
        transfer = "multipart" if parts and any(size > parts.above for _, size in wanted) else "basic"
        answer = _uploads(context, wanted, revision, parts)
    body = {"transfer": transfer, "objects": answer, "hash_algo": algorithm}
    return JSONResponse(body, media_type=LFS_JSON)


def verify(context: RequestContext) -> Response:
    """Check that an upload is complete and belongs to this user."""
    oid, size = _wanted(context.json())
    if not context.may_use(oid) or not context.store.blobs.is_intact(oid, size):
        raise _lfs_error(404, f"You have not uploaded the file {oid} of {size} bytes.")
    return JSONResponse({}, media_type=LFS_JSON)


async def put_object(context: RequestContext) -> Response:
    """Receive a large file."""
    grant = _grant(context, "upload")
    account, token = await context.in_thread(uploader, context, grant)
    writer = await context.in_thread(context.store.blobs.begin)
    try:
        await pump(exactly(context.chunks(), grant.size), writer.write)
        await context.in_thread(writer.finish, grant.oid, grant.size, account, token)
    except BaseException as problem:
        await context.in_thread(writer.abort)
        raise _storage_error(problem) from problem
    return Response(headers={"ETag": f'"{grant.oid}"'})


async def put_part(context: RequestContext) -> Response:
    """Receive one part of a large file."""
    grant = _grant(context, "part")
    account, token = await context.in_thread(uploader, context, grant)
    try:
        writer = await context.in_thread(
            context.store.blobs.begin_part, account, token, grant.upload, grant.part, grant.size
        )
        try:
            await pump(exactly(context.chunks(), grant.size), writer.write)
            etag = await context.in_thread(writer.finish)
        finally:
            await context.in_thread(writer.abort)
    except OSError as problem:
        raise _storage_error(problem) from problem
    return Response(headers={"ETag": etag})


def complete(context: RequestContext) -> Response:
    """Join the parts into a file."""
    grant = _grant(context, "complete")
    account, token = uploader(context, grant)
    fields = context.json()
    parts = sorted(
        (part.integer("partNumber", low=1, high=MAX_PARTS), part.text("etag").strip('"'))
        for part in fields.objects("parts", limit=MAX_PARTS)
    )
    if fields.text("oid") != grant.oid or [number for number, _ in parts] != list(range(1, grant.part + 1)):
        raise _lfs_error(400, f"The upload of {grant.oid} must list the parts 1 to {grant.part}, each once.")
    context.store.release()
    with storage_errors():
        writer = context.store.blobs.begin()
        try:
            for piece in joined_parts(context.store.root, account.id, grant.upload, [etag for _, etag in parts]):
                writer.write(piece)
            freed = waiting_bytes(context.store.root, account.id, grant.upload)
            writer.finish(grant.oid, grant.size, account, token, freed=freed)
        except BaseException:
            with suppress(OSError):  # only the first error is reported
                writer.abort()
            raise
        remove_upload(context.store.root, account.id, grant.upload)
    return JSONResponse({"oid": grant.oid, "size": grant.size})


def get_object(context: RequestContext) -> Response:
    """Send a large file."""
    grant = _grant(context, "download")
    _, repo = resolve_grant(context, grant)
    path = None if context.store.blobs.size_in(repo, grant.oid) is None else context.store.blobs.find(grant.oid)
    if path is None:
        raise _lfs_error(404, f"The file {grant.oid} was deleted.")
    etag = f'"{grant.oid}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if is_known(context.request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    size = path.stat().st_size
    start, stop, status = range_of(context, size, etag)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    if context.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(pieces(path, start, stop), status, headers)


def locks(context: RequestContext) -> Response:
    """Reject requests for locks."""
    raise _lfs_error(
        501, "File locks are not supported: they are needed for git push only, which is not supported either."
    )


def _uploads(
    context: RequestContext, wanted: list[tuple[str, int]], revision: str | None, parts: Plan | None
) -> list[object]:
    permission = upload_permission(context, revision)
    life = life_of_batch(sum(size for _, size in wanted))
    verify_at = {"href": f"{_repo_url(context)}.git/info/lfs/objects/verify", "expires_in": life}

    def actions(oid: str, size: int) -> dict[str, object]:
        if parts and size > parts.above:
            return {"upload": _multipart(oid, size, parts), "verify": verify_at}
        signed = grant_for(context, "upload", permission, life=life, oid=oid, size=size)
        href = f"{context.base_url}/lfs/objects/{oid}?grant={signed}"
        return {"upload": {"href": href, "expires_in": life}, "verify": verify_at}

    def _multipart(oid: str, size: int, plan: Plan) -> dict[str, object]:
        upload = new_upload()
        length = max(plan.part, -(-size // MAX_PARTS))
        count = -(-size // length)
        header = {"chunk_size": str(length)}
        for number in range(1, count + 1):
            share = min(length, size - (number - 1) * length)
            signed = grant_for(context, "part", permission, life=life, oid=oid, upload=upload, part=number, size=share)
            header[str(number)] = f"{context.base_url}/lfs/parts/{upload}/{number}?grant={signed}"
        signed = grant_for(context, "complete", permission, life=life, oid=oid, size=size, upload=upload, part=count)
        return {"href": f"{context.base_url}/lfs/complete/{upload}?grant={signed}", "header": header}

    return [_upload_item(context, oid, size, actions) for oid, size in wanted]


def _xet_uploads(context: RequestContext, wanted: list[tuple[str, int]], revision: str | None) -> list[object]:
    kinds = {"model": "models", "dataset": "datasets", "space": "spaces"}[context.repo.repo_type]
    route = (
        f"{context.base_url}/api/{kinds}/{context.repo.repo_id}/xet-write-token/{quote(revision or 'None', safe='')}"
    )
    header = {**connection(context, revision), SESSION_ID: new_upload()}
    return [_upload_item(context, *item, lambda *_: {"upload": {"href": route, "header": header}}) for item in wanted]


def _upload_item(
    context: RequestContext, oid: str, size: int, actions: Callable[[str, int], dict[str, object]]
) -> object:
    """Return an object of the response, without actions if the user does not have to send it."""
    if size > context.store.limits.file_bytes:
        message = f"The file has {size} bytes; at most {context.store.limits.file_bytes} are allowed."
        return {"oid": oid, "size": size, "error": {"code": 413, "message": message}}
    if context.may_use(oid) and context.store.blobs.is_intact(oid, size):
        return {"oid": oid, "size": size}
    return {"oid": oid, "size": size, "authenticated": True, "actions": actions(oid, size)}


def _downloads(context: RequestContext, wanted: list[tuple[str, int]]) -> list[object]:
    life = life_of_batch(sum(size for _, size in wanted))
    answer: list[object] = []
    for oid, size in wanted:
        if context.store.blobs.size_in(context.repo, oid) != size:
            error = {"code": 404, "message": "Object does not exist"}
            answer.append({"oid": oid, "size": size, "error": error})
            continue
        signed = grant_for(context, "download", "read", life=life, oid=oid, size=size)
        download = {"href": f"{context.base_url}/lfs/objects/{oid}?grant={signed}", "expires_in": life}
        answer.append({"oid": oid, "size": size, "authenticated": True, "actions": {"download": download}})
    return answer


def _wanted(fields: Fields) -> tuple[str, int]:
    oid = fields.text("oid")
    if len(oid) != 64 or not set(oid) <= HEX:
        raise _lfs_error(422, f"{oid[:80]!r} is not a SHA-256 of 64 lowercase hexadecimal digits.")
    return oid, fields.integer("size")


def _grant(context: RequestContext, action: Action) -> Grant:
    """Return the grant of a signed URL, after a check that it is for this URL."""
    grant = Signer(context.store.secret).read(context.request.query_params.get("grant", ""), action)
    here = {"oid": grant.oid, "upload": grant.upload, "part": str(grant.part)}
    if any(here[name] != value for name, value in context.params.items()):
        raise HubHTTPError(403, "The signature is for another URL.")
    return grant


def _repo_url(context: RequestContext) -> str:
    return f"{context.base_url}/{PREFIX_OF[context.repo.repo_type]}{context.repo.repo_id}"


def _lfs_error(status: int, message: str) -> HubHTTPError:
    """Return an error with the field `message` for git-lfs; other clients read `error`."""
    return HubHTTPError(status, message, body={"message": message})


def _storage_error(problem: BaseException) -> BaseException:
    """Convert the error of a full or read-only disk to an HTTP error; return other errors unchanged."""
    try:
        with storage_errors():
            raise problem
    except BaseException as converted:
        return converted


def make_routes(plan: Plan) -> list[Route]:
    """Return the routes; tests use a plan with small parts."""
    batch_handler = functools.partial(batch, plan=plan)
    rows = []
    for suffix in (".git", ""):  # git-lfs keeps the URL as given by the user
        base = f"/{{prefix}}{{repo}}{suffix}/info/lfs"
        lock_purpose = "LFS locks: not needed without git push"
        rows += [
            Route("POST", f"{base}/objects/batch", "read", batch_handler, "LFS: URLs to send or fetch large files"),
            Route("POST", f"{base}/objects/verify", "discuss", verify, "LFS: check of an upload"),
            Route("*", f"{base}/locks", "read", locks, lock_purpose, state="unsupported"),
            Route("*", f"{base}/locks/{{rest*}}", "read", locks, "LFS locks, as above", state="unsupported"),
        ]
    rows = [replace(route, takes_basic=True) for route in rows]
    max_body = 2**60  # the exact size is in the grant
    rows += [
        Route("PUT", "/lfs/objects/{oid}", "signed", put_object, "LFS: upload of a file", body_limit=max_body),
        Route("GET", "/lfs/objects/{oid}", "signed", get_object, "LFS: download of a file by git-lfs"),
        Route(
            "PUT",
            "/lfs/parts/{upload}/{part}",
            "signed",
            put_part,
            "LFS: upload of a part of a large file",
            body_limit=max_body,
        ),
        Route("POST", "/lfs/complete/{upload}", "signed", complete, "LFS: join the parts", work="bulk"),
    ]
    return rows


routes = make_routes(Plan())
