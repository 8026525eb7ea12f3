"""Creation, lookup, listing and revocation of access tokens."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.accounts import ACCOUNT, ROLES, add_account, find_account, required_account, to_account
from seqhub.server.store.base import StorePart, moment, now
from seqhub.server.store.database import Database
from seqhub.server.store.names import check_name
from seqhub.server.types import Account, Role, Token

_LAST_USE = 60_000_000  # minimum microseconds between two records of the use of a token
_TOKEN = "SELECT id, account, name, role, last4, repos, created, expires, last_used FROM tokens"


class Tokens(StorePart):
    """Access tokens. Only the SHA-256 of a secret is stored."""

    def create(
        self,
        user: str,
        name: str,
        role: Role,
        *,
        repos: Sequence[str] = (),
        expires: datetime | None = None,
        secret: str | None = None,
        create_user: bool = False,
    ) -> tuple[str, Token]:
        """Create a token, and return its secret, which is not stored, and the token.

        Args:
            user: Owner of the token.
            name: Name of the token.
            role: Maximum permission: read, write or admin.
            repos: Repositories to which the token is restricted, "model:ns/name" ...; empty for no restriction.
            expires: Time of expiry, in UTC if it has no time zone; None for never.
            secret: A fixed secret, for test accounts only.
            create_user: Create the user if it does not exist.

        Raises:
            HubHTTPError: 404 for an unknown user, 400 for an unknown role or an organisation.
        """
        if role not in ROLES:
            raise HubHTTPError(400, f"role={role!r}: must be one of {', '.join(ROLES)}")
        secret = secret or "hf_" + secrets.token_hex(32)
        until = None if expires is None else _microseconds(expires)
        with self.database.transaction() as connection:
            if create_user and find_account(connection, user) is None:
                add_account(connection, check_name(user), False, "", None)
            account = required_account(connection, user)
            if account.is_org:
                raise HubHTTPError(400, f"{user} is an organisation; tokens belong to users")
            values = (account.id, name, role, _hash(secret), secret[-4:], json.dumps(list(repos)), now(), until)
            cursor = connection.execute(
                "INSERT INTO tokens (account, name, role, hash, last4, repos, created, expires) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            row = connection.execute(_TOKEN + " WHERE id = ?", (cursor.lastrowid,)).fetchone()
            return secret, to_token(row)

    def find(self, secret: str) -> tuple[Token, Account] | None:
        """Return the token with a secret, and its owner; None if it is unknown, revoked or expired."""
        digest = _hash(secret)
        with self.database.reading() as connection:
            # Hashes of secrets with 256 random bits are compared, so the timing does not help to guess a secret.
            row = connection.execute(_TOKEN.replace(" FROM", ", hash FROM") + " WHERE hash = ?", (digest,)).fetchone()
            if row is None or not hmac.compare_digest(row[-1], digest):
                return None
            token = to_token(row[:-1])
            account = to_account(connection.execute(ACCOUNT + " WHERE id = ?", (token.account_id,)).fetchone())
        time = now()
        if token.expires is not None and _microseconds(token.expires) <= time:
            return None
        used = self.context.token_uses.last(token.id) or (token.last_used and _microseconds(token.last_used))
        if not used or used < time - _LAST_USE:
            self.context.token_uses.note(token.id, time)
        return token, account

    def of_user(self, user: str) -> list[Token]:
        """Return the tokens of a user."""
        with self.database.reading() as connection:
            rows = connection.execute(
                _TOKEN + " WHERE account = ? ORDER BY id", (required_account(connection, user).id,)
            )
            return [to_token((*row[:-1], self.context.token_uses.last(row[0]) or row[-1])) for row in rows]

    def revoke(self, id: int) -> None:
        """Delete a token.

        Raises:
            HubHTTPError: 404 if it does not exist.
        """
        with self.database.transaction() as connection:
            if not connection.execute("DELETE FROM tokens WHERE id = ?", (id,)).rowcount:
                raise HubHTTPError(404, f"no token {id}")

    def any_valid(self) -> bool:
        """Return whether a valid token exists; without one a Hub must not be reachable from a network."""
        with self.database.reading() as connection:
            query = "SELECT 1 FROM tokens WHERE expires IS NULL OR expires > ? LIMIT 1"
            return connection.execute(query, (now(),)).fetchone() is not None


def write_uses(database: Database, uses: Mapping[int, int]) -> None:
    """Write the times of last use of tokens.

    Args:
        database: The database.
        uses: Id of the token -> time in microseconds.
    """
    with database.transaction() as connection:
        query = "UPDATE tokens SET last_used = ? WHERE id = ?"
        connection.executemany(query, [(time, id) for id, time in uses.items()])


def to_token(row: tuple[int, int, str, Role, str, str, int, int | None, int | None]) -> Token:
    """Convert a row of `tokens`."""
    id, account, name, role, last4, repos, created, expires, used = row
    until = None if expires is None else moment(expires)
    last = None if used is None else moment(used)
    return Token(id, account, name, role, last4, tuple(json.loads(repos)), moment(created), until, last)


def _microseconds(when: datetime) -> int:
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
