"""Pages in Chromium: no console errors, no outside requests, WCAG 2.2 AA, phone width, no JavaScript needed.

`make pages-suite` installs what it needs and runs it; screenshots are written to the folder in PAGES_SUITE.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from seqhub.server.serve import Running, running
from seqhub.server.store import Store
from tests.server.pages import conftest
from tests.server.routes.conftest import Hub

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("PAGES_SUITE", "build/pages-suite")) / "package" / "axe.min.js"
SCREENSHOTS = os.environ.get("PAGES_SUITE")
ROOT = Path(__file__).parents[3]
MODEL, DATASET = "seqhub/qrsu-hard-lstm", "datasets/seqhub/adding"
PAGES = {
    "home": "/",
    "models": "/models",
    "models-filtered": "/models?q=lstm&task=text-classification&sort=updated",
    "datasets": "/datasets",
    "none": "/datasets?q=absent",
    "model": f"/{MODEL}",
    "dataset": f"/{DATASET}",
    "tree": "/ada/net/tree/main",
    "tree-filtered": "/ada/net/tree/main?name=rows",
    "folder": "/ada/net/tree/main/docs",
    "code": "/ada/net/blob/main/model.py#L3",
    "markdown": f"/{MODEL}/blob/main/README.md",
    "markdown-source": f"/{MODEL}/blob/main/README.md?source=1",
    "table": "/ada/net/blob/main/rows.jsonl",
    "notebook": "/ada/net/blob/main/notebook.ipynb",
    "weights": "/ada/net/blob/main/model.safetensors",
    "image": "/ada/net/blob/main/figures/loss.png",
    "drawing": "/ada/net/blob/main/figures/drawing.svg",
    "binary": "/ada/net/blob/main/binary.bin",
    "viewer": "/datasets/ada/texts/-/viewer/main?orderby=%22label%22&where=%22length%22%3E%3D5",
    "viewer-row": "/datasets/ada/texts/-/viewer/main?row=5",
    "commits": "/ada/net/commits/main",
    "commits-of-file": "/ada/net/commits/main/model.py",
    "commit": "/ada/net/commit/main",
    "compare": "/ada/net/compare?from=v1&to=main",
    "broken-card": "/ada/broken",
    "hostile-card": "/ada/hostile",
    "gated": "/ada/gated",
    "absent": "/ada/absent",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
}
HOSTILE = """---
license: mit
---
# A hostile card

<script>document.title = "run"</script><img src=a.txt onerror="document.title='run'">
<svg onload="document.title='run'"></svg>
<iframe src="https://outside.example/"></iframe><style>body { display: none }</style>
![outside](https://outside.example/tracker.png) <a href="javascript:document.title='run'">link</a>
<form action="https://outside.example/"><input name="q"><button>Send</button></form>
<video src="https://outside.example/v.mp4" autoplay></video><object data="https://outside.example/o"></object>
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("browser")
    with running(root) as started:
        store = started.store
        for name in ("ada", "bob", "seqhub"):
            store.accounts.create(name)
        hub = Hub(store, None, {})  # type: ignore[arg-type]  # it only makes repositories here
        conftest.fill(hub)
        rows = [f"{'BTX' * n} {n},{'QR'[n % 2]},{n},{n / 7}\n" for n in range(120)]
        hub.make("ada/texts", "dataset", **{"train.csv": ("text,label,length,score\n" + "".join(rows)).encode()})
        hub.make("ada/broken", **{"README.md": b"---\nlicense: [mit\ntags: {a: b\n---\n# A card with broken YAML\n"})
        hub.make("ada/hostile", **{"README.md": HOSTILE.encode()})
        gated = hub.make("ada/gated", **{"README.md": b"---\nlicense: mit\n---\n# Gated"})
        store.repos.update(gated, gated="manual")
        for path in sorted((ROOT / "seqhub" / "pretrained_models").glob("*/README.md"))[:40]:
            weights = conftest.safetensors({"rnn.weight_ih_l0": [32, 8], "rnn.weight_hh_l0": [32, 8]})
            files = {"README.md": path.read_bytes(), "model.safetensors": weights}
            hub.make(f"seqhub/{path.parent.name}", **files)
        for path in sorted((ROOT / "dataset_scripts" / "cards").glob("*.md"))[:40]:
            hub.make(f"seqhub/{path.stem}", "dataset", **{"README.md": path.read_bytes()})
        yield started


@dataclass(frozen=True)
class Opened:
    """Page that is open in the browser, with the problems that it reported."""

    page: Any
    errors: list[str]
    outside: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--no-proxy-server"]
        launched = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Opened]:
    context = browser.new_context(**options)
    page = context.new_page()
    found = Opened(page, [], [])
    page.on("console", lambda message: found.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    host = urlsplit(url).netloc
    page.on(
        "request",
        lambda request: None if urlsplit(request.url).netloc in (host, "") else found.outside.append(request.url),
    )
    page.goto(url, wait_until="load")
    yield found
    context.close()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PAGES)
def test_page(server: Running, browser: Any, name: str, variant: str) -> None:
    with opened(browser, server.url + PAGES[name], **VARIANTS[variant]) as found:
        page = found.page
        if SCREENSHOTS:
            page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}-{variant}.png"), full_page=True)
        # The status of an error page is an error in the console.
        assert [error for error in found.errors if name != "absent" or "status of 401" not in error] == []
        assert found.outside == []
        assert page.title() != "run"
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels wider than the screen"
        if AXE.exists():
            # Debuggers may run scripts in spite of the Content-Security-Policy.
            page.evaluate(AXE.read_text())
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
            result = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", tags)
            problems = [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in result["violations"]]
            assert problems == []


def test_pages_need_no_javascript(server: Running, browser: Any) -> None:
    for name, path in PAGES.items():
        texts = []
        for is_on in (True, False):
            with opened(browser, server.url + path, java_script_enabled=is_on) as found:
                buttons = found.page.locator(".copy-button").count() if is_on else 0
                text = found.page.locator("main").inner_text().replace("Copy\n", "").replace("\nCopy", "")
                texts.append(" ".join(text.split()))
                assert buttons > 0 or name not in ("home", "model", "dataset") or not is_on
        assert texts[0] == texts[1], name


def test_a_visitor_finds_and_uses_a_model(server: Running, browser: Any) -> None:
    with opened(browser, server.url, permissions=["clipboard-read", "clipboard-write"]) as found:
        page = found.page
        page.get_by_role("searchbox").fill("qrsu-hard")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name=MODEL).click()
        assert page.url == f"{server.url}/{MODEL}"
        page.get_by_text("Use this model").click()
        if SCREENSHOTS:
            page.screenshot(path=str(Path(SCREENSHOTS) / "usage-light.png"))
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == f"export HF_ENDPOINT={server.url}"
        page.get_by_role("link", name="Files", exact=True).click()
        page.get_by_role("link", name="README.md", exact=True).click()
        assert page.get_by_role("heading", name="How to use it").is_visible()
        page.get_by_label("Repository").get_by_role("link", name="History").click()
        assert page.get_by_text("2 commits of").is_visible()
        assert found.errors == found.outside == []


def test_keyboard(server: Running, browser: Any) -> None:
    with opened(browser, f"{server.url}/{MODEL}") as found:
        page = found.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip-link"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_an_image_of_the_repository_is_shown(server: Running, browser: Any) -> None:
    with opened(browser, f"{server.url}/ada/net") as found:
        image = found.page.get_by_role("img", name="loss")
        image.scroll_into_view_if_needed()
        found.page.wait_for_function("document.querySelector('article img').complete")
        assert image.evaluate("image => image.naturalWidth") == 8
        drawing = found.page.get_by_role("img", name="drawing")
        drawing.scroll_into_view_if_needed()
        found.page.wait_for_function("document.querySelectorAll('article img')[1].complete")
        assert drawing.evaluate("image => image.naturalWidth") == 40


def test_an_svg_opened_by_itself_runs_no_script(server: Running, browser: Any) -> None:
    with opened(browser, f"{server.url}/ada/net/resolve/main/figures/drawing.svg") as found:
        assert found.page.locator("rect").evaluate("rect => getComputedStyle(rect).fill") == "rgb(0, 170, 0)"
        assert found.page.locator("svg").get_attribute("data-ran") is None
        assert any("script" in error.lower() for error in found.errors), "Chromium reports what it blocked"


def test_an_empty_hub(tmp_path: Path, browser: Any) -> None:
    with running(tmp_path) as started:
        for variant, options in VARIANTS.items():
            with opened(browser, started.url, **options) as found:
                assert found.page.get_by_role("heading", name="Push the first repository").is_visible()
                assert found.errors == []
                if SCREENSHOTS:
                    found.page.screenshot(path=str(Path(SCREENSHOTS) / f"empty-{variant}.png"), full_page=True)


def test_the_store_was_not_changed(server: Running) -> None:
    store: Store = server.store
    assert store.maintenance.fsck() == []
