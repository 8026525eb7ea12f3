"""Signed permissions (grants) in URLs without an Authorization header and in CAS tokens.

Upload and download URLs of large files are requested without credentials, and hf_xet calls the CAS routes with a
separate token. Both contain a *grant*: a user, a repository, an action, an expiry, and for a file its SHA-256 and size.

Grants are signed by itsdangerous with HMAC-SHA256. The key is derived from the secret of the store, so a grant is
invalid on any other store. The server does not store grants: a grant can be used several times until it expires. This
is safe, because a grant contains the hash of its content, and the routes check the permission of the user again.
"""

import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from seqhub.server.auth import Permission
from seqhub.server.errors import HubHTTPError

Action = Literal["upload", "part", "complete", "download", "xet"]

MAX_GRANT_LENGTH = 2048  # characters; a longer text is rejected before it is decoded
REQUIRED = frozenset({"action", "user", "token", "repo", "permission", "expires"})
PURPOSE = b"seqhub grant 2"  # separates this key from other keys derived from the same secret


@dataclass(frozen=True, slots=True)
class Grant:
    """Claims of a signed URL or CAS token.

    Args:
        action: The permitted action.
        user: Name of the account; empty for an anonymous download.
        token: Id of the access token of the request for the grant; the grant is invalid once it is revoked.
        repo: Type and id of the repository, "model:ns/name".
        permission: Permission that the user must still have when the grant is used.
        expires: Time of expiry in Unix seconds.
        oid: SHA-256 of the file; empty for `xet`.
        size: Size of the file or part in bytes.
        upload: Id of a multipart upload.
        part: Number of the part, from 1.
    """

    action: Action
    user: str
    token: int
    repo: str
    permission: Permission
    expires: int
    oid: str = ""
    size: int = 0
    upload: str = ""
    part: int = 0


class Signer:
    """Signer and verifier of grants.

    Args:
        secret: Secret of the store.

    >>> signer = Signer(b"k" * 32)
    >>> grant = Grant("upload", "ada", 1, "model:ada/net", "write", 4_000_000_000, oid="ab", size=3)
    >>> signer.read(signer.sign(grant), "upload") == grant
    True
    """

    def __init__(self, secret: bytes) -> None:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(secret, salt=PURPOSE, signer_kwargs=options)

    def sign(self, grant: Grant) -> str:
        """Return a grant as text for a URL or an Authorization header."""
        claims = {name: value for name, value in asdict(grant).items() if value or name in REQUIRED}
        return str(self._serializer.dumps(claims))

    def read(self, signed: str, *actions: Action, now: float | None = None) -> Grant:
        """Verify a signed grant and return it.

        Raises:
            HubHTTPError: 403 if this server did not sign it, it is not for one of `actions`, or it has expired.
        """
        try:
            if len(signed) > MAX_GRANT_LENGTH or not signed.isascii():
                raise BadData("not a grant")
            signature = signed.rpartition(".")[2]
            if base64_encode(base64_decode(signature)).decode() != signature:  # each signature has one valid text
                raise BadData("not canonical")
            grant = Grant(**self._serializer.loads(signed))  # signed by `sign`, so the fields are valid
        except BadData:
            raise HubHTTPError(403, "This URL was not signed by this server: request a new one.") from None
        if grant.action not in actions:
            raise HubHTTPError(403, f"This URL is for another action ({grant.action}): request a new one.")
        if grant.expires <= (time.time() if now is None else now):
            raise HubHTTPError(403, "This URL has expired: request a new one.")
        return grant
