"""Routes of Xet uploads: tokens, xorbs, shards. Downloads are plain HTTP.

The CAS URL is `/xet/INSTANCE/EPOCH`. The instance id of the store changes when data are removed, the epoch of a user
when some xorbs of this user are lost, since hf_xet keeps a cache for each URL. Its requests use a grant as their token.
"""

from starlette.responses import JSONResponse, Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routes.signed import grant_for, pump, upload_permission, uploader
from seqhub.server.routing import Route
from seqhub.server.signed_urls import Grant, Signer
from seqhub.server.spool import PIECE_BYTES
from seqhub.server.store.blobs import confined_id
from seqhub.server.store.database import storage_errors
from seqhub.server.types import Account, Token
from seqhub.server.xet.hashes import from_hex
from seqhub.server.xet.ingest import store_shard
from seqhub.server.xet.shard import MAX_SHARD_BYTES
from seqhub.server.xet.xorb import MAX_BODY_BYTES
from seqhub.server.xet.xorb_store import Incoming, XorbStore, sweep

CAS_URL, ACCESS_TOKEN, EXPIRATION = "X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration"
SESSION_ID = "X-Xet-Session-Id"
SMALL_SHARD_BYTES = 2**20  # shard of about 1 GiB of files


def connection(context: RequestContext, revision: str | None) -> dict[str, str]:
    """Return the headers for uploads to a repository: CAS URL, token and expiry."""
    permission = upload_permission(context, revision)
    context.require(permission)
    context.store.maintenance.require_writable()
    with storage_errors():
        sweep(context.store.root, context.store.instance_id)
        xorbs = XorbStore(
            context.store.root, context.store.instance_id, context.user.id, token=confined_id(context.identity.token)
        )
    token = grant_for(context, "xet", permission)
    expires = Signer(context.store.secret).read(token, "xet").expires
    return {
        CAS_URL: f"{context.base_url}/xet/{context.store.instance_id}/{xorbs.epoch}",
        ACCESS_TOKEN: token,
        EXPIRATION: str(expires),
    }


def write_token(context: RequestContext) -> Response:
    """Return the CAS connection for uploads."""
    headers = connection(context, context.params["revision"])
    body = {"casUrl": headers[CAS_URL], "accessToken": headers[ACCESS_TOKEN], "exp": int(headers[EXPIRATION])}
    return JSONResponse(body, headers={**headers, "Cache-Control": "no-store"})


async def receive_xorb(context: RequestContext) -> Response:
    """Receive a xorb."""
    hash_ = from_hex(context.params["hash"])
    incoming = await context.in_thread(_begin_xorb, context, hash_)
    try:
        await pump(context.chunks(), incoming.write)
        inserted = await context.in_thread(incoming.finish)
    except OSError:
        with storage_errors():
            raise
    finally:
        await context.in_thread(incoming.abort)
    return JSONResponse({"was_inserted": inserted})


async def receive_shard(context: RequestContext) -> Response:
    """Receive a shard. Shards are read into memory, a few small ones or one large one at a time."""
    account, token, xorbs = await context.in_thread(_sender, context)
    file, size = await context.spooled_body()
    raw = bytearray()

    def take() -> None:
        file.seek(0)
        while piece := file.read(PIECE_BYTES):  # in pieces, so that it is not in memory twice
            raw.extend(piece)
        store_shard(context.store, xorbs, raw, account, token, max_bytes=context.store.limits.file_bytes)

    try:
        async with context.body_limiter.for_body(size, SMALL_SHARD_BYTES).slot(account.name):
            with storage_errors():
                await context.in_thread(take)
    finally:
        raw.clear()  # the traceback of an error would keep it in memory until the response is written
        file.close()
    return JSONResponse({"result": 1})  # 1: stored; 0: already known


def absent(context: RequestContext) -> Response:
    """Return 404, after which hf_xet continues without these routes."""
    raise HubHTTPError(
        404, "This Hub supports uploads of xorbs and shards by version 1 of the API only, and no queries for chunks."
    )


def _begin_xorb(context: RequestContext, hash_: bytes) -> Incoming:
    account, token, xorbs = _sender(context)
    declared = context.request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() and len(declared) <= 9 else MAX_BODY_BYTES
    with storage_errors():
        context.store.blobs.check_upload_quota(account, xorbs.waiting_bytes() + size, token)
        return xorbs.receive(hash_)


def _sender(context: RequestContext) -> tuple[Account, Token, XorbStore]:
    """Return account, token and xorb store of the sender of a CAS token."""
    account, token = uploader(context, _grant(context))
    if context.params["instance"] != context.store.instance_id:
        raise HubHTTPError(410, "This upload URL is no longer in use: request a new one.")
    epoch, instance = context.params["epoch"], context.store.instance_id
    return account, token, XorbStore(context.store.root, instance, account.id, epoch, token=confined_id(token))


def _grant(context: RequestContext) -> Grant:
    scheme, _, token = context.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HubHTTPError(401, "The CAS token is missing.", headers={"WWW-Authenticate": 'Bearer realm="xet"'})
    return Signer(context.store.secret).read(token.strip(), "xet")


TOKEN = "/api/{kinds}/{repo}/xet-write-token"
CAS = "/xet/{instance}/{epoch}"

routes = [
    Route("GET", f"{TOKEN}/{{revision}}", "discuss", write_token, "CAS URL and token for uploads by hf_xet"),
    Route(
        "POST",
        f"{CAS}/v1/xorbs/default/{{hash}}",
        "signed",
        receive_xorb,
        "upload of a xorb (chunks of files)",
        body_limit=MAX_BODY_BYTES,
    ),
    Route(
        "POST",
        f"{CAS}/v1/shards",
        "signed",
        receive_shard,
        "upload of a shard (list of the chunks of files)",
        body_limit=MAX_SHARD_BYTES,
    ),
    Route("*", f"{CAS}/v2/shards", "signed", absent, "404: hf_xet falls back to version 1", state="unsupported"),
    Route("*", f"{CAS}/v1/xorb-grants/{{rest*}}", "signed", absent, "404: hf_xet sends xorbs", state="unsupported"),
    Route("*", f"{CAS}/v1/chunks/{{rest*}}", "signed", absent, "404: no global deduplication", state="unsupported"),
]
