"""Signed permissions: what a URL without an Authorization header, or a CAS token, allows its holder to do.

Upload and download URLs of large files are called without credentials, and hf_xet calls the CAS routes with a token of
its own. Both carry a *grant*: one user, one repository, one action, an expiry, and for a file its SHA-256 and size.

Grants are signed by itsdangerous with HMAC-SHA256; the key is derived from the store's secret, so a grant is invalid on
any other store. The server keeps no list of grants: one can be used again until it expires. That is harmless, because
it names the content that it is for, and because the routes check again whether the user may still write.
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

MAX_GRANT_LENGTH = 2048  # characters; a longer text is refused before it is decoded
REQUIRED = frozenset({"action", "user", "token", "repo", "permission", "expires"})
PURPOSE = b"seqhub grant 2"  # keeps this key apart from others that may be derived from the same secret


@dataclass(frozen=True, slots=True)
class Grant:
    """The claims of one signed URL or CAS token.

    Args:
        action: The permitted action.
        user: Name of the account; empty for an anonymous download.
        token: Id of the access token with which the user asked; the grant is invalid without it.
        repo: Type and id of the repository, "model:ns/name".
        permission: Permission that the user must still have when the grant is used.
        expires: Unix seconds.
        oid: SHA-256 of the file; empty for `xet`.
        size: Bytes of the file, or of the part.
        upload: Name of a multipart upload.
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
    """Signs and verifies grants.

    Args:
        secret: The store's secret.

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
        """Return the grant of a text that this server signed, for one of `actions`, before it expires.

        Raises:
            HubHTTPError: 403 otherwise; the message does not tell which part of a forgery was nearly right.
        """
        try:
            if len(signed) > MAX_GRANT_LENGTH or not signed.isascii():
                raise BadData("not a grant")
            signature = signed.rpartition(".")[2]
            if base64_encode(base64_decode(signature)).decode() != signature:  # one text only for each signature
                raise BadData("not canonical")
            grant = Grant(**self._serializer.loads(signed))  # written by `sign`, so its fields need no check
        except BadData:
            raise HubHTTPError(403, "This address was not signed by this server: ask for a new one.") from None
        if grant.action not in actions:
            raise HubHTTPError(403, f"This address is for another action ({grant.action}): ask for a new one.")
        if grant.expires <= (time.time() if now is None else now):
            raise HubHTTPError(403, "This address has expired: ask for a new one.")
        return grant
