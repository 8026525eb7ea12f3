"""Page for the operator: permission, what it shows, and that browsers do not store or share it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app
from seqhub.server.pages import operator
from seqhub.server.pages.templating import size
from seqhub.server.settings import Settings
from seqhub.server.store import Limits, Store
from seqhub.server.types import AddLarge
from tests.server.pages.conftest import html
from tests.server.pages.test_security import assert_harmless
from tests.server.routes.conftest import Hub

PAGE = operator.PATH


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Hub]:
    """Return a Hub whose numbers no other test changes."""
    store = Store(tmp_path / "hub", limits=Limits(account_bytes=10_000, repos=5, waiting_bytes=1000))
    for name in ("ada", "bob"):
        store.accounts.create(name)
    store.accounts.create("lab", is_org=True)
    tokens = {"ada": store.tokens.create("ada", "t", "admin")[0], "bob": store.tokens.create("bob", "t", "write")[0]}
    yield Hub(store, TestClient(create_app(store, settings=Settings())), tokens)
    store.close()


def upload(hub: Hub, content: bytes) -> str:
    account = hub.store.accounts.find("ada")
    assert account is not None
    writer = hub.store.blobs.begin()
    writer.write(content)
    return writer.finish(None, None, account)[0]


def facts(text: str) -> dict[str, str]:
    """Return the facts and the rows of accounts on the page."""
    found = {}
    for part in text.split("<dt>")[1:]:
        name, _, value = part.partition("</dt><dd>")
        found[name] = value.partition("</dd>")[0]
    for part in text.split('<th scope="row">')[1:]:
        name, *cells = part.partition("</tr>")[0].replace("</td>", "").replace("</th>", "").split("<td")
        found[name] = " | ".join(cell.partition(">")[2] for cell in cells)
    return found


def test_it_shows_sizes_uploads_maintenance_and_accounts(own: Hub, tmp_path: Path) -> None:
    empty = facts(assert_harmless(html(own, PAGE, "ada")))
    assert empty["Repositories"] == "none"
    assert [empty[f"Last {task}"] for task in ("backup", "fsck", "gc")] == ["never"] * 3
    own.make("ada/net")
    own.make("ada/rows", "dataset", **{"rows.csv": b"x" * 2490})
    committed, waiting = upload(own, b"a" * 500), upload(own, b"b" * 300)
    repo, account = own.store.repos.find("model", "ada/net"), own.store.accounts.find("ada")
    assert repo is not None
    assert account is not None
    own.store.commits.create(
        repo,
        "main",
        [AddLarge("w.bin", committed, 500)],
        expected_parent=None,
        author="ada",
        title="t",
        uploader=account,
    )
    part = own.store.blobs.begin_part(account, None, "0" * 32, 1, 100)
    part.write(b"p" * 100)
    part.finish()
    own.store.maintenance.backup(tmp_path / "backup")
    assert own.store.maintenance.fsck() == []
    own.store.maintenance.gc()
    rows = own.store.repos.find("dataset", "ada/rows")
    assert rows is not None
    used = own.store.repos.used_bytes(repo) + own.store.repos.used_bytes(rows)
    assert used > 500 + 2490
    found = facts(assert_harmless(html(own, PAGE, "ada")))
    assert found["Repositories"] == "1 dataset, 1 model"
    assert found["Size of repositories"] == size(used)
    assert found["Large files"] == "800 B in 2 files"
    assert found["Without a commit"] == "300 B in 1 large file"
    assert found["Unfinished"] == "132 B"
    assert found["Last backup"].endswith("UTC</time>: 2 large files and the database")
    assert found["Last fsck"].endswith("UTC</time>: 0 problems")
    assert found["Last gc"].endswith("UTC</time>: 0 B removed")
    assert found["Repositories of account"] == "5"
    assert found["Size of repository"] == "no limit"
    assert found["ada"].split(" | ")[3:] == [size(used), f"{used / 100:.0f} %", "432 B"]
    assert found["lab"].split(" | ")[0] == "organisation"
    assert list(found)[-3:] == ["ada", "bob", "lab"]
    own.store.blobs.path(waiting).write_bytes(b"damaged")
    assert len(own.store.maintenance.fsck()) == 1
    text = assert_harmless(html(own, PAGE, "ada"))
    assert "found 1 damaged content" in text
    assert facts(text)["Last fsck"].endswith(": 1 problem")


def test_accounts_have_pages(own: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "PAGE", 2)
    first, second = (assert_harmless(html(own, f"{PAGE}?page={number}", "ada")) for number in (1, 2))
    assert ("?page=2" in first, ">lab<" in first) == (True, False)
    assert ("?page=1" in second, "?page=3" in second, ">lab<" in second) == (True, False, True)
    assert "No accounts on this page" in assert_harmless(html(own, f"{PAGE}?page=9", "ada"))
    for given in ("0", "-1", "x", "99999999999999999999"):
        assert_harmless(html(own, f"{PAGE}?page={given}", "ada"), status=400)


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anything:{secret}".encode()).decode()}


def test_it_needs_an_unrestricted_token_of_role_admin(own: Hub) -> None:
    create = own.store.tokens.create
    own.make("ada/net")
    refused: dict[str, Any] = {
        "read": create("ada", "t", "read")[0],
        "write": create("ada", "t", "write")[0],
        "restricted": create("ada", "t", "admin", repos=["model:ada/net"])[0],
    }
    for secret in refused.values():
        for headers in (basic(secret), {"Authorization": f"Bearer {secret}"}):
            text = assert_harmless(html(own, PAGE, headers=headers), status=403)
            assert "needs a token of role admin" in text
            assert "Size of repositories" not in text
    for headers in (basic(own.tokens["ada"]), {"Authorization": f"Bearer {own.tokens['ada']}"}):
        answer = html(own, PAGE, headers=headers)
        assert_harmless(answer)
        assert answer.headers["cache-control"] == "no-store"
    for headers in ({}, basic("hf_wrong"), basic(""), {"Authorization": "Basic ?"}, {"Cookie": own.tokens["ada"]}):
        answer = html(own, PAGE, headers=headers)
        assert answer.headers["www-authenticate"] == 'Basic realm="seqhub operator"'
        assert "<h1>Not signed in</h1>" in assert_harmless(answer, status=401)


def test_its_credentials_stay_on_the_page(own: Hub) -> None:
    """Browsers send them to all paths below the folder of the page, and to routes with the same realm."""
    from seqhub.server.app import table

    below = [route for route in table() if route.pattern.startswith(PAGE)]
    assert [route.permission for route in below] == ["operator"]
    assert html(own, PAGE.rstrip("/")).headers["location"] == PAGE
    git = own("GET", "/ada/absent/info/refs?service=git-upload-pack", None)
    assert git.headers["www-authenticate"] == 'Basic realm="seqhub"'


def test_a_backup_that_is_restored_keeps_working(own: Hub, tmp_path: Path) -> None:
    from seqhub.server.store.maintenance import restore

    own.store.maintenance.gc()
    own.store.maintenance.backup(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    store = Store(tmp_path / "restored")
    assert set(store.overview.maintained()) == {"gc"}
    store.close()
