"""Hostile contents in Chromium: no script runs, no request leaves the machine, and no page is an internal error.

Each case is one content or name of a file that is written into a repository and opened; skipped and run as
`test_browser`.
"""

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqhub.server.serve import Running, running
from tests.server.pages import test_browser
from tests.server.pages.conftest import safetensors
from tests.server.pages.test_bench import BROKEN as BENCHES
from tests.server.pages.test_browser import browser, opened
from tests.server.pages.test_runs import HISTORIES
from tests.server.pages.test_security import MARKDOWN, MARKS, NOTEBOOKS, SVG, TABLES, WEIGHTS
from tests.server.routes.conftest import Hub
from tests.server.routes.test_hostile_content import CARDS as YAML_CARDS

__all__ = ["browser"]

pytestmark = test_browser.pytestmark

NAMES = [*(mark.replace("/", "∕") for mark in MARKS), "a b#c?d=e&f.md", "ü\u202egnp.py", "%2e%2e%2f.txt", "100%.ipynb"]
PARQUETS = ["names", "values", "nested", "bytes", "truncated", "empty", "text"]


def parquet(name: str) -> bytes:
    """Return a Parquet file with hostile names or values, or a broken one."""
    columns: dict[str, Any] = {mark: [1, 2] for mark in MARKS}
    if name == "values":
        columns = {"text": list(MARKS), "label": list(MARKS)}
    elif name == "nested":
        columns = {"a": [{mark: [mark] for mark in MARKS}], '"><script>': [[list(MARKS)]]}
    elif name == "bytes":
        columns = {"image": [{"bytes": SVG, "path": mark} for mark in MARKS], "raw": [mark.encode() for mark in MARKS]}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    content = written.getvalue()
    broken = {"truncated": content[:-10], "empty": b"", "text": b"PAR1 <script>alert(1)</script> PAR1"}
    return broken.get(name, content)


def card_of(mark: str) -> bytes:
    """Return a card with a hostile text in every field."""
    names = ("license", "pipeline_tag", "library_name", "tags", "datasets", "base_model", "language")
    fields: dict[str, Any] = dict.fromkeys(names, mark)
    dataset = {"type": "ada/board", "name": mark, "config": mark, "split": mark}
    metrics = [{"type": mark, "name": mark, "value": 0.5}]
    source = {"url": f"javascript:alert({mark})", "name": mark}
    fields["model-index"] = [{"name": mark, "results": [{"dataset": dataset, "metrics": metrics, "source": source}]}]
    return f"---\n{json.dumps(fields)}\n---\n{mark}".encode()


def as_bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def files_of(ending: str, contents: list[Any]) -> dict[str, bytes]:
    return {f"{number:03}{ending}": as_bytes(content) for number, content in enumerate(contents)}


def write(hub: Hub, groups: dict[str, list[str]]) -> None:
    """Create the repositories, and add the path of the page of each case to its group."""
    hub.make("ada/board", "dataset")
    files = {
        "markdown": files_of(".md", MARKDOWN),
        "notebooks": files_of(".ipynb", NOTEBOOKS),
        "tables": files_of(".csv", TABLES) | files_of(".jsonl", TABLES),
        "weights": files_of(".safetensors", WEIGHTS),
        "names": {name: b"# text" for name in NAMES},
    }
    for group, contents in files.items():
        hub.make(f"ada/{group}", **contents)
        groups[group] = [f"/ada/{group}/blob/main/{quote(name)}" for name in contents]
    groups["names"] += ["/ada/names/tree/main", "/ada/names/commit/main", "/ada/markdown/commit/main"]
    kinds = (".svg", ".html", ".xml", ".js", ".xhtml", ".png")
    hub.make("ada/documents", **{f"x{kind}": SVG for kind in kinds})
    groups["documents"] = [f"/ada/documents/blob/main/x{kind}" for kind in kinds]
    # Chromium saves the raw .xhtml as a file.
    groups["documents"] += [f"/ada/documents/resolve/main/x{kind}" for kind in kinds if kind != ".xhtml"]
    groups["yaml"] = []
    for number, text in enumerate(YAML_CARDS):
        hub.make(f"ada/yaml-{number}", **{"README.md": as_bytes(f"---\n{text}\n---\n# Title")})
        groups["yaml"].append(f"/ada/yaml-{number}")
    groups["fields"] = ["/models", "/datasets/ada/board/-/leaderboard?show=all"]
    for number, mark in enumerate(MARKS):
        hub.make(f"ada/fields-{number}", **{"README.md": card_of(mark), "model.safetensors": safetensors({mark: [2]})})
        groups["fields"] += [f"/ada/fields-{number}", f"/ada/fields-{number}/blob/main/model.safetensors"]
    groups["parquet"] = []
    for name in PARQUETS:
        hub.make(f"ada/parquet-{name}", "dataset", **{"train.parquet": parquet(name)})
        groups["parquet"].append(f"/datasets/ada/parquet-{name}/-/viewer/main")
    groups["rows"] = []
    for number, mark in enumerate(MARKS):
        rows = json.dumps({mark: mark, "text": mark, "list": [mark]}) + "\n"
        hub.make(f"ada/rows-{number}", "dataset", **{"train.jsonl": rows.encode() * 3})
        page = f"/datasets/ada/rows-{number}/-/viewer/main"
        groups["rows"] += [page, f"{page}?row=1", f"{page}?where={quote(mark)}", f"{page}?search={quote(mark)}"]
    groups["histories"] = []
    for number, content in enumerate(HISTORIES):
        hub.make(f"ada/runs-{number}", **{"history.jsonl": content, "run.json": content})
        groups["histories"].append(f"/ada/runs-{number}/-/runs/main")
    groups["benches"] = []
    for number, (content, _) in enumerate(BENCHES):
        hub.make(f"ada/bench-{number}", **{"bench.json": content})
        groups["benches"].append(f"/ada/bench-{number}/-/bench/main")
    given = [quote(mark, safe="") for mark in MARKS]
    groups["queries"] = [f"/models?q={text}&task={text}&tag={text}&sort={text}" for text in given]
    groups["queries"] += [f"/ada/names/tree/{text}?name={text}" for text in given]


GROUPS = (
    *("markdown", "notebooks", "tables", "weights", "names", "documents", "yaml", "fields", "parquet", "rows"),
    *("histories", "benches", "queries"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, list[str]]]]:
    groups: dict[str, list[str]] = {}
    with running(tmp_path_factory.mktemp("hostile")) as started:
        started.store.accounts.create("ada")
        write(Hub(started.store, None, {}), groups)  # type: ignore[arg-type]  # it only makes repositories here
        yield started, groups


def watched(page: Any) -> list[str]:
    """Return a list that receives the dialogs and windows that scripts of a page open."""
    problems: list[str] = []
    page.on("dialog", lambda dialog: (problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda popup: problems.append(f"window {popup.url}"))
    return problems


def test_a_script_and_a_request_would_be_noticed(site: tuple[Running, dict[str, list[str]]], browser: Any) -> None:
    with opened(browser, site[0].url, bypass_csp=True) as found:
        problems = watched(found.page)
        script = "document.body.innerHTML = '<img src=https://outside.example/x.png onerror=alert(1)>'"
        with found.page.expect_event("dialog"):
            found.page.evaluate(script)
        assert problems == ["dialog 1"]
        assert found.outside == ["https://outside.example/x.png"]


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_runs_and_nothing_leaves(site: tuple[Running, dict[str, list[str]]], browser: Any, group: str) -> None:
    server, groups = site
    with opened(browser, server.url) as found:
        page = found.page
        problems = watched(page)
        for path in groups[group]:
            found.errors.clear()
            found.outside.clear()
            answer = page.goto(server.url + path, wait_until="load")
            # A path that is not found, or a query that is not valid, is an error in the console.
            errors = [text for text in found.errors if not text.startswith("Failed to load resource") or "(5" in text]
            is_document = "/resolve/" in path  # Chromium reports what the policy of a raw file blocks
            if errors and not is_document:
                problems.append(f"{path}: {errors}")
            if found.outside:
                problems.append(f"{path}: requests {found.outside}")
            if answer is None or answer.status >= 500:
                problems.append(f"{path}: status {answer and answer.status}")
            if urlsplit(page.url).netloc != urlsplit(server.url).netloc:
                problems.append(f"{path}: leads to {page.url}")
            if page.evaluate("document.documentElement.dataset.ran || window.ran || ''"):
                problems.append(f"{path}: a script ran")
    assert problems == []


def test_there_are_at_least_60_cases(site: tuple[Running, dict[str, list[str]]]) -> None:
    assert set(site[1]) == set(GROUPS)
    assert sum(map(len, site[1].values())) >= 200
