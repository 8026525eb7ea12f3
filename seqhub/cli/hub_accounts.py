"""The commands `seqhub hub user`, `org` and `token`, which work on the folder of a Hub; the server may be running."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from seqhub.cli.options import AsJson, Quiet
from seqhub.cli.output import Form, grid, show
from seqhub.cli.serve import Root
from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from seqhub.server.store import Store
    from seqhub.server.types import Account, Role, Token

users = typer.Typer(help="Manage user accounts.", no_args_is_help=True)
orgs = typer.Typer(help="Manage organisations and their members.", no_args_is_help=True)
tokens = typer.Typer(help="Manage access tokens.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the account", show_default=False)]
RoleName = Annotated[str, typer.Option(help="Role: read, write or admin")]
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@contextmanager
def open_store(root: Path, *, create: bool = False) -> "Iterator[Store]":
    """Open the store in a folder for the duration of a block; with `create`, create it if it does not exist."""
    from seqhub.server.store import Store

    if not create and not (root / "hub.sqlite3").exists():
        raise InvalidInputError(
            f"{root} is not the folder of a Hub; give it with --root, or create a Hub with `seqhub serve`"
        )
    store = Store(root)
    try:
        yield store
    finally:
        store.close()


@users.command("add")
def add_user(
    name: Name,
    root: Root,
    full_name: Annotated[str, typer.Option(help="Display name")] = "",
    email: Annotated[str | None, typer.Option(help="E-mail address")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Add a user."""
    with open_store(root, create=True) as store:
        account = store.accounts.create(name, full_name=full_name, email=email)
    _show_accounts([account], Form.of(as_json, quiet))


@users.command("ls")
def list_users(root: Root, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the users."""
    with open_store(root) as store:
        found = [account for account in store.accounts.all() if not account.is_org]
    _show_accounts(found, Form.of(as_json, quiet))


@orgs.command("add")
def add_org(
    name: Name,
    root: Root,
    full_name: Annotated[str, typer.Option(help="Display name")] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Add an organisation."""
    with open_store(root, create=True) as store:
        account = store.accounts.create(name, is_org=True, full_name=full_name)
    _show_accounts([account], Form.of(as_json, quiet))


@orgs.command("ls")
def list_orgs(root: Root, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the organisations."""
    with open_store(root) as store:
        found = [account for account in store.accounts.all() if account.is_org]
    _show_accounts(found, Form.of(as_json, quiet))


@orgs.command("member")
def org_member(
    org: Annotated[str, typer.Argument(help="Name of the organisation", show_default=False)],
    root: Root,
    user: Annotated[
        str | None, typer.Argument(help="Name of the user to add; omit to list the members", show_default=False)
    ] = None,
    role: RoleName = "write",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the user instead")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Manage the members of an organisation.

    With a user, add or remove the user or change the role. The members are listed at the end.
    """
    with open_store(root) as store:
        if user is not None and remove:
            store.accounts.remove_member(org, user)
        elif user is not None:
            store.accounts.add_member(org, user, _role(role))
        members = store.accounts.members(org)
    show(
        Form.of(as_json, quiet),
        members,
        brief=[f"{name}\t{member_role}" for name, member_role in members.items()],
        table=lambda console: console.print(grid(("member", "role"), list(members.items()))),
    )


@tokens.command("create")
def create_token(
    user: Annotated[str, typer.Argument(help="Owner of the token", show_default=False)],
    root: Root,
    role: RoleName = "write",
    name: Annotated[str, typer.Option(help="Name of the token")] = "token",
    repo: Annotated[
        list[str] | None,
        typer.Option(
            help="Repository that the token is limited to, as in model:NAMESPACE/NAME; may be repeated",
            show_default="all",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Lifetime, as in 30d, 12h or 2w, or date, as in 2027-01-31", show_default="never")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Create an access token.

    Its secret is shown only once.
    """
    until = None if expires is None else parse_expiry(expires, datetime.now(UTC))
    limited_to = [_repo_key(text) for text in repo or ()]
    with open_store(root) as store:
        secret, token = store.tokens.create(user, name, _role(role), repos=limited_to, expires=until)
    show(
        Form.of(as_json, quiet),
        {"secret": secret} | _plain(token),
        brief=secret,
        table=lambda console: console.print(secret, grid(("", ""), _token_rows(token)), sep="\n"),
    )


@tokens.command("ls")
def list_tokens(
    root: Root,
    user: Annotated[
        str | None, typer.Argument(help="Owner of the tokens; omit for all users", show_default=False)
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the tokens, without their secrets."""
    with open_store(root) as store:
        names = [user] if user else [account.name for account in store.accounts.all() if not account.is_org]
        found = [(name, token) for name in names for token in store.tokens.of_user(name)]
    rows = [
        (
            str(t.id),
            owner,
            t.name,
            t.role,
            f"…{t.last4}",
            " ".join(t.repos) or "all",
            _day(t.expires),
            _day(t.last_used),
        )
        for owner, t in found
    ]
    show(
        Form.of(as_json, quiet),
        [{"user": owner} | _plain(token) for owner, token in found],
        brief=[f"{token.id}\t{owner}\t{token.name}" for owner, token in found],
        table=lambda console: console.print(
            grid(("id", "user", "name", "role", "ends in", "repositories", "expires", "last used"), rows)
        ),
    )


@tokens.command("revoke")
def revoke_token(
    number: Annotated[
        int, typer.Argument(metavar="ID", help="Number of the token, as in `token ls`", show_default=False)
    ],
    root: Root,
) -> None:
    """Revoke a token."""
    with open_store(root) as store:
        store.tokens.revoke(number)


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as 30m, 12h, 30d or 2w.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 6 and unit in UNITS):
        raise InvalidInputError(f"{text!r} is not a duration; allowed: a number and m, h, d or w, as in 30d")
    return int(number) * UNITS[unit]


def parse_expiry(text: str, now: datetime) -> datetime:
    """Parse an expiry: a duration from now, or the start of a day in UTC, in the future."""
    try:
        until = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        until = now + parse_duration(text)
    if until <= now:
        raise InvalidInputError(f"{text!r} is in the past; allowed: a future time, as in 30d or 2027-01-31")
    return until


def _role(text: str) -> "Role":
    return cast("Role", text)  # the store raises an error for other values


def _repo_key(text: str) -> str:
    repo_type, colon, name = text.partition(":")
    if not colon or repo_type not in ("model", "dataset", "space") or name.count("/") != 1:
        raise InvalidInputError(f"{text!r} is not a repository; allowed: model:NAMESPACE/NAME, dataset:..., space:...")
    return text


def _show_accounts(accounts: "list[Account]", form: Form) -> None:
    rows = [(a.name, a.full_name, a.email or "-", _day(a.created)) for a in accounts]
    show(
        form,
        [_plain(account) for account in accounts],
        brief=[a.name for a in accounts],
        table=lambda console: console.print(grid(("name", "full name", "email", "since"), rows)),
    )


def _plain(value: "Account | Token") -> dict[str, Any]:
    return {name: item.isoformat() if isinstance(item, datetime) else item for name, item in asdict(value).items()}


def _token_rows(token: "Token") -> list[tuple[str, str]]:
    return [
        ("id", str(token.id)),
        ("role", token.role),
        ("repositories", " ".join(token.repos) or "all"),
        ("expires", _day(token.expires)),
    ]


def _day(when: datetime | None) -> str:
    return "-" if when is None else when.strftime("%Y-%m-%d %H:%M")
