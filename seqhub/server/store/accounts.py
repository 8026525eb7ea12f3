"""Users, organisations and their members."""

import re
import sqlite3

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.base import StorePart, moment, now
from seqhub.server.store.names import check_name
from seqhub.server.types import Account, Role

ROLES: tuple[Role, ...] = ("read", "write", "admin")
ACCOUNT = "SELECT id, name, is_org, full_name, email, created FROM accounts"


class Accounts(StorePart):
    """Users, organisations and their members."""

    def create(self, name: str, *, is_org: bool = False, full_name: str = "", email: str | None = None) -> Account:
        """Add a user or an organisation.

        Raises:
            HubHTTPError: 400 for an invalid name, 409 if it is taken (case-insensitive).
        """
        check_name(name)
        with self.database.transaction() as connection:
            if find_account(connection, name) is not None:
                raise HubHTTPError(409, f"account {name!r} already exists")
            return add_account(connection, name, is_org, full_name, email)

    def find(self, name: str) -> Account | None:
        """Return the account with a name (case-insensitive); None if it does not exist."""
        with self.database.reading() as connection:
            return find_account(connection, name)

    def all(self) -> list[Account]:
        """Return all accounts, sorted by name."""
        with self.database.reading() as connection:
            return [to_account(row) for row in connection.execute(ACCOUNT + " ORDER BY key")]

    def members(self, org: str) -> dict[str, Role]:
        """Return the members of an organisation: user name -> role."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT name, role FROM members JOIN accounts ON accounts.id = user WHERE org = ? ORDER BY key",
                (required_account(connection, org).id,),
            )
            return dict(rows.fetchall())

    def add_member(self, org: str, user: str, role: Role) -> None:
        """Add a user to an organisation, or change the role of the user.

        Raises:
            HubHTTPError: 404 if an account does not exist, 400 if they are not an organisation and a user.
        """
        if role not in ROLES:
            raise HubHTTPError(400, f"role={role!r}: must be one of {', '.join(ROLES)}")
        with self.database.transaction() as connection:
            organisation, member = required_account(connection, org), required_account(connection, user)
            if not organisation.is_org or member.is_org:
                raise HubHTTPError(400, f"{org} is not an organisation, or {user} is not a user")
            connection.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (organisation.id, member.id, role))

    def remove_member(self, org: str, user: str) -> None:
        """Remove a user from an organisation."""
        with self.database.transaction() as connection:
            ids = required_account(connection, org).id, required_account(connection, user).id
            connection.execute("DELETE FROM members WHERE org = ? AND user = ?", ids)

    def roles_of(self, user: str) -> dict[str, Role]:
        """Return the roles of a user: organisation name -> role."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT accounts.name, role FROM members JOIN accounts ON accounts.id = org "
                "WHERE user = (SELECT id FROM accounts WHERE key = ?) ORDER BY key",
                (user.lower(),),
            )
            return dict(rows.fetchall())


def add_account(connection: sqlite3.Connection, name: str, is_org: bool, full_name: str, email: str | None) -> Account:
    values = (name.lower(), name, is_org, full_name or name, email, now())
    connection.execute(
        "INSERT INTO accounts (key, name, is_org, full_name, email, created) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    return required_account(connection, name)


def find_account(connection: sqlite3.Connection, name: str) -> Account | None:
    row = connection.execute(ACCOUNT + " WHERE key = ?", (name.lower(),)).fetchone()
    return to_account(row) if row else None


def to_account(row: tuple[int, str, int, str, str | None, int]) -> Account:
    id, name, is_org, full_name, email, created = row
    return Account(id, name, bool(is_org), full_name, email, moment(created))


def required_account(connection: sqlite3.Connection, name: str) -> Account:
    account = find_account(connection, name)
    if account is None:
        raise HubHTTPError(404, f"no account {re.sub(r'[^ -~]', '?', name[:200])!r}")
    return account
