"""Table of routes: permissions, private repositories, and the page that documents it."""

import base64
from pathlib import Path
from typing import get_args

import pytest

from seqhub.server import app
from seqhub.server.auth import Permission
from seqhub.server.routing import Route
from tests.server.routes.conftest import Hub

TABLE = app.table()
DOCUMENT = Path(__file__).parents[3] / "docs" / "hub-compatibility.md"
EXAMPLES = {
    "kinds": "models",
    "prefix": "",
    "revision": "main",
    "path*": "a.txt",
    "rest*": "rest",
    "number": "1",
    "status": "pending",
}


def path_of(route: Route, repo: str) -> str:
    path = route.pattern.replace("{repo}", repo)
    for name, value in EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    path = path.replace("{", "").replace("}", "").replace("*", "")
    return f"{path}?dataset={repo}" if route.takes_dataset else path


def has_repo(route: Route) -> bool:
    return "{repo}" in route.pattern or route.takes_dataset


def headers_of(route: Route) -> dict[str, str]:
    """Return the headers with which the route exists: pages exist for browsers."""
    return {"Accept": "text/html"} if route.is_page else {}


def name_of(route: Route) -> str:
    return f"{route.method} {route.pattern}"


@pytest.mark.parametrize("route", TABLE, ids=name_of)
def test_every_route_declares_a_permission(route: Route) -> None:
    assert route.permission in get_args(Permission)
    assert route.purpose
    assert route.pattern.startswith("/")
    assert route.state == "unsupported" or route.permission != "public" or not has_repo(route)


def test_routes_are_distinct() -> None:
    rows = [(route.method, route.pattern) for route in TABLE]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("who", [None, "bob"])
@pytest.mark.parametrize(
    "route", [r for r in TABLE if has_repo(r) and r.permission not in ("public", "signed")], ids=name_of
)
def test_a_private_repository_looks_absent(hub: Hub, route: Route, who: str | None) -> None:
    """Status, headers and message are the same except for ids and names, for anonymous and other users."""
    method = "POST" if route.method == "*" else route.method
    answers = []
    for name in ("ada/secret", "ada/absent"):
        answer = hub(method, path_of(route, name), who, headers=headers_of(route))
        headers = {
            k: v.replace(name, "NAME") for k, v in answer.headers.items() if k not in ("x-request-id", "content-length")
        }
        answers.append((answer.status_code, headers, answer.text.replace(name, "NAME")))
    assert answers[0] == answers[1]
    assert answers[0][0] == (404 if who else 401)
    assert answers[0][1]["x-error-code"] == "RepoNotFound"


@pytest.mark.parametrize("body", [{"name": "secret", "organization": "ada"}, {"name": "absent", "organization": "ada"}])
def test_private_repositories_in_bodies_look_absent(hub: Hub, body: dict[str, str]) -> None:
    answer = hub("DELETE", "/api/repos/delete", "bob", json=body)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")
    moved = {"fromRepo": f"ada/{body['name']}", "toRepo": "bob/mine", "type": "model"}
    assert hub("POST", "/api/repos/move", "bob", json=moved).status_code == 404


def test_the_former_name_of_a_private_repository_looks_absent(hub: Hub) -> None:
    repo = hub.make("ada/before", private=True)
    hub.store.repos.move(repo, "ada/after")
    for who, status in ((None, 401), ("bob", 404)):
        assert hub("GET", "/api/models/ada/before", who).status_code == status
        assert hub("GET", "/ada/before/resolve/main/a.txt", who).status_code == status
    answer = hub("GET", "/api/models/ada/before?blobs=1")
    assert (answer.status_code, answer.headers["location"]) == (307, "/api/models/ada/after?blobs=1")
    answer = hub("GET", "/ada/before/resolve/refs%2Fheads%2Fmain/a%2Etxt")
    assert answer.headers["location"] == "/ada/after/resolve/refs%2Fheads%2Fmain/a%2Etxt"


def test_lists_show_private_repositories_to_members_only(hub: Hub) -> None:
    seen = {who: {m["id"] for m in hub("GET", "/api/models?limit=1000", who).json()} for who in (None, "bob", "ada")}
    assert "ada/secret" in seen["ada"]
    assert "ada/secret" not in seen["bob"] | seen[None]


@pytest.mark.parametrize("route", [r for r in TABLE if r.permission != "signed"], ids=name_of)
def test_basic_credentials_work_on_git_routes_and_the_page_of_the_operator_only(hub: Hub, route: Route) -> None:
    """Git and git-lfs support Basic credentials only; browsers send them automatically, even from other sites."""
    secret = base64.b64encode(f"ada:{hub.tokens['ada']}".encode()).decode()
    method = "POST" if route.method == "*" else route.method
    answer = hub(
        method, path_of(route, "ada/open"), None, headers={"Authorization": f"Basic {secret}"} | headers_of(route)
    )
    is_git = "/info/refs" in route.pattern or "/git-" in route.pattern or "/info/lfs" in route.pattern
    is_operator = route.permission == "operator"
    assert route.takes_basic is (is_git or is_operator)
    assert (answer.status_code != 401) is (is_git or is_operator)
    assert not is_operator or (route.is_page and route.method == "GET" and not has_repo(route))
    bare = hub(method, path_of(route, "ada/secret"), None, headers=headers_of(route))
    if has_repo(route) and route.permission != "public":
        assert bare.headers["www-authenticate"].startswith("Basic" if is_git else "Bearer")


def test_a_write_token_has_admin_rights_in_an_organisation(hub: Hub) -> None:
    """Create, change settings, move and delete, as on the public Hub; a read token permits none of these."""
    hub.store.accounts.create("team", is_org=True)
    hub.store.accounts.add_member("team", "bob", "admin")
    hub.tokens["team admin"], _ = hub.store.tokens.create("bob", "t", "write")
    hub.tokens["team reader"], _ = hub.store.tokens.create("bob", "t", "read")
    name = {"name": "net", "organization": "team"}
    assert hub("POST", "/api/repos/create", "team reader", json=name).status_code == 403
    assert hub("POST", "/api/repos/create", "team admin", json=name).status_code == 200
    moved = {"fromRepo": "team/net", "toRepo": "team/other", "type": "model"}
    steps = [
        ("PUT", "/api/models/team/net/settings", {"private": True, "gated": "auto"}),
        ("POST", "/api/models/team/net/lfs-files/batch", {"deletions": {"sha": []}}),
        ("POST", "/api/repos/move", moved),
        ("DELETE", "/api/repos/delete", {"name": "other", "organization": "team"}),
    ]
    for method, path, body in steps:
        assert hub(method, path, "team reader", json=body).status_code == 403
        assert hub(method, path, "team admin", json=body).status_code == 200


@pytest.mark.parametrize("route", [r for r in TABLE if r.is_page], ids=name_of)
def test_pages_exist_for_browsers_only(hub: Hub, route: Route) -> None:
    """Clients of the API see no change: their requests get the JSON of a path that has no route."""
    path = path_of(route, "ada/open")
    for accept in ("*/*", "application/json", "text/plain, application/json, */*"):
        answer = hub("GET", path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, "NotFound")
        assert answer.json()["error"] == "Sorry, this page does not exist: no route of this Hub has that path."
    answer = hub("GET", path, headers=headers_of(route))
    # A file is not a folder, and a model has no viewer.
    is_absent = "/tree/main/a.txt" in path or "/viewer/" in path
    if path == "/-/operator":
        assert answer.headers["location"] == "/-/operator/"
        return
    assert answer.status_code == (404 if is_absent else 200)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["vary"]


def test_unsupported_routes_return_501(hub: Hub) -> None:
    for path in ("/api/buckets/x", "/api/collections", "/api/settings/webhooks", "/api/papers/1", "/oauth/authorize"):
        for method in ("GET", "POST"):
            answer = hub(method, path, None)
            assert answer.status_code == 501
            assert "not part of this Hub" in answer.json()["error"]


def test_the_documentation_matches_the_table() -> None:
    assert DOCUMENT.read_text() == app.compatibility(), (
        "render it again: python -c 'from seqhub.server.app import compatibility as c; print(c(), end=\"\")'"
    )
