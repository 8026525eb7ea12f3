"""Users, organisations, their members, and tokens."""

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.base import Base, moment, now
from seqhub.server.store.names import check_name
from seqhub.server.types import Account, Role, Token

_LAST_USE = 60_000_000  # microseconds between two notes of a token's use
ROLES: tuple[Role, ...] = ("read", "write", "admin")
ACCOUNT = "SELECT id, name, is_org, full_name, email, created FROM accounts"
_TOKEN = "SELECT id, account, name, role, last4, repos, created, expires, last_used FROM tokens"


class Accounts(Base):
    """The part of the Store that knows who there is."""

    def create_account(
        self, name: str, *, is_org: bool = False, full_name: str = "", email: str | None = None
    ) -> Account:
        """Add a user or an organisation.

        Raises:
            Refusal: 400 for a bad name, 409 if it is taken (in any case of letters).
        """
        check_name(name)
        with self.database.transaction() as connection:
            if find_account(connection, name) is not None:
                raise HubHTTPError(409, f"account {name!r} exists already")
            return _add_account(connection, name, is_org, full_name, email)

    def account(self, name: str) -> Account | None:
        """The account of that name, in any case of letters."""
        with self.database.reading() as connection:
            return find_account(connection, name)

    def accounts(self) -> list[Account]:
        """Every account, by name."""
        with self.database.reading() as connection:
            return [to_account(row) for row in connection.execute(ACCOUNT + " ORDER BY key")]

    def members(self, org: str) -> dict[str, Role]:
        """User name -> role in the organisation."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT name, role FROM members JOIN accounts ON accounts.id = user WHERE org = ? ORDER BY key",
                (_required(connection, org).id,),
            )
            return dict(rows.fetchall())

    def add_member(self, org: str, user: str, role: Role) -> None:
        """Put a user into an organisation, or change the role there.

        Raises:
            Refusal: 404 if one of them is missing, 400 if they are no organisation and user.
        """
        if role not in ROLES:
            raise HubHTTPError(400, f"no role {role!r}; known: {', '.join(ROLES)}")
        with self.database.transaction() as connection:
            organisation, member = _required(connection, org), _required(connection, user)
            if not organisation.is_org or member.is_org:
                raise HubHTTPError(400, f"{org} is no organisation, or {user} is no user")
            connection.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (organisation.id, member.id, role))

    def remove_member(self, org: str, user: str) -> None:
        with self.database.transaction() as connection:
            ids = _required(connection, org).id, _required(connection, user).id
            connection.execute("DELETE FROM members WHERE org = ? AND user = ?", ids)

    def roles_of(self, user: str) -> dict[str, Role]:
        """Organisation name -> role of this user there."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT accounts.name, role FROM members JOIN accounts ON accounts.id = org "
                "WHERE user = (SELECT id FROM accounts WHERE key = ?) ORDER BY key",
                (user.lower(),),
            )
            return dict(rows.fetchall())

    def create_token(
        self,
        user: str,
        name: str,
        role: Role,
        *,
        repos: Sequence[str] = (),
        expires: datetime | None = None,
        secret: str | None = None,
        make_user: bool = False,
    ) -> tuple[str, Token]:
        """Make a token: its secret, told only now, and what is kept of it.

        Args:
            user: Whose token.
            name: What the user calls it.
            role: What it may do at most.
            repos: "model:ns/name" ...; empty for everything the user may reach.
            expires: When it stops working, in UTC if it names no zone; None for never.
            secret: A fixed secret, for test accounts only.
            make_user: Make the user, too, where there is none.

        Raises:
            Refusal: 404 for an unknown user, 400 for an unknown role or an organisation.
        """
        if role not in ROLES:
            raise HubHTTPError(400, f"no role {role!r}; known: {', '.join(ROLES)}")
        secret = secret or "hf_" + secrets.token_hex(32)
        until = None if expires is None else _microseconds(expires)
        with self.database.transaction() as connection:
            if make_user and find_account(connection, user) is None:
                _add_account(connection, check_name(user), False, "", None)
            account = _required(connection, user)
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

    def token(self, secret: str) -> tuple[Token, Account] | None:
        """The token with this secret and its user; None if unknown, revoked or expired."""
        digest = _hash(secret)
        with self.database.reading() as connection:
            # The look-up compares hashes of a secret with 256 random bits: its timing helps nobody to guess.
            row = connection.execute(_TOKEN.replace(" FROM", ", hash FROM") + " WHERE hash = ?", (digest,)).fetchone()
            if row is None or not hmac.compare_digest(row[-1], digest):
                return None
            token = to_token(row[:-1])
            account = to_account(connection.execute(ACCOUNT + " WHERE id = ?", (token.account_id,)).fetchone())
        time = now()
        if token.expires is not None and _microseconds(token.expires) <= time:
            return None
        used = self.token_uses.last(token.id) or (token.last_used and _microseconds(token.last_used))
        if not used or used < time - _LAST_USE:
            self.token_uses.note(token.id, time)
        return token, account

    def write_token_uses(self, uses: Mapping[int, int]) -> None:
        """Keep when tokens were last used: token id -> microseconds."""
        with self.database.transaction() as connection:
            query = "UPDATE tokens SET last_used = ? WHERE id = ?"
            connection.executemany(query, [(time, id) for id, time in uses.items()])

    def list_tokens(self, user: str) -> list[Token]:
        with self.database.reading() as connection:
            rows = connection.execute(_TOKEN + " WHERE account = ? ORDER BY id", (_required(connection, user).id,))
            return [to_token((*row[:-1], self.token_uses.last(row[0]) or row[-1])) for row in rows]

    def revoke_token(self, id: int) -> None:
        """Make a token useless at once.

        Raises:
            Refusal: 404; there is none of that number.
        """
        with self.database.transaction() as connection:
            if not connection.execute("DELETE FROM tokens WHERE id = ?", (id,)).rowcount:
                raise HubHTTPError(404, f"no token {id}")

    def has_tokens(self) -> bool:
        """Whether anybody could sign in: a Hub without tokens must not be bound to a network."""
        with self.database.reading() as connection:
            query = "SELECT 1 FROM tokens WHERE expires IS NULL OR expires > ? LIMIT 1"
            return connection.execute(query, (now(),)).fetchone() is not None


def _add_account(connection: sqlite3.Connection, name: str, is_org: bool, full_name: str, email: str | None) -> Account:
    values = (name.lower(), name, is_org, full_name or name, email, now())
    connection.execute(
        "INSERT INTO accounts (key, name, is_org, full_name, email, created) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    return _required(connection, name)


def find_account(connection: sqlite3.Connection, name: str) -> Account | None:
    row = connection.execute(ACCOUNT + " WHERE key = ?", (name.lower(),)).fetchone()
    return to_account(row) if row else None


def to_account(row: tuple[int, str, int, str, str | None, int]) -> Account:
    id, name, is_org, full_name, email, created = row
    return Account(id, name, bool(is_org), full_name, email, moment(created))


def to_token(row: tuple[int, int, str, Role, str, str, int, int | None, int | None]) -> Token:
    id, account, name, role, last4, repos, created, expires, used = row
    until = None if expires is None else moment(expires)
    last = None if used is None else moment(used)
    return Token(id, account, name, role, last4, tuple(json.loads(repos)), moment(created), until, last)


def _required(connection: sqlite3.Connection, name: str) -> Account:
    account = find_account(connection, name)
    if account is None:
        raise HubHTTPError(404, f"no account {re.sub(r'[^ -~]', '?', name[:200])!r}")
    return account


def _microseconds(when: datetime) -> int:
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
