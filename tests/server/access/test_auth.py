"""Permissions as a table; invisible repositories must look like repositories that do not exist."""

import base64

import pytest
from starlette.requests import Request

from seqhub.server.auth import (
    BAD_CREDENTIALS,
    BASIC,
    BEARER,
    OPERATOR,
    PERMISSIONS,
    Identity,
    absent,
    authorise,
    identify,
    may,
)
from seqhub.server.errors import HubHTTPError
from tests.server.access.conftest import World


def request(secret: str | None, *, path: str = "/api/models/ada/x", header: str | None = None) -> Request:
    value = header if header is not None else f"Bearer {secret}" if secret else None
    headers = [] if value is None else [(b"authorization", value.encode("latin-1"))]
    return Request({"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b"",
                    "server": ("127.0.0.1", 80), "scheme": "http"})  # fmt: skip


def outcome(world: World, who: str, permission: str, repo: str) -> str:
    """Return "yes", or status and code of the error."""
    try:
        authorise(world.store, identify(request(world.secrets[who]), world.store), permission, world.repos[repo])
    except HubHTTPError as error:
        return f"{error.status}{' ' + error.code if error.code else ''}"
    return "yes"


NO_REPO = {"401": "401 RepoNotFound", "404": "404 RepoNotFound", "g401": "401 GatedRepo", "g403": "403 GatedRepo"}

# Abbreviations: 401 and 404 for private repositories have the code RepoNotFound; g401 and g403 have GatedRepo.
ADA = """
who                          permission  public  private  gated
anonymous                    info        yes     401      yes
anonymous                    read        yes     401      g401
anonymous                    discuss     .401    401      g401
anonymous                    write       .401    401      g401
anonymous                    admin       .401    401      g401
ada                          info        yes     yes      yes
ada                          read        yes     yes      yes
ada                          discuss     yes     yes      yes
ada                          write       yes     yes      yes
ada                          admin       yes     yes      yes
ada,-read-token              info        yes     yes      yes
ada,-read-token              read        yes     yes      yes
ada,-read-token              discuss     403     403      403
ada,-read-token              write       403     403      403
ada,-read-token              admin       403     403      403
ada,-token-for-ada/private   info        yes     yes      yes
ada,-token-for-ada/private   read        yes     yes      g403
ada,-token-for-ada/private   discuss     403     yes      g403
ada,-token-for-ada/private   write       403     yes      g403
ada,-token-for-ada/private   admin       403     yes      g403
bob                          info        yes     404      yes
bob                          read        yes     404      g403
bob                          discuss     yes     404      g403
bob                          write       403     404      g403
bob                          admin       403     404      g403
bob,-token-for-ada/private   info        yes     404      yes
bob,-token-for-ada/private   read        yes     404      g403
bob,-token-for-ada/private   write       403     404      g403
anna                         read        yes     404      g403
anna                         write       403     404      g403
"""
LAB = """
who                          permission  public  private  gated
anonymous                    read        yes     401      g401
rita                         info        yes     yes      yes
rita                         read        yes     yes      yes
rita                         discuss     yes     yes      yes
rita                         write       403     403      403
rita                         admin       403     403      403
will                         read        yes     yes      yes
will                         write       yes     yes      yes
will                         admin       403     403      403
anna                         write       yes     yes      yes
anna                         admin       yes     yes      yes
anna,-write-token            write       yes     yes      yes
anna,-write-token            admin       yes     yes      yes
anna,-read-token             read        yes     yes      yes
anna,-read-token             write       403     403      403
ada                          read        yes     404      g403
ada                          write       403     404      g403
"""


def cells(table: str, owner: str) -> list[tuple[str, str, str, str]]:
    head, *rows = [line.split() for line in table.strip().splitlines()]
    return [
        (row[0].replace(",-", ", ").replace("-token", " token").replace("token-for-", "token for ").replace("  ", " "),
         row[1], f"{owner}/{what}", word)
        for row in rows
        for what, word in zip(head[2:], row[2:], strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(("who", "permission", "repo", "word"), cells(ADA, "ada") + cells(LAB, "lab"))
def test_permissions(world: World, who: str, permission: str, repo: str, word: str) -> None:
    expected = word[1:] if word.startswith(".") else NO_REPO.get(word, word)
    assert outcome(world, who, permission, repo) == expected


@pytest.mark.parametrize("who", ["ada, expired", "ada, revoked", "forged"])
def test_invalid_tokens_return_the_message_that_clients_expect(world: World, who: str) -> None:
    with pytest.raises(HubHTTPError) as caught:
        identify(request(world.secrets[who]), world.store)
    assert (caught.value.status, caught.value.message, caught.value.code) == (401, BAD_CREDENTIALS, None)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Digest x", "Basic !!!", "Basic " + base64.b64encode(b"\xff:\xff").decode(), "hf_x"],
)
def test_malformed_credentials_are_rejected(world: World, header: str) -> None:
    with pytest.raises(HubHTTPError, match=BAD_CREDENTIALS):
        identify(request(None, header=header), world.store)


def test_two_headers_are_rejected(world: World) -> None:
    twice = request(world.secrets["ada"])
    twice.scope["headers"] *= 2
    with pytest.raises(HubHTTPError, match=BAD_CREDENTIALS):
        identify(twice, world.store)


def test_git_signs_in_with_basic_credentials(world: World) -> None:
    header = "Basic " + base64.b64encode(f"anything:{world.secrets['ada']}".encode()).decode()
    identity = identify(request(None, header=header), world.store, challenge=BASIC)
    assert identity.account is not None
    assert identity.account.name == "ada"
    with pytest.raises(HubHTTPError, match=BAD_CREDENTIALS):
        identify(request(None, header=header), world.store)


@pytest.mark.parametrize("challenge", [BASIC, BEARER, OPERATOR])
def test_unauthorised_requests_are_challenged(world: World, challenge: str) -> None:
    identity = identify(request(None), world.store, challenge=challenge)
    with pytest.raises(HubHTTPError) as caught:
        authorise(world.store, identity, "read", world.repos["ada/private"])
    assert caught.value.headers["WWW-Authenticate"] == challenge
    with pytest.raises(HubHTTPError) as caught:
        identify(request("hf_wrong"), world.store, challenge=challenge)
    assert caught.value.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("who", ["anonymous", "bob"])
@pytest.mark.parametrize("permission", ["info", "read", "discuss", "write", "admin"])
def test_private_repositories_look_absent(world: World, who: str, permission: str) -> None:
    identity = identify(request(world.secrets[who]), world.store)
    with pytest.raises(HubHTTPError) as hidden:
        authorise(world.store, identity, permission, world.repos["ada/private"])
    missing = absent(identity)
    assert vars(hidden.value) == vars(missing)
    assert hidden.value.args == missing.args


def test_accepted_users_can_read(world: World) -> None:
    repo = world.make("dataset", "ada/opened", "gated")
    bob = world.store.accounts.find("bob")
    assert bob is not None
    identity = identify(request(world.secrets["bob"]), world.store)
    assert not may(world.store, identity, "read", repo)
    world.store.access_requests.create(repo, bob)
    assert not may(world.store, identity, "read", repo)
    world.store.access_requests.decide(repo, "bob", "accepted")
    assert may(world.store, identity, "read", repo)
    assert not may(world.store, identity, "write", repo)
    confined = identify(request(world.secrets["bob, token for ada/private"]), world.store)
    assert not may(world.store, confined, "read", repo)


@pytest.mark.parametrize(
    ("who", "namespace", "allowed"),
    [
        ("anonymous", "ada", False),
        ("ada", "ADA", True),
        ("ada, read token", "ada", False),
        ("ada, token for ada/private", "ada", False),
        ("ada", "bob", False),
        ("ada", "nowhere", False),
        ("rita", "lab", False),
        ("will", "Lab", True),
        ("anna, write token", "lab", True),
    ],
)
def test_new_repositories(world: World, who: str, namespace: str, allowed: bool) -> None:
    assert may(world.store, identify(request(world.secrets[who]), world.store), "write", namespace) is allowed


def test_a_restricted_token_lists_public_repositories(world: World) -> None:
    confined = identify(request(world.secrets["ada, token for ada/private"]), world.store)
    assert confined.account is not None
    assert confined.viewer is None
    assert Identity().viewer is None


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_routes_without_a_repository_require_an_account(world: World, permission: str) -> None:
    assert may(world.store, Identity(), permission) is (permission in ("public", "signed"))
    is_allowed = permission != "operator"  # only with a token of role admin
    assert may(world.store, identify(request(world.secrets["ada"]), world.store), permission) is is_allowed


def test_no_secret_reaches_the_database(world: World) -> None:
    files = list(world.store.root.glob("hub.sqlite3*"))
    assert files
    stored = b"".join(path.read_bytes() for path in files)
    for secret in filter(None, world.secrets.values()):
        assert secret.encode() not in stored
        assert secret.removeprefix("hf_").encode() not in stored
