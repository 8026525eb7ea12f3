"""Contents of the pages, for anonymous visitors and with tokens."""

import gzip
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from seqhub.server.pages import static
from seqhub.server.pages.tabs import TABS
from seqhub.server.pages.templating import environment
from seqhub.server.serve import running
from seqhub.server.types import AddLarge, AddSmall
from tests.server.pages.conftest import html
from tests.server.routes.conftest import Hub

REPO_PAGES = [
    "/ada/net",
    "/ada/net/tree/main",
    "/ada/net/tree/main/docs",
    "/ada/net/blob/main/model.py",
    "/ada/net/blob/main/README.md",
    "/ada/net/blob/main/README.md?source=1",
    "/ada/net/blob/main/docs/guide.md",
    "/ada/net/blob/main/model.safetensors",
    "/ada/net/blob/main/figures/loss.png",
    "/ada/net/blob/main/figures/drawing.svg",
    "/ada/net/blob/main/figures/drawing.svg?source=1",
    "/ada/net/blob/main/rows.csv",
    "/ada/net/blob/main/rows.jsonl",
    "/ada/net/blob/main/notebook.ipynb",
    "/ada/net/blob/main/empty.txt",
    "/ada/net/blob/main/binary.bin",
    "/ada/net/blob/v1/model.py",
    "/ada/net/commits/main",
    "/ada/net/commit/main",
    "/ada/net/compare?from=v1&to=main",
    "/datasets/ada/rows",
    "/datasets/ada/rows/tree/main",
]
LIST_PAGES = [
    "/",
    "/models",
    "/datasets",
    "/spaces",
    "/models?q=net",
    "/models?q=absent",
    "/models?task=text-generation",
]
PAGES = [*LIST_PAGES, *REPO_PAGES]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_valid_and_small(hub: Hub, path: str) -> None:
    answer = html(hub, path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert answer.text.count("<h1") == answer.text.count("</h1>") == 1
    assert answer.text.count("<main") == 1
    assert "<style" not in answer.text
    assert not re.search(r"<[^>]* (?:style|on\w+)=", answer.text)
    assert not re.search(r"<script(?! type=\"module\" src=\"/-/static/)", answer.text)
    assert not re.search(r"(?:src|action)=\"(?!/|data:image/)", answer.text)
    first_view = len(gzip.compress(answer.content)) + sum(len(a.compressed) for a in static.assets().values())
    assert first_view < 40_000
    scripts = re.findall(r'<script type="module" src="/-/static/\w+/([\w./-]+)"', answer.text)
    assert sum(len(static.assets()[name].content) for name in scripts) < 2000


@pytest.mark.parametrize("path", PAGES)
def test_links_within_a_page_lead_somewhere(hub: Hub, path: str) -> None:
    text = html(hub, path).text
    for link in set(re.findall(r'(?:href|src|action)="([^"]+)"', text)):
        target = link.replace("&amp;", "&").partition("#")
        if target[0].startswith("/"):
            answer = html(hub, target[0])
            assert answer.status_code in (200, 307), link
        elif not target[0] and target[2] != "main":
            assert f'id="{target[2]}"' in text, link


def test_errors_are_pages_for_browsers(hub: Hub) -> None:
    for path, status, code in (
        ("/ada/absent", 401, "RepoNotFound"),
        ("/ada/net/blob/main/absent.txt", 404, "EntryNotFound"),
        ("/ada/net/tree/absent", 404, "RevisionNotFound"),
        ("/ada/net/nothing/here", 404, "NotFound"),
        ("/models?sort=wrong", 400, "BadRequest"),
        ("/models?cursor=wrong", 400, "BadRequest"),
    ):
        answer = html(hub, path)
        assert (answer.status_code, answer.headers["x-error-code"]) == (status, code), path
        assert answer.headers["content-type"].startswith("text/html")
        assert "<h1>" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    api = hub("GET", "/api/models/ada/absent", headers={"Accept": "text/html"})
    assert api.json() == {"error": "Repository not found"}


def test_visitors_see_what_the_api_gives_them(hub: Hub) -> None:
    for path in ("/", "/models", "/models?tag=hidden-tag", "/models?q=secret", "/models?author=ada"):
        assert "ada/</span><wbr>secret" not in html(hub, path).text
        assert ">hidden-tag<" not in html(hub, path).text.replace("Clear", "") or "tag=hidden-tag" in path
    assert "ada/</span><wbr>secret" in html(hub, "/models?q=secret", "ada").text
    assert "ada/</span><wbr>secret" not in html(hub, "/models?q=secret", "bob").text
    assert "Hidden words" in html(hub, "/ada/secret", "ada").text
    for path in ("", "/tree/main", "/blob/main/README.md", "/commits/main", "/commit/main", "/compare"):
        answers = [html(hub, f"/ada/{name}{path}") for name in ("secret", "absent")]
        assert answers[0].status_code == answers[1].status_code == 401
        assert answers[0].text == answers[1].text


def test_a_gated_repository_shows_its_description_only(hub: Hub) -> None:
    shown = html(hub, "/ada/gated").text
    assert "Access is restricted" in shown
    assert "license=mit" in shown
    assert "Gated words" not in shown
    assert "README.md" in html(hub, "/ada/gated/tree/main").text
    assert "Gated words" not in html(hub, "/ada/gated/tree/main").text
    for path in ("blob/main/README.md", "commit/main", "compare"):
        answer = html(hub, f"/ada/gated/{path}")
        assert (answer.status_code, answer.headers["x-error-code"]) == (401, "GatedRepo")
    assert "Gated words" in html(hub, "/ada/gated", "ada").text


def test_the_page_of_a_model(hub: Hub) -> None:
    text = html(hub, "/ada/net").text
    assert '<h2 id="card-a-small-network">A small network</h2>' in text
    assert '<a href="/ada/net/blob/main/docs/guide.md#card-use"' in text
    assert '<img src="/ada/net/resolve/main/figures/loss.png" alt="loss"' in text
    assert ">41</a> (F32)" in text
    assert "0.99125" in text
    assert '<a href="/datasets/ada/rows">ada/rows</a>' in text
    assert "/datasets/ada/hidden-rows" not in text, "private: like a dataset that does not exist"
    assert "export HF_ENDPOINT=http://testserver" in text
    assert "AutoModelForSequenceClassification.from_pretrained(&#34;ada/net&#34;, trust_remote_code=True)" in text
    assert "hf download ada/net<" in text
    assert "git clone http://testserver/ada/net<" in text
    assert "Models trained on it" in html(hub, "/datasets/ada/rows").text
    assert "load_dataset(&#34;ada/rows&#34;, &#34;hard&#34;)" in html(hub, "/datasets/ada/rows").text


def test_the_tabs_are_those_of_the_table(hub: Hub) -> None:
    text = html(hub, "/ada/net/tree/v1").text
    for tab in TABS:
        assert tab.is_shown is not None or (f">{tab.title}</a>" in text) is ("model" in tab.repo_types)
    assert '<a href="/ada/net/commits/v1">History</a>' in text


def test_files(hub: Hub) -> None:
    text = html(hub, "/ada/net/tree/main").text
    assert '<a class="folder-name" href="/ada/net/tree/main/docs"><bdi>docs</bdi>/</a>' in text
    assert "Change the bound" in text
    assert '<a href="/ada/net/resolve/main/model.py" download' in text
    assert "Texts of this <em>folder</em>" in html(hub, "/ada/net/tree/main/docs").text
    code = html(hub, "/ada/net/blob/main/model.py").text
    assert 'id="L5"' in code
    assert '<span class="k">return</span>' in code
    moved = html(hub, "/ada/net/blob/main/docs")
    assert (moved.status_code, moved.headers["location"]) == (307, "/ada/net/tree/main/docs")


def test_views_of_files(hub: Hub) -> None:
    weights = html(hub, "/ada/net/blob/main/model.safetensors").text
    assert "41 parameters in 3 tensors: 41 of F32" in weights
    assert "<td>8 × 4</td>" in weights
    assert "<td>scalar</td>" in weights
    rows = html(hub, "/ada/net/blob/main/rows.csv").text
    assert "<tr><td>B,E</td><td>R</td></tr>" in rows
    assert "2 rows." in rows
    lines = html(hub, "/ada/net/blob/main/rows.jsonl").text
    assert "<tr><td>BE</td><td></td><td>[1, 2]</td></tr>" in lines
    notebook = html(hub, "/ada/net/blob/main/notebook.ipynb").text
    assert "A <em>notebook</em>." in notebook
    assert '<pre class="output-text" tabindex="0">2\n</pre>' in notebook
    assert "It is not a text." in html(hub, "/ada/net/blob/main/binary.bin").text
    assert "This file is empty." in html(hub, "/ada/net/blob/main/empty.txt").text


def test_marks_of_large_files_and_scans(hub: Hub) -> None:
    pytest.importorskip("picklescan")
    import hashlib
    from importlib.metadata import version

    repo = hub.make("bob/marks", **{"x.pkl": b"cposix\nsystem\n."})
    store = hub.store
    entry = store.revisions.entry(repo, store.revisions.resolve(repo, "main"), "x.pkl")
    account = store.accounts.find("bob")
    assert entry is not None
    assert account is not None
    content = b"large" * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    writer = store.blobs.begin()
    writer.write(content)
    writer.finish(sha256, len(content), account)
    large = [AddLarge("large.bin", sha256, len(content))]
    store.commits.create(repo, "main", large, expected_parent=None, author="bob", title="large", uploader=account)
    store.scans.keep(entry.oid, ".pkl", f"picklescan {version('picklescan')}", "suspicious")
    text = html(hub, "/bob/marks/tree/main").text
    assert "suspicious pickle" in text
    assert ">LFS</span>" in text
    assert sha256 in html(hub, "/bob/marks/blob/main/large.bin").text
    assert "suspicious pickle" in html(hub, "/bob/marks/blob/main/x.pkl").text
    store.repos.delete(repo)


def test_history(hub: Hub) -> None:
    text = html(hub, "/ada/net/commits/main").text
    assert "3 commits of" in text
    head = re.findall(r'href="/ada/net/commit/(\w{40})"', text)[0]
    shown = html(hub, f"/ada/net/commit/{head}").text
    assert "1 removed, 1 changed" in shown
    assert '<span class="diff-removed">-    return x &lt; 1\n</span>' in shown
    first = re.findall(r'href="/ada/net/commit/(\w{40})"', text)[-1]
    assert ".gitattributes" in html(hub, f"/ada/net/commit/{first}").text
    compared = html(hub, f"/ada/net/compare?from={first}&to=main").text
    assert "added" in compared
    assert "no changes" in html(hub, "/ada/net/compare?from=v1&to=main").text


def test_the_history_of_a_file(hub: Hub) -> None:
    assert 'href="/ada/net/commits/main/model.py">History</a>' in html(hub, "/ada/net/blob/main/model.py").text
    text = html(hub, "/ada/net/commits/main/model.py").text
    titles = re.findall(r'class="item-name"><a [^>]*><bdi>([^<]*)</bdi>', text)
    assert titles == ["Change the bound", "files"]
    assert len(re.findall(r'href="/ada/net/blob/\w{40}/model.py"', text)) == 2
    text = html(hub, "/ada/net/commits/main/a.txt").text
    assert re.findall(r'class="item-name"><a [^>]*><bdi>([^<]*)</bdi>', text) == titles
    assert text.count("<span>deleted</span>") == 1
    assert "files" in html(hub, "/ada/net/commits/main/docs").text
    for path, status in (("commits/main/absent.txt", 404), ("commits/absent/model.py", 404), ("commits/main/..", 404)):
        assert html(hub, f"/ada/net/{path}").status_code == status
    assert html(hub, "/ada/net/commits/main/model.py?cursor=x").status_code == 400
    assert html(hub, "/ada/secret/commits/main/README.md").status_code == 401


def test_the_history_of_a_file_has_pages(hub: Hub) -> None:
    repo = hub.make("bob/often")
    account = hub.store.accounts.find("bob")
    assert account is not None
    for number in range(65):
        change = [AddSmall("often.txt" if number % 2 else "other.txt", f"{number}".encode())]
        hub.store.commits.create(
            repo, "main", change, expected_parent=None, author="bob", title=f"change {number}", uploader=account
        )
    text = html(hub, "/bob/often/commits/main/often.txt").text
    url = re.findall(r'rel="next" href="([^"]*)"', text)[0]
    second = html(hub, url).text
    titles = re.findall(r"<bdi>change (\d+)</bdi>", text + second)
    assert list(map(int, titles)) == list(range(63, 0, -2))
    assert 'rel="next"' not in second
    hub.store.repos.delete(repo)


def test_a_folder_is_filtered_by_name(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    names = lambda text: re.findall(r"<td><a [^>]*><bdi>([^<]*)</bdi>", text)  # noqa: E731
    text = html(hub, "/ada/net/tree/main").text
    assert '<label for="name">Name contains</label>' in text
    assert names(html(hub, "/ada/net/tree/main?name=ROWS").text) == ["rows.csv", "rows.jsonl"]
    assert names(html(hub, "/ada/net/tree/main?name=oc").text) == ["docs"]
    assert "Name contains" not in html(hub, "/ada/net/tree/main/docs").text
    assert names(html(hub, "/ada/net/tree/main/docs?name=guide").text) == ["guide.md"]
    nothing = html(hub, "/ada/net/tree/main?name=%3Cb%3E")
    assert (nothing.status_code, "No name in this folder contains" in nothing.text) == (200, True)
    assert "&lt;b&gt;" in nothing.text
    monkeypatch.setattr("seqhub.server.pages.files.TREE_PAGE", 1)
    first = html(hub, "/ada/net/tree/main?name=rows").text
    url = re.findall(r'rel="next" href="([^"]*)"', first)[0].replace("&amp;", "&")
    assert names(first) + names(html(hub, url).text) == ["rows.csv", "rows.jsonl"]
    monkeypatch.setattr("seqhub.server.store.revisions._SCANNED", 3)
    first = html(hub, "/ada/net/tree/main?name=rows").text
    assert "No name among the first entries" in first
    assert 'rel="next"' in first


def test_a_long_text_is_shown_in_parts(hub: Hub) -> None:
    lines = [f"line {number} of a long text" for number in range(5000)]
    repo = hub.make("bob/long", **{"long.txt": "\n".join(lines).encode(), "one.txt": b"x" * 100_000})
    seen: list[str] = []
    url: str | None = "/bob/long/blob/main/long.txt"
    while url:
        text = html(hub, url).text
        seen += re.findall(r'<span class="line-text">(line \d+ of a long text)\n', text)
        numbers = [int(number) for number in re.findall(r'id="L(\d+)"', text)]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[-1] == len(seen)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        url = following[1].replace("&amp;", "&") if following else None
    assert seen == lines
    assert html(hub, "/bob/long/blob/main/one.txt").status_code == 200
    hub.store.repos.delete(repo)


def test_lists_filter_sort_and_page(hub: Hub) -> None:
    made = []
    for number in range(65):
        card = f"---\npipeline_tag: {'fill-mask' if number % 2 else 'translation'}\nlicense: mit\n---\n"
        made.append(hub.make(f"bob/many-{number:02}", **{"README.md": card.encode()}))
    seen: list[str] = []
    url: str | None = "/models?q=many&task=fill-mask&sort=updated"
    pages = 0
    while url:
        text = html(hub, url).text
        seen += re.findall(r'href="/bob/(many-\d+)"', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        url = following[1].replace("&amp;", "&") if following else None
        pages += 1
    assert seen == [f"many-{number:02}" for number in range(63, 0, -2)]
    assert pages == 2
    for query in ("license=mit", "author=bob", "q=MANY-03", "tag=translation"):
        assert "/bob/many-" in html(hub, f"/models?{query}").text
        assert "/ada/net" not in html(hub, f"/models?{query}").text
    assert "No models match." in html(hub, "/models?q=many&license=apache-2.0").text
    for repo in made:
        hub.store.repos.delete(repo)


def test_an_empty_hub_says_how_to_push_to_it(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from seqhub.server.app import create_app
    from seqhub.server.store import Store

    store = Store(tmp_path)
    client = TestClient(create_app(store), base_url="http://hub.lab:8080")
    for path in ("/", "/models", "/datasets"):
        text = client.get(path, headers={"Accept": "text/html"}).text
        assert "Push the first" in text
        assert "export HF_ENDPOINT=http://hub.lab:8080" in text
    store.close()


def test_a_server_prepares_for_the_first_pages(tmp_path: Path) -> None:
    environment.cache_clear()
    with running(tmp_path):
        for thread in threading.enumerate():
            if thread.name == "seqhub-warm":
                thread.join(60)
        found = environment()
        assert found.cache is not None
        assert len(found.cache) == len(found.list_templates()) >= 20


def test_static_files_are_kept_for_a_year(hub: Hub) -> None:
    url = re.search(r'href="(/-/static/\w+/style.css)"', html(hub, "/").text)
    assert url is not None
    for encoding in ("gzip", "identity"):
        answer = hub("GET", url[1], None, headers={"Accept-Encoding": encoding})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert answer.headers.get("content-encoding") == (encoding if encoding == "gzip" else None)
        assert answer.text.startswith(":root")
    for wrong in ("/-/static/0000/style.css", url[1].replace("style.css", "../templating.py"), f"{url[1]}x"):
        assert hub("GET", wrong, None).status_code == 404


def test_a_page_is_sent_once(hub: Hub) -> None:
    answer = html(hub, "/ada/net")
    again = html(hub, "/ada/net", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert html(hub, "/ada/net", headers={"If-None-Match": '"other"'}).status_code == 200
    plain: Any = html(hub, "/ada/net", headers={"Accept-Encoding": "identity"})
    assert plain.text == answer.text
    assert "content-encoding" not in plain.headers


def test_a_moved_repository_redirects_to_its_page(hub: Hub) -> None:
    repo = hub.make("ada/old-name")
    hub.store.repos.move(repo, "ada/new-name")
    moved = html(hub, "/ada/old-name/blob/main/a.txt")
    assert (moved.status_code, moved.headers["location"]) == (307, "/ada/new-name/blob/main/a.txt")
    hub.store.repos.delete(repo)
