"""Signed permissions of upload and download routes, and streaming of bodies into files."""

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

BATCH_BYTES = 256 * 1024  # written at once; two of these lie in memory for each upload
LIFE_SECONDS = (
    30 * 60
)  # of signed addresses and CAS tokens; hf_xet asks for new ones, git-lfs and huggingface_hub do not
SLOWEST = 2**20  # bytes a second; the last file of a batch begins after all others were sent at this speed
LONGEST_LIFE_SECONDS = 24 * 3600


def life_of_batch(total_bytes: int) -> int:
    """Return the lifetime in seconds of the URLs of one batch of files."""
    return min(LIFE_SECONDS + total_bytes // SLOWEST, LONGEST_LIFE_SECONDS)


def grant_for(
    context: RequestContext, action: Action, permission: Permission, *, life: int = LIFE_SECONDS, **claims: str | int
) -> str:
    """Sign a grant for the client of a request.

    Args:
        context: The request.
        action: What the grant is for.
        permission: What the user must still have when it is used.
        life: Seconds until it is void.
        claims: Further fields of the grant.
    """
    identity = context.identity
    grant = Grant(
        action,
        identity.account.name if identity.account else "",
        identity.token.id if identity.token else 0,
        f"{context.repo.repo_type}:{context.repo.repo_id}",
        permission,
        int(time.time()) + life,
        **claims,  # type: ignore[arg-type]  # their types are those of Grant's fields
    )
    return Signer(context.store.secret).sign(grant)


def upload_permission(context: RequestContext, revision: str | None) -> Permission:
    """Return the permission for an upload; an upload for a pull request needs `discuss` only."""
    proposes = revision in (None, "None") or revision.startswith("refs/pr/") or context.flag("create_pr")
    return "discuss" if proposes else "write"


def holder(context: RequestContext, grant: Grant) -> tuple[Identity, Repo]:
    """Return account and token of a grant, and its repository, if the token still allows it.

    Raises:
        HubHTTPError: 4xx: the token was revoked or has expired, or the repository or the right to it is gone.
    """
    identity = Identity()
    if grant.user:
        account = context.store.accounts.find(grant.user)
        tokens = [] if account is None else context.store.tokens.of_user(account.name)
        token = next((token for token in tokens if token.id == grant.token), None)
        if token is None or (token.expires is not None and token.expires <= datetime.now(UTC)):
            raise HubHTTPError(403, "The token for which this address was made is not valid any more.")
        identity = Identity(account, token)
    repo_type, _, repo_id = grant.repo.partition(":")
    repo = context.store.repos.find(cast(RepoType, repo_type), repo_id)
    if repo is None:
        raise absent(identity)
    authorise(context.store, identity, grant.permission, repo)
    return identity, repo


def uploader(context: RequestContext, grant: Grant) -> tuple[Account, Token]:
    """Return account and token of a grant for uploads; errors as `holder`."""
    identity, _ = holder(context, grant)
    if identity.account is None or identity.token is None:
        raise HubHTTPError(403, "This address was made without a token; it uploads nothing.")
    return identity.account, identity.token


async def exactly(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield a body that must have `size` bytes; stops reading when there are more."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise HubHTTPError(400, f"The body has more than the {size} bytes that this address is for.")
        yield chunk
    if seen < size:
        raise HubHTTPError(400, f"The body ends after {seen} bytes; this address is for {size}.")


async def pump(chunks: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    """Write a body in a worker thread, one batch behind the network."""
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
            await asyncio.wait({writing})  # the caller closes the file next
            writing.exception()  # retrieved, so that asyncio does not log it
