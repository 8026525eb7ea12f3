"""Explorer, runs, benchmark and leaderboard in Chromium; skipped and run as `test_browser`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from seqhub.models import hs97, recurrent
from seqhub.models.tokenizer import symbol_tokenizer
from seqhub.server.pages import operator
from seqhub.server.serve import Running, running
from tests.server.pages import test_browser
from tests.server.pages.test_bench import record
from tests.server.pages.test_browser import AXE, SCREENSHOTS, VARIANTS, browser, opened
from tests.server.pages.test_leaderboard import card
from tests.server.pages.test_runs import history
from tests.server.routes.conftest import Hub

__all__ = ["browser"]

PAGES = {
    "explorer": "/ada/lstm/-/explorer/main",
    "explorer-hs97": "/ada/hs97/-/explorer/main",
    "runs": "/ada/lstm/-/runs/main",
    "runs-log": "/ada/lstm/-/runs/main?log=1&x=seconds&metric=loss",
    "bench": "/datasets/ada/results/-/bench/main",
    "bench-task": "/datasets/ada/results/-/bench/main?on=x2&sort=ms&task=copying%2Flen40",
    "operator": operator.PATH,
    "leaderboard": "/datasets/ada/rows/-/leaderboard",
    "leaderboard-all": "/datasets/ada/rows/-/leaderboard?show=all&sort=model",
}

pytestmark = test_browser.pytestmark


def files_of(folder: Path, model: Any) -> dict[str, bytes]:
    model.save_pretrained(folder)
    symbol_tokenizer("XYabcdBE").save_pretrained(folder)
    texts = ["BXabcdabYcE", "BYdcbaE"]
    (folder / "run.json").write_text(json.dumps({"probe": {"texts": texts}, "seed": 3, "num_parameters": 612}))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    torch.manual_seed(0)
    with running(tmp_path_factory.mktemp("figures")) as started:
        started.store.accounts.create("ada")
        hub = Hub(started.store, None, {})  # type: ignore[arg-type]  # it only makes repositories here
        labels = {"id2label": {0: "Q", 1: "R", 2: "S"}}
        lstm = recurrent.RecurrentForSequenceClassification(recurrent.RecurrentConfig(**labels, num_hidden_layers=2))
        files = files_of(tmp_path_factory.mktemp("lstm"), lstm)
        folders = {f"seed-{seed}/history.jsonl": history(60, seed) for seed in range(1, 5)}
        readme = card(0.99, dataset="ada/rows")
        hub.make("ada/lstm", **files, **folders, **{"history.jsonl": history(90), "README.md": readme})
        blocks = hs97.Hs97ForTokenClassification(hs97.Hs97Config(**labels, block_size=2))
        files = files_of(tmp_path_factory.mktemp("hs97"), blocks)
        hub.make("ada/hs97", **files, **{"README.md": card(0.75, dataset="ada/rows")})
        hub.make("ada/rows", "dataset")
        hub.make("ada/results", "dataset", **{"bench.json": record().text().encode()})
        yield started


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PAGES)
def test_page(server: Running, browser: Any, name: str, variant: str) -> None:
    options = VARIANTS[variant]
    if name == "operator":
        options = options | {"http_credentials": {"username": "any", "password": server.token("ada", "admin")}}
    with opened(browser, server.url + PAGES[name], **options) as found:
        page = found.page
        if name.startswith("explorer"):
            page.wait_for_selector("canvas")
            page.fill("#sequence-b", "BYabE")
        if SCREENSHOTS:
            page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}-{variant}.png"), full_page=True)
        assert found.errors == []
        assert found.outside == []
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels wider than the screen"
        if AXE.exists():
            page.evaluate(AXE.read_text())
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
            result = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", tags)
            problems = [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in result["violations"]]
            assert problems == []


def test_a_browser_sends_the_token_of_the_operator_to_his_page_only(server: Running, browser: Any) -> None:
    credentials = {"username": "any", "password": server.token("ada", "admin")}
    with opened(browser, server.url + operator.PATH, http_credentials=credentials) as found:
        assert found.page.get_by_role("heading", name="State of this Hub").is_visible()
        sent: list[Any] = []
        found.page.on("request", lambda request: sent.append(request))  # the library stores attributes on it
        for path in ("/", "/ada/lstm", "/-/operator/?page=2"):
            assert found.page.goto(server.url + path).status == 200
        with_token = {request.url for request in sent if "authorization" in request.all_headers()}
        assert with_token == {f"{server.url}/-/operator/?page=2"}
        assert len(sent) > 5


def test_the_explorer_follows_its_controls(server: Running, browser: Any) -> None:
    with opened(browser, server.url + PAGES["explorer"]) as found:
        page = found.page
        page.wait_for_selector("canvas")
        assert page.input_value("#sequence-a") == "BXabcdabYcE"
        assert page.text_content("#step-text") == "11 of 11"
        page.select_option("#examples", index=2)
        assert page.text_content("#step-text") == "7 of 7"
        page.click("#symbol-buttons button:has-text('X')")
        assert page.input_value("#sequence-a") == "BYdcbaEX"
        page.click("#back")
        assert page.text_content("#step-text") == "7 of 8"
        page.select_option("#quantity", label="Cell state, layer 1")
        assert "Cell state, layer 1" in page.text_content("figcaption")
        page.fill("#sequence-b", "BYdcbaE")
        assert page.text_content("h2:has-text('Difference')") == "Difference: first minus second"
        difference = page.locator("details", has_text="Largest difference")
        difference.locator("summary").click()
        assert set(difference.locator("tbody td:last-child").all_text_contents()) == {"0"}, "equal up to the end"
        page.fill("#sequence-b", "BYq")
        assert page.text_content("#problem-b") == 'Symbol "q" at position 2 is not in the vocabulary.'
        page.click("#play")
        page.wait_for_function("document.getElementById('step-text').textContent === '8 of 8'")
        assert found.errors == []


def test_the_charts_show_values_under_the_pointer(server: Running, browser: Any) -> None:
    with opened(browser, server.url + PAGES["runs"]) as found:
        page = found.page
        chart = page.locator(".chart").first
        chart.hover(position={"x": 200, "y": 50})
        assert "training sequences " in page.locator(".chart-values").first.text_content()
        chart.press("ArrowRight")
        assert "main: " in page.locator(".chart-values").first.text_content()
        assert found.errors == []
