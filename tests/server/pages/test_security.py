"""Hostile content of repositories: no script runs, no request leaves, and no page is an internal error."""

# ruff: noqa: E501  # tables are more readable in long lines

import json
import struct
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from seqhub.server.types import AddSmall, Repo
from tests.server.pages.conftest import html, safetensors
from tests.server.routes.conftest import Hub
from tests.server.routes.test_hostile_content import CARDS as YAML_CARDS

MARKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "'><iframe src=//outside.example>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
)
MARKDOWN = [
    "<script>alert(1)</script>",
    "<script src=https://outside.example/x.js></script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://outside.example/t.png' alt='\"><script>alert(1)</script>'>",
    "<img srcset='https://outside.example/t.png 1x' src='//outside.example/t.png'>",
    "![x](https://outside.example/t.png)",
    "![x](//outside.example/t.png)",
    "![x](\\\\outside.example\\t.png)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "![x](../../../../etc/passwd)",
    "[x](javascript:alert(1))",
    "<a href='jAvAsCrIpT:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='&#106;avascript&colon;alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:alert(1)'>x</a>",
    "<a href='//outside.example'>x</a><a href='/\\outside.example'>y</a><a href='\\\\outside.example'>z</a>",
    "<a href='http://[::1'>x</a><img src='http://[::1'>",
    "<https://outside.example/?a=\"onmouseover=alert(1)>",
    "<svg><script>alert(1)</script></svg><svg onload=alert(1)>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='https://outside.example/o'></object><embed src='https://outside.example/e'>",
    "<form action='https://outside.example'><input name=q autofocus onfocus=alert(1)><button formaction=javascript:x>",
    "<base href='https://outside.example/'><a href='x'>y</a>",
    "<meta http-equiv=refresh content='0;url=https://outside.example'><link rel=stylesheet href=https://outside.example>",
    "<style>@import url(https://outside.example/x.css); body{display:none}</style><p style='background:url(//o.example)'>",
    "<video src=https://outside.example/v autoplay></video><audio src=//outside.example/a></audio>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<div id=main class=site-header>spoof</div><span class='copy-button state-mark'>x</span>",
    "<template><script>alert(1)</script></template><noscript><img src=x onerror=alert(1)></noscript>",
    "<textarea><script>alert(1)</script>",
    "<!--><script>alert(1)</script>--> <![CDATA[<script>alert(1)</script>]]> <?php x ?>",
    "<body onload=alert(1)></main></html><h1>x",
    "<table background=//outside.example/x><td background=//outside.example/y onclick=alert(1)>x",
    "```html\"onload=alert(1)\n<script>alert(1)</script>\n```",
    "|a|\n|:-:|\n|<img src=x onerror=alert(1)>|",
    "[x]: javascript:alert(1) \"<script>\"\n\n[x]",
    "<b>" * 3000,
    "> " * 3000 + "x",
    "[" * 3000 + "](javascript:alert(1))" * 500,
    "\u202egnp.exe \u0000 \ud7ff \x1b[31m",
]  # fmt: skip


class Checker(HTMLParser):
    """Parser that collects everything through which a page could run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {
            "iframe",
            "object",
            "embed",
            "svg",
            "math",
            "style",
            "base",
            "video",
            "audio",
            "template",
            "textarea",
        }:
            self.problems.append(f"<{tag}>")
        for name, value in given.items():
            if name.startswith("on") or name in {"style", "srcset", "formaction", "background", "ping", "srcdoc"}:
                self.problems.append(f"{tag} {name}={value}")
            if name == "http-equiv":
                self.problems.append("meta refresh")
            if name in {"href", "action"} and not self.is_allowed(value, {"http", "https", "mailto"}):
                self.problems.append(f"{tag} {name}={value}")
        if tag in {"script", "link"} and not given.get("src", given.get("href", "")).startswith("/-/static/"):
            self.problems.append(f"<{tag}>")
        if tag == "form" and not given.get("action", "/").startswith("/"):
            self.problems.append("form")
        source = given.get("src", "/")
        if not (source.startswith("/") and not source.startswith(("//", "/\\"))) and not source.startswith(
            "data:image/p"
        ):
            self.problems.append(f"{tag} src={source}")
        if "id" in given:
            self.ids.append(given["id"])

    @staticmethod
    def is_allowed(url: str, schemes: set[str]) -> bool:
        parts = urlsplit(url)
        return parts.scheme in schemes or (
            not parts.scheme and not parts.netloc and not url.startswith(("//", "/\\", "\\"))
        )


def assert_harmless(answer: Any, *, status: int = 200, allowed: tuple[str, ...] = ()) -> str:
    assert answer.status_code == status, answer.text[-2000:]
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    text: str = answer.text
    checker = Checker()
    checker.feed(text)
    assert [found for found in checker.problems if found not in allowed] == []
    assert len(checker.ids) == len(set(checker.ids)), checker.ids
    return text


@pytest.fixture(scope="module")
def repo(hub: Hub) -> Iterator[Repo]:
    made = hub.make("bob/hostile")
    yield made
    hub.store.repos.delete(made)


def put(hub: Hub, repo: Repo, path: str, content: bytes, title: str = "t") -> None:
    account = hub.store.accounts.find("bob")
    assert account is not None
    hub.store.commits.create(
        repo, "main", [AddSmall(path, content)], expected_parent=None, author="bob", title=title, uploader=account
    )


@pytest.mark.parametrize("text", MARKDOWN, ids=range(len(MARKDOWN)))
def test_markdown(hub: Hub, repo: Repo, text: str) -> None:
    content = text.encode("utf-8", "replace")
    put(hub, repo, "README.md", content)
    put(hub, repo, "docs/page.md", content)
    cell = {"cell_type": "markdown", "source": text.split("|")}
    put(hub, repo, "n.ipynb", json.dumps({"cells": [cell]}).encode())
    for path in (
        "",
        "/blob/main/README.md",
        "/blob/main/docs/page.md",
        "/blob/main/README.md?source=1",
        "/commit/main",
    ):
        assert_harmless(html(hub, f"/bob/hostile{path}"))
    assert_harmless(html(hub, "/bob/hostile/blob/main/n.ipynb"))


@pytest.mark.parametrize("card", YAML_CARDS, ids=range(len(YAML_CARDS)))
def test_yaml(hub: Hub, repo: Repo, card: str) -> None:
    put(hub, repo, "README.md", f"---\n{card}\n---\n# Title".encode())
    assert "Title" in assert_harmless(html(hub, "/bob/hostile"))
    assert_harmless(html(hub, "/models"))


@pytest.mark.parametrize(
    "card",
    [
        "a: [1",
        "a: b: c",
        "\ttabs: 1",
        "- list",
        "just text",
        "a: &a [*a",
        "!!python/object/apply:os.system [x]",
        "&a " * 99,
    ],
)
def test_broken_yaml_is_shown_with_the_reason(hub: Hub, repo: Repo, card: str) -> None:
    put(hub, repo, "README.md", f"---\n{card}\n<script>alert(1)</script>\n---\n# Title".encode())
    text = assert_harmless(html(hub, "/bob/hostile"))
    assert "The metadata of this card cannot be read" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "Title" in text


@pytest.mark.parametrize("mark", MARKS)
def test_fields_of_cards(hub: Hub, repo: Repo, mark: str) -> None:
    names = ("license", "license_name", "pipeline_tag", "library_name", "tags", "datasets", "base_model", "language")
    fields: dict[str, Any] = dict.fromkeys(names, mark)
    metric = {"type": mark, "name": mark, "value": mark}
    result = {"task": {"type": mark}, "dataset": {"name": mark, "config": mark, "split": mark}, "metrics": [metric]}
    fields["model-index"] = [{"name": mark, "results": [result]}]
    fields["configs"] = [{"config_name": mark}]
    for value in (fields, {name: [value] for name, value in fields.items()}, {name: {"a": mark} for name in fields}):
        put(hub, repo, "README.md", f"---\n{json.dumps(value)}\n---\n{mark}".encode())
        put(hub, repo, "config.json", json.dumps({"auto_map": {mark: mark}, "architectures": [mark]}).encode())
        assert_harmless(html(hub, "/bob/hostile"))
        assert_harmless(html(hub, "/models"))


@pytest.mark.parametrize(
    "name",
    [
        *(mark.replace("/", "∕") for mark in MARKS),
        "a b#c?d=e&f.md",
        "ü\u202egnp.py",
        "%2e%2e%2f.txt",
        "x" * 200 + ".csv",
        "100%.ipynb",
    ],
)
def test_names_of_files(hub: Hub, repo: Repo, name: str) -> None:
    put(hub, repo, f"dir/{name}", b"text", title=name)
    put(hub, repo, f"{name}/README.md", b"text")
    for path in (
        "tree/main",
        "tree/main/dir",
        f"tree/main/{quote(name)}",
        f"tree/main/dir?name={quote(name)}",
        f"blob/main/dir/{quote(name)}",
        f"commits/main/dir/{quote(name)}",
        "commits/main",
    ):
        assert_harmless(html(hub, f"/bob/hostile/{path}"))
    assert_harmless(html(hub, "/bob/hostile/commit/main"))
    first = html(hub, "/bob/hostile/commits/main?cursor=0").text.split('href="/bob/hostile/commit/')[1][:40]
    assert_harmless(html(hub, f"/bob/hostile/compare?from={first}&to=main"))


def image(data: object) -> dict[str, Any]:
    return {"cell_type": "code", "source": "x", "outputs": [{"output_type": "display_data", "data": data}]}


NOTEBOOKS: list[Any] = [
    b"", b"[]", b"{", b'{"cells": {}}', b'{"cells": [1, null, "x", {}]}', b'{"cells": ' + b"[" * 5000, b"\xff\xfe",
    {"cells": [{"cell_type": "raw", "source": "<script>alert(1)</script>"}]},
    {"cells": [image({"text/html": "<script>alert(1)</script>", "application/javascript": "alert(1)"})]},
    {"cells": [image({"image/svg+xml": "<svg onload=alert(1)>"})]},
    {"cells": [image({"image/png": "\"><script>alert(1)</script>"})]},
    {"cells": [image({"image/png": "PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+"})]},
    {"cells": [image({"text/plain": ["<script>", "alert(1)"]})]},
    {"cells": [image({"text/plain": 5}), image([]), image(None)]},
    {"cells": [{"cell_type": "code", "source": {"a": 1}, "outputs": {"a": 1}, "execution_count": "<script>"}]},
    {"cells": [{"cell_type": "code", "source": "x", "outputs": [{"output_type": "stream", "text": "\x1b[31m<b>\x07"}]}]},
    {"cells": [{"cell_type": "code", "outputs": [{"output_type": "error", "traceback": ["<script>"], "ename": 1}, 5]}]},
    {"cells": [{"cell_type": "markdown", "source": ["![x](attachment:x.png) <img src=attachment:y.png>"]}]},
    {"cells": [{"cell_type": "code", "source": "x"}], "metadata": {"language_info": {"name": "<script>"}}},
]  # fmt: skip


@pytest.mark.parametrize("content", NOTEBOOKS, ids=range(len(NOTEBOOKS)))
def test_notebooks(hub: Hub, repo: Repo, content: Any) -> None:
    put(hub, repo, "n.ipynb", content if isinstance(content, bytes) else json.dumps(content).encode())
    text = assert_harmless(html(hub, "/bob/hostile/blob/main/n.ipynb"))
    assert "application/javascript" not in text or isinstance(content, bytes)
    assert_harmless(html(hub, "/bob/hostile/blob/main/n.ipynb?source=1"))
    assert_harmless(html(hub, "/bob/hostile/blob/main/n.ipynb?cell=99"))


TABLES = [
    *(mark.encode() for mark in MARKS), b"a,b\n1\n1,2,3\n", b"\0\0,\0\n", b'"unclosed\n' * 50, b"," * 5000, b"\xff\xfe\n", b"\n\n",
    b"a\rb\rc", b'"' + b"x" * 200_000, b"{}\n{}", b'{"a": NaN}\n{"a": 1e999}', b"[1]\n", b'{"<script>": "<script>"}\n',
    b'{"a": ' * 50 + b"1" + b"}" * 50, b'{"a": "' + b"x" * 100_000 + b'"}', json.dumps({f"c{n}": n for n in range(500)}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("content", TABLES, ids=range(len(TABLES)))
def test_tables(hub: Hub, repo: Repo, content: bytes) -> None:
    for name in ("t.csv", "t.tsv", "t.jsonl"):
        put(hub, repo, name, content)
        text = assert_harmless(html(hub, f"/bob/hostile/blob/main/{name}"))
        assert len(text) < 400_000


def header(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(raw)) + raw


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
WEIGHTS = [
    b"", b"\0" * 7, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 10**9) + b"{}", header(b"{"), header([1]), header({}),
    header({"a": 1}), header({"a": TENSOR | {"shape": [-1]}}), header({"a": TENSOR | {"shape": [2**62] * 16}}),
    header({"a": TENSOR | {"shape": [1.5]}}), header({"a": TENSOR | {"data_offsets": [8, 0]}}), header({"a": TENSOR | {"shape": None}}),
    header({"<script>alert(1)</script>": TENSOR | {"dtype": "<script>"}, "__metadata__": {"<b>": "<script>", "x": {"y": 1}}}),
    header({"a": TENSOR | {"shape": [1] * 5000}}), header(b'{"a": NaN}'), header({f"{n}": TENSOR for n in range(3000)}),
]  # fmt: skip


@pytest.mark.parametrize("content", WEIGHTS, ids=range(len(WEIGHTS)))
def test_weights(hub: Hub, repo: Repo, content: bytes) -> None:
    put(hub, repo, "model.safetensors", content)
    assert_harmless(html(hub, "/bob/hostile"))
    assert_harmless(html(hub, "/bob/hostile/blob/main/model.safetensors"))
    assert_harmless(html(hub, "/bob/hostile/blob/main/model.safetensors?tensor=200"))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


def test_svg_and_html_files_are_never_part_of_a_page(hub: Hub, repo: Repo) -> None:
    for name in ("x.svg", "x.html", "x.xml", "x.js", "x.png"):
        put(hub, repo, name, SVG)
        text = assert_harmless(html(hub, f"/bob/hostile/blob/main/{name}"))
        assert "onload" not in text or "&lt;" in text
        answer = html(hub, f"/bob/hostile/resolve/main/{name}")
        media_type = answer.headers["content-type"]
        assert media_type in ("text/plain; charset=utf-8", "image/svg+xml", "image/png")
        if media_type == "image/svg+xml":
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "sandbox;" in policy
            assert "script" not in policy


def test_raw_files_are_sandboxed(hub: Hub) -> None:
    """The middleware adds the headers to every response that does not have its own."""
    from starlette.testclient import TestClient

    from seqhub.server.metrics import Metrics
    from seqhub.server.middleware import Guard
    from seqhub.server.settings import Settings

    guarded = TestClient(Guard(hub.client.app, Settings(allowed_hosts=("testserver",)), Metrics()))
    accept = {"Accept": "text/html"}
    answer = guarded.get("/ada/net/resolve/main/model.py", headers=accept)
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    for path in ("/ada/net", "/ada/absent", "/absent/path/here"):
        page = guarded.get(path, headers=accept)
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize("mark", MARKS)
def test_queries(hub: Hub, mark: str) -> None:
    given = quote(mark, safe="")
    for path in (
        f"/models?q={given}&task={given}&license={given}&tag={given}&author={given}",
        f"/datasets?size={given}",
        f"/ada/net/tree/main?name={given}",
    ):
        assert_harmless(html(hub, path))
    for path in (f"/models?sort={given}", f"/models?cursor={given}", f"/ada/net/commits/main?cursor={given}"):
        assert_harmless(html(hub, path), status=400)
    for path in (
        f"/ada/net/commits/main/{given}",
        f"/ada/net/tree/{given}",
        f"/ada/net/compare?from={given}",
        f"/ada/net/blob/main/{given}",
    ):
        assert_harmless(html(hub, path), status=404)
    assert_harmless(html(hub, f"/{given.replace('%2F', '')}/x"), status=401)


def test_hidden_parameters_are_numbers(hub: Hub) -> None:
    for query in ("byte=-1", "line=x", "line=0", "byte=1e9", "byte=9999999999999999999"):
        assert_harmless(html(hub, f"/ada/net/blob/main/model.py?{query}"), status=400)
    assert_harmless(html(hub, "/ada/net/blob/main/model.py?byte=1000000&line=5"))
    content = safetensors({"w": [1]})
    assert len(content) > 8


def test_a_damaged_object_is_an_error_of_one_page(hub: Hub, repo: Repo) -> None:
    put(hub, repo, "README.md", b"# unique content of a damaged object")
    entry = hub.store.revisions.entry(repo, hub.store.revisions.resolve(repo, "main"), "README.md")
    assert entry is not None
    with hub.store.database.transaction() as connection:
        connection.execute("DELETE FROM objects WHERE repo = ? AND oid = ?", (repo.id, bytes.fromhex(entry.oid)))
    assert_harmless(html(hub, "/models"))
    assert_harmless(html(hub, "/bob/hostile/tree/main"))
    put(hub, repo, "README.md", b"# another")
    assert_harmless(html(hub, "/bob/hostile"))
