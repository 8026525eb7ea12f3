"""Authentication and authorisation.

Every route declares one `Permission`, which `authorise` checks. The response for a repository that the client may not
see equals the response for a repository that does not exist, so that no response reveals a private repository.

    public    no credentials needed
    signed    the URL carries a signature, which the route checks
    account   any signed-in user
    info      the repository may be seen: its card, listing of files, settings
    read      its files may be read: `info`, and for a gated repository also an accepted request for access
    discuss   a signed-in reader whose token may write: pull requests, comments, likes
    write     commits, branches, tags; on a namespace: new repositories
    admin     settings, deletion, renaming, decisions on requests for access
    operator  sizes and accounts of the whole Hub: a token of role admin that is not restricted to repositories

A token of role `write` has all permissions of its owner, deletion included, as on the public Hub: everything in the
namespace of the owner, and in an organisation everything that the owner's role allows. A token restricted to
repositories gives access to these and to public ones only. Basic credentials are accepted on the routes of git and
git-lfs, and on the page for the operator, which only reads: a browser sends them automatically, so on other routes a
form on another site could use them to write. The page has a realm of its own, so that browsers do not send its
credentials to the routes of git.
"""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from seqhub.server.errors import HubHTTPError, repo_not_found
from seqhub.server.types import Account, Repo, Role, Token

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from seqhub.server.store import StoreParts

Permission = Literal["public", "signed", "account", "info", "read", "discuss", "write", "admin", "operator"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
RANK: dict[Role | None, int] = {None: 0, "read": 1, "write": 2, "admin": 3}
BEARER: Final = 'Bearer realm="seqhub"'
BASIC: Final = 'Basic realm="seqhub"'
OPERATOR: Final = 'Basic realm="seqhub operator"'
BAD_CREDENTIALS = "Invalid credentials in Authorization header"  # clients compare the exact text


@dataclass(frozen=True, slots=True)
class Identity:
    """Account of a request, and the token that identified it; both None for an anonymous request."""

    account: Account | None = None
    token: Token | None = None
    challenge: str = BEARER  # in a 401; git supports Basic only

    @property
    def viewer(self) -> Account | None:
        """Account used to filter lists; None for a token restricted to repositories, which lists public ones only."""
        return None if self.token is None or self.token.repos else self.account


def identify(request: "HTTPConnection", store: "StoreParts", *, challenge: str = BEARER) -> Identity:
    """Identify a request by its `Authorization` header: a bearer token, or Basic with a token as password.

    Args:
        request: The request.
        store: Store with the tokens.
        challenge: Challenge in a 401; `BASIC` or `OPERATOR` if Basic credentials are accepted.

    Raises:
        HubHTTPError: 401 for malformed, unknown, expired or revoked credentials, even if the route needs none.
    """
    headers = request.headers.getlist("authorization")
    if not headers:
        return Identity(challenge=challenge)
    secret = _secret(headers[0], basic=challenge != BEARER) if len(headers) == 1 else None
    found = store.tokens.find(secret) if secret else None
    if found is None:
        raise unauthorised(BAD_CREDENTIALS, challenge)
    token, account = found
    request.scope["seqhub.account"] = account.name  # for the access log
    return Identity(account, token, challenge)


def authorise(
    store: "StoreParts", identity: Identity, permission: Permission, target: Repo | str | None = None
) -> None:
    """Check that `identity` has a permission.

    Args:
        store: Store with the members of organisations and the access requests of gated repositories.
        identity: Identity of the client.
        permission: Permission that the route declares.
        target: Repository, or namespace of a new repository; None if the route has neither.

    Raises:
        HubHTTPError: 401 without credentials, 404 for a repository that the client may not see, 403 otherwise.
    """
    if permission in ("public", "signed"):
        return
    if permission == "operator":
        _authorise_operator(identity)
    elif permission == "account" or target is None:
        if identity.account is None:
            raise unauthorised("Sign in first: this needs a token", identity.challenge)
    elif isinstance(target, str):
        _authorise_namespace(store, identity, permission, target)
    else:
        _authorise_repo(store, identity, permission, target)


def may(store: "StoreParts", identity: Identity, permission: Permission, target: Repo | str | None = None) -> bool:
    """Return whether `identity` has a permission."""
    try:
        authorise(store, identity, permission, target)
    except HubHTTPError:
        return False
    return True


def absent(identity: Identity) -> HubHTTPError:
    """Return the error for a repository that does not exist or that the client may not see."""
    if identity.account is not None:
        return repo_not_found()
    error = repo_not_found()
    return unauthorised(error.message, identity.challenge, code=error.code)


def unauthorised(message: str, challenge: str = BEARER, *, code: str | None = None) -> HubHTTPError:
    """Return a 401 with a challenge; without one git does not prompt for a password."""
    return HubHTTPError(401, message, code=code, headers={"WWW-Authenticate": challenge})


def _authorise_operator(identity: Identity) -> None:
    if identity.account is None or identity.token is None:
        raise unauthorised("Sign in first: any name, and a token of role admin as the password", identity.challenge)
    if identity.token.role != "admin" or identity.token.repos:
        raise HubHTTPError(403, "This page needs a token of role admin that is not restricted to repositories")


def _authorise_repo(store: "StoreParts", identity: Identity, permission: Permission, repo: Repo) -> None:
    role = _role(store, identity, repo)
    if repo.private and role is None:
        raise absent(identity)
    if permission == "info":
        return
    if repo.gated != "no" and role is None:
        _pass_gate(store, identity, repo)
    if permission == "read":
        return
    if identity.account is None or identity.token is None:
        raise unauthorised(f"Sign in first: a change to {repo.repo_id} needs a token", identity.challenge)
    if identity.token.role == "read":
        raise HubHTTPError(403, f"This token may only read: a change to {repo.repo_id} needs a token of role write")
    if permission == "discuss":
        if not _covers(identity.token, repo):
            raise HubHTTPError(403, f"This token is not valid for {repo.repo_id}, but for other repositories only")
        return
    if RANK[role] < RANK[cast(Role, permission)]:
        raise HubHTTPError(403, f"You have {role or 'no'} rights to {repo.repo_id}; this needs {permission}")


def _authorise_namespace(store: "StoreParts", identity: Identity, permission: Permission, namespace: str) -> None:
    if identity.account is None or identity.token is None:
        raise unauthorised("Sign in first: this needs a token", identity.challenge)
    if identity.token.repos:
        raise HubHTTPError(403, "This token is restricted to single repositories and cannot create one")
    role = _within(store, identity.account, identity.token, namespace)
    needed = RANK["admin" if permission == "admin" else "read" if permission in ("info", "read") else "write"]
    if RANK[role] < needed:
        raise HubHTTPError(403, f"You don't have the rights to create repositories under the namespace {namespace!r}")


def _role(store: "StoreParts", identity: Identity, repo: Repo) -> Role | None:
    """Return the role of an identity in a repository; None without a role."""
    if identity.account is None or identity.token is None or not _covers(identity.token, repo):
        return None
    return _within(store, identity.account, identity.token, repo.namespace)


def _within(store: "StoreParts", account: Account, token: Token, namespace: str) -> Role | None:
    """Return the role of an account in a namespace; `read` at most for a token of role `read`."""
    if account.name.casefold() == namespace.casefold():
        return "read" if token.role == "read" else "admin"
    roles = {name.casefold(): role for name, role in store.accounts.roles_of(account.name).items()}
    role = roles.get(namespace.casefold())
    return min(role, "read", key=lambda r: RANK[r]) if role and token.role == "read" else role


def _covers(token: Token, repo: Repo) -> bool:
    key = f"{repo.repo_type}:{repo.repo_id}".casefold()
    return not token.repos or key in {name.casefold() for name in token.repos}


def _pass_gate(store: "StoreParts", identity: Identity, repo: Repo) -> None:
    what = f"Access to {repo.repo_type} {repo.repo_id} is restricted"
    if identity.account is None or identity.token is None:
        message = f"{what}. You must have access to it and be authenticated to access it. Please log in."
        raise unauthorised(message, identity.challenge, code="GatedRepo")
    if not _covers(identity.token, repo) or not store.access_requests.may_read(repo, identity.account):
        raise HubHTTPError(
            403, f"{what} and you are not in the authorized list. Ask for access first.", code="GatedRepo"
        )


def _secret(header: str, *, basic: bool) -> str | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic" or not basic:
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, not ASCII or not UTF-8
        return None
