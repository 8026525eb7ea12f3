"""Signed grants: what a URL without an Authorization header, or a CAS token, allows its holder to do, and until when.

Upload and download URLs of large files are called without credentials (hub.md section 3), and hf_xet talks to the CAS
routes with a token of its own. Both carry a *grant*: one user, one repository, one action, and for a file its SHA-256
and size. A grant reads

    base64url(JSON of the claims) "." base64url(HMAC-SHA256 of that text)

The key is derived from the store's secret, so a grant is void on any other store. Nothing is kept on the server: a
grant can be used again until it expires, which is harmless because it names the content that it is for, and because
the routes ask again whether the user may still write.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import asdict, dataclass
from typing import Literal

from seqhub.server.auth import Permission
from seqhub.server.errors import HubHTTPError

Action = Literal["upload", "part", "complete", "download", "xet"]

MAX_GRANT_LENGTH = 2048  # characters; a longer one is not ours, and is not decoded
REQUIRED = frozenset({"action", "user", "token", "repo", "permission", "expires"})
PURPOSE = b"seqhub grant 1"  # keeps this key apart from others that may be derived from the same secret


@dataclass(frozen=True, slots=True)
class Grant:
    """What one signed URL or CAS token allows.

    Args:
        action: What may be done.
        user: Name of the account; empty for a download by nobody in particular.
        token: Id of the token by which the user asked for it; the grant is void without it.
        repo: Kind and name of the repository, "model:ns/name".
        permission: What the user must still have there when the grant is used.
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
    """Makes and reads grants.

    Args:
        secret: The store's secret.

    >>> signer = Signer(b"k" * 32)
    >>> grant = Grant("upload", "ada", 1, "model:ada/net", "write", 4_000_000_000, oid="ab", size=3)
    >>> signer.read(signer.sign(grant), "upload") == grant
    True
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, PURPOSE, hashlib.sha256)

    def sign(self, grant: Grant) -> str:
        claims = {name: value for name, value in asdict(grant).items() if value or name in REQUIRED}
        text = _encode(json.dumps(claims, separators=(",", ":"), sort_keys=True).encode())
        return f"{text}.{self._mac(text)}"

    def read(self, signed: str, *actions: Action, now: float | None = None) -> Grant:
        """The grant, if it is ours, for one of `actions`, and not expired.

        Raises:
            Refusal: 403 otherwise; the text does not say which part of a forgery was nearly right.
        """
        text, _, mac = signed.partition(".")
        # compare_digest takes ASCII only, and its time does not depend on where the texts differ
        if len(signed) > MAX_GRANT_LENGTH or not signed.isascii() or not hmac.compare_digest(mac, self._mac(text)):
            raise HubHTTPError(403, "This address was not signed by this server: ask for a new one.")
        grant = Grant(**json.loads(_decode(text)))  # written by `sign`, so its shape needs no check
        if grant.action not in actions:
            raise HubHTTPError(403, f"This address is for another action ({grant.action}): ask for a new one.")
        if grant.expires <= (time.time() if now is None else now):
            raise HubHTTPError(403, "This address has expired: ask for a new one.")
        return grant

    def _mac(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise HubHTTPError(403, "This address was not signed by this server: ask for a new one.") from None
