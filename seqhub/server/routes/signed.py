"""Signed permissions (grants) of upload and download routes, and streaming of bodies into files."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import cast

from starlette.concurrency import run_in_threadpool

from seqhub.server.auth import Identity, Permission, absent, authorise
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.signed_urls import Action, Grant, Signer
from seqhub.server.types import Account, Repo, RepoType, Token

BATCH_BYTES = 256 * 1024  # size of a write; each upload has two batches in memory
# Lifetime of signed URLs and CAS tokens; hf_xet renews them, git-lfs and huggingface_hub do not
LIFE_SECONDS = 30 * 60
MIN_BYTES_PER_SECOND = 2**20  # assumed for the time until the last file of a batch is sent
MAX_LIFE_SECONDS = 24 * 3600


def life_of_batch(total_bytes: int) -> int:
    """Return the lifetime in seconds of the URLs of one batch of files."""
    return min(LIFE_SECONDS + total_bytes // MIN_BYTES_PER_SECOND, MAX_LIFE_SECONDS)


def grant_for(
    context: RequestContext, action: Action, permission: Permission, *, life: int = LIFE_SECONDS, **claims: str | int
) -> str:
    """Sign a grant for the client of a request.

    Args:
        context: Context of the request.
        action: Permitted action.
        permission: Permission that the user must have when the grant is used.
        life: Lifetime in seconds.
        claims: Additional fields of the grant.
    """
    identity = context.identity
    grant = Grant(
        action,
        identity.account.name if identity.account else "",
        identity.token.id if identity.token else 0,
        f"{context.repo.repo_type}:{context.repo.repo_id}",
        permission,
        int(time.time()) + life,
        **claims,  # type: ignore[arg-type]  # types of the fields of Grant
    )
    return Signer(context.store.secret).sign(grant)


def upload_permission(context: RequestContext, revision: str | None) -> Permission:
    """Return the permission for an upload: `discuss` for a pull request, `write` otherwise."""
    proposes = revision in (None, "None") or revision.startswith("refs/pr/") or context.flag("create_pr")
    return "discuss" if proposes else "write"


def resolve_grant(context: RequestContext, grant: Grant) -> tuple[Identity, Repo]:
    """Return identity and repository of a grant, after a check that its token is still valid.

    Raises:
        HubHTTPError: 4xx if the token was revoked or has expired, or the repository or the permission was removed.
    """
    identity = Identity()
    if grant.user:
        account = context.store.accounts.find(grant.user)
        tokens = [] if account is None else context.store.tokens.of_user(account.name)
        token = next((token for token in tokens if token.id == grant.token), None)
        if token is None or (token.expires is not None and token.expires <= datetime.now(UTC)):
            raise HubHTTPError(403, "The access token for which this URL was created is no longer valid.")
        identity = Identity(account, token)
    repo_type, _, repo_id = grant.repo.partition(":")
    repo = context.store.repos.find(cast(RepoType, repo_type), repo_id)
    if repo is None:
        raise absent(identity)
    authorise(context.store, identity, grant.permission, repo)
    return identity, repo


def uploader(context: RequestContext, grant: Grant) -> tuple[Account, Token]:
    """Return account and token of a grant for uploads; raises the errors of `resolve_grant`."""
    identity, _ = resolve_grant(context, grant)
    if identity.account is None or identity.token is None:
        raise HubHTTPError(403, "This URL was created without an access token, so it does not permit uploads.")
    return identity.account, identity.token


async def exactly(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield a body that must have `size` bytes; stop reading if it has more."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise HubHTTPError(400, f"The body has more than {size} bytes, the size in this URL.")
        yield chunk
    if seen < size:
        raise HubHTTPError(400, f"The body ends after {seen} bytes; this URL is for {size} bytes.")


async def pump(chunks: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    """Write a body in a worker thread while the next batch is received."""
    writing: asyncio.Task[object] | None = None
    batch = bytearray()
    try:
        async for chunk in chunks:
            batch += chunk
            if len(batch) >= BATCH_BYTES:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(run_in_threadpool(write, bytes(batch)))
                batch.clear()
        if writing is not None:
            await writing
        if batch:
            await run_in_threadpool(write, bytes(batch))
    finally:
        if writing is not None:
            await asyncio.wait({writing})  # before the caller closes the file
            writing.exception()  # retrieved, so that asyncio does not log it
