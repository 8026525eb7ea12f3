"""Page of a benchmark over HTTP: colours, sizes, choices, broken and foreign files."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from seqhub.experiments.bench import summary
from seqhub.experiments.bench.grid import RECIPE
from seqhub.records.bench import BenchRecord, CellRecord
from seqhub.server.pages import bench_file
from seqhub.server.pages.bench_file import BenchFileError, read_rows
from seqhub.server.types import Repo
from tests.server.pages.conftest import html
from tests.server.pages.test_security import MARKS, assert_harmless
from tests.server.routes.conftest import Hub

PAGE = "/datasets/bob/results/-/bench/main"
TASKS = ("parity/every", "copying/len40", "qrsu/easy")
MODELS = ("lstm", "gru", "transformers:llama")
LENGTHS = {"test": 40.0, "x2": 80.0, "x4": 160.0}


def cell(
    stage: str, task: str, model: str, result: dict[str, Any] | None, reason: str = "", **given: Any
) -> CellRecord:
    """Return a cell with a result, or one that failed or diverged, with some settings."""
    settings: dict[str, Any] = {
        **{"stage": stage, "task": task, "data": "d", "model": model, "code": None, "params": 5000, "recipe": RECIPE},
        **{"sized_model": f"{model}?hidden_size=32", "budget": 20_000, "learning_rate": 0.003, "seed": 0, "rows": 100},
        **{"distribution": None, "version": 1, **given},
    }
    status = "finished" if result else "diverged" if stage == "seeds" else "failed"
    return CellRecord(settings=settings, status=status, reason=reason, result=result or {})  # type: ignore[arg-type]


def evaluated(score: float, length: float = 40.0) -> dict[str, Any]:
    accuracy = 0.5 + score / 2
    return {
        **{"accuracy": accuracy, "chance": 0.5, "score": score, "loss": 0.1, "examples": 100},
        **{"length": [1, int(length)], "mean_length": length, "digest": "x"},
    }


def record() -> BenchRecord:
    """Return a benchmark with all kinds of cells: solved, at chance, diverged, failed, and not tested."""
    cells = []
    of_probe: dict[str, Any] = {"budget": None, "seed": None, "rows": None, "learning_rate": None}
    for place, model in enumerate(MODELS):
        for number, task in enumerate(TASKS):
            if (model, task) == ("gru", "qrsu/easy"):
                cells.append(cell("probe", task, model, None, "<b>out of memory</b>", **of_probe))
                continue
            state = [64, 16_384] if model == "transformers:llama" else [32 * (1 + place)] * 2
            probe = {
                **{"sized_model": f"{model}?hidden_size=32", "parameters": 5040 + 10 * number, "core_parameters": 5000},
                **{"state_floats": state, "ms_per_token": 0.001 * (place + 1), "evaluate_ms_per_token": 0.001},
                "native": place == 0,
            }
            cells.append(cell("probe", task, model, probe, **of_probe))
            for seed in range(3):
                if (model, task, seed) == ("lstm", "copying/len40", 2):
                    cells.append(cell("seeds", task, model, None, "the loss is not finite", seed=seed))
                    continue
                score = max(0.0, 1.0 - 0.2 * place - 0.1 * number * seed)
                run = {"sequences": 500, "tokens": 20_000, "solved_at": 9_000 if score > 0.98 else None, "native": True}
                cells.append(cell("seeds", task, model, evaluated(score) | run, seed=seed))
                for name in ("x2", "x4") if task != "qrsu/easy" else ():
                    if (model, name) != ("transformers:llama", "x4"):
                        longer = evaluated(score / 2, LENGTHS[name])
                        cells.append(cell("lengths", task, model, longer, seed=seed, distribution=name))
    return summary.bench_record(cells, {})


@pytest.fixture(scope="module")
def repo(hub: Hub) -> Iterator[Repo]:
    made = hub.make("bob/results", "dataset", **{"bench.json": record().text().encode()})
    yield made
    hub.store.repos.delete(made)


def cells_of(text: str) -> dict[str, list[str]]:
    """Return the texts of the cells of the first table, by model."""
    table = text.split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    found = {}
    for row in table.split("</tr>")[:-1]:
        name, *cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        found[re.sub("<.*?>", "", name)] = [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in cells]
    return found


def heads_of(text: str) -> dict[str, str]:
    """Return the links in the heads of the first table."""
    head = text.split("<thead>", 1)[1].split("</thead>", 1)[0]
    links = re.findall(r'<a href="([^"]*)">(.*?)</a>', head)
    return {re.sub("<.*?>|[↑↓ ]", "", title): url.replace("&amp;", "&") for url, title in links}


def test_the_table_has_medians_solved_seeds_and_sizes(hub: Hub, repo: Repo) -> None:
    text = assert_harmless(html(hub, PAGE))
    assert f'href="{PAGE}" aria-current="page">Benchmark</a>' in text
    found = cells_of(text)
    assert set(found) == set(MODELS)
    # On x4 only two of three models were tested, so that parity and copying are compared on x2.
    tasks = [title for title in heads_of(text) if "/" in title]
    assert tasks == sorted(TASKS)
    lstm = dict(zip(tasks, found["lstm"], strict=False))
    assert lstm == {"parity/every": "0.50 0/3", "copying/len40": "0.45 0/3", "qrsu/easy": "0.80 1/3"}
    assert found["lstm"][3:] == ["5000–5100", "32", "0.001"]
    assert found["gru"][tasks.index("qrsu/easy")] == "failed"
    assert found["transformers:llama"][3:] == ["5000–5100", "64→16k", "0.003"]
    assert text.count("x2, 80 steps") == 2
    assert text.count("test, 40 steps") == 1
    assert re.search(r'class="heat-cell heat-8">0\.80 ', text)
    assert "gru</bdi> on <bdi>qrsu/easy</bdi>, <bdi>probe</bdi>: <bdi>&lt;b&gt;out of memory" in text
    assert "seed 2, diverged" in text
    assert "5,000 parameters, 20,000 training tokens" in text


def test_the_rows_and_groups_are_those_of_the_commands(hub: Hub) -> None:
    given = record()
    other = [row | {"params": None, "budget": 7, "seeds": [1]} for row in given.rows[:3]]
    more = [row | {"seeds": [0, 1, 2, 3, 4]} for row in given.rows[2:4]]
    empty = [row | {"budget": 0, "model": "absent"} for row in given.rows[:2]]
    for rows in (given.rows, [*given.rows, *other], [*more, *given.rows, *empty], empty, [*other, *given.rows[:5]]):
        raw = json.dumps({"format": 1, "rows": rows}).encode()
        read = read_rows(raw, is_whole=True)
        assert [(row.task, row.model) for row in read] == [(row["task"], row["model"]) for row in rows]
        wanted = summary.groups(rows)
        found = bench_file.groups(read)
        assert [(each.title, each.slug) for each in found] == [(str(each), each.slug) for each in wanted]
        for members, expected in zip(found.values(), wanted.values(), strict=True):
            assert [members_key(row) for row in members] == [
                (row["task"], row["model"], len(row["seeds"]), row["budget"]) for row in expected
            ]
            assert bench_file.longest_common(members) == summary.compared_distributions(expected)


def members_key(row: bench_file.BenchRow) -> tuple[Any, ...]:
    return row.task, row.model, row.seeds, row.budget


def test_rows_are_sorted_by_every_column(hub: Hub, repo: Repo) -> None:
    heads = heads_of(html(hub, PAGE).text)
    assert len(heads) == 1 + 3 + 3
    for title, url in heads.items():
        text = assert_harmless(html(hub, url))
        assert text.count("aria-sort=") == 1, title
        back = heads_of(text)[title]
        orders = [list(cells_of(each)) for each in (text, assert_harmless(html(hub, back)))]
        assert all(set(order) == set(MODELS) for order in orders)
        if title == "qrsu/easy":  # gru failed, and is last in both orders
            assert orders == [["lstm", "transformers:llama", "gru"], ["transformers:llama", "lstm", "gru"]]
        elif title in ("ms a token".replace(" ", ""), "State(floats)"):
            assert orders == [list(MODELS), list(reversed(MODELS))], title


def test_a_distribution_is_chosen_by_a_link(hub: Hub, repo: Repo) -> None:
    text = html(hub, PAGE).text
    links = dict(re.findall(r'<a href="([^"]*)"[^>]*><bdi>(test|x2|x4|Longest[^<]*)</bdi>', text))
    assert list(links.values()) == ["Longest that all models have", "test", "x2", "x4"]
    by_name = {name: url.replace("&amp;", "&") for url, name in links.items()}
    on_test = cells_of(assert_harmless(html(hub, by_name["test"])))
    assert on_test["lstm"][heads_index(text, "parity/every")] == "1.00 3/3"
    on_x4 = cells_of(assert_harmless(html(hub, by_name["x4"])))
    assert on_x4["transformers:llama"][:3] == ["not measured"] * 3
    assert on_x4["lstm"][heads_index(text, "qrsu/easy")] == "not measured"


def heads_index(text: str, title: str) -> int:
    return list(heads_of(text)).index(title) - 1


def test_one_task_has_all_its_results(hub: Hub, repo: Repo) -> None:
    text = assert_harmless(html(hub, f"{PAGE}?task=copying%2Flen40"))
    details = text.split('id="task"', 1)[1]
    found = cells_of(details)
    assert list(found) == sorted(f"{model}?hidden_size=32" for model in MODELS)
    lstm = found["lstm?hidden_size=32"]
    assert lstm[0] == "0.90 1/3 0.000 to 1.000"
    assert lstm[3:] == ["0.003", "9,000", "5,050", "32", "0.001", ""]
    assert found["transformers:llama?hidden_size=32"][2] == "not measured"
    assert "64 → 16,384" in details


def test_several_sizes_are_chosen_by_a_link(hub: Hub) -> None:
    rows = record().rows
    others = [row | {"params": None, "exceptions": {"batch_size": 64}} for row in rows]
    content = json.dumps({"format": 1, "rows": [*rows, *others]}).encode()
    repo = hub.make("bob/sizes", **{"bench.json": content})
    text = assert_harmless(html(hub, "/bob/sizes/-/bench/main?task=parity%2Fevery"))
    urls = dict(re.findall(r'<a href="([^"]*)"[^>]*><bdi>([^<]* training tokens)</bdi>', text))
    assert list(urls) == [f"/bob/sizes/-/bench/main?group={slug}" for slug in ("5000-20000", "own-20000")]
    text = assert_harmless(html(hub, "/bob/sizes/-/bench/main?group=own-20000&task=parity%2Fevery"))
    assert "own size of each model, 20,000 training tokens" in text
    assert "<bdi>batch_size</bdi>: <bdi>64</bdi>" in text
    hub.store.repos.delete(repo)


def test_permissions_and_absence(hub: Hub, repo: Repo) -> None:
    assert "Benchmark</a>" not in html(hub, "/ada/net").text
    assert "This repository has no bench.json" in assert_harmless(html(hub, "/ada/net/-/bench/main"))
    assert_harmless(html(hub, "/ada/secret/-/bench/main"), status=401)
    assert_harmless(html(hub, "/ada/gated/-/bench/main"), status=401)
    assert_harmless(html(hub, "/datasets/bob/results/-/bench/absent"), status=404)
    assert html(hub, PAGE, headers={"Accept": "*/*"}).status_code == 404
    for query in ("sort=a", "order=up", "on=x", "group=1", "task=x", "sort=score%3Ax"):
        text = assert_harmless(html(hub, f"{PAGE}?{query}"), status=400)
        assert "must be one of" in text


ROW = {
    **{"task": "a/b", "model": "m", "params": None, "budget": 1, "exceptions": {}, "seeds": [], "failed": {}},
    **{"diverged": {}, "distributions": {}},
}
SCORE = {"count": 1, "median": 1, "mean": 1, "least": 1, "most": 1}
RESULT = {
    **{"length": [1, 2], "mean_length": 1.5, "chance": 0.5, "seeds": 1, "solved": 1, "accuracy": SCORE},
    **{"score": SCORE, "failed": {}},
}
BROKEN: list[tuple[bytes, str]] = [
    (b"", "not valid JSON: it is not a JSON object"),
    (b"[]", "not valid JSON: it is not a JSON object"),
    (b"\xff\xfe", "not valid JSON"),
    (b'{"format": 1, "rows": [', "not valid JSON"),
    (b'{"format": 1 "rows": []}', "not valid JSON: it has no comma"),
    (b'{"format" 1}', "not valid JSON: it has no name of a field"),
    (b'{"rows": ' + b"[" * 100_000, "not valid JSON: nested too deep"),
    (b'{"rows": ' + b"[" * 900 + b"]" * 900 + b', "x": "\\ud800"}', "bench.json "),
    (b"{}", "has format None; this Hub shows format 1"),
    (b'{"format": 2, "rows": []}', "has format 2; this Hub shows format 1"),
    (b'{"format": "<script>", "rows": []}', "has format &#39;&lt;script&gt;&#39;"),
    (b'{"format": 1}', "has no list of rows"),
    (b'{"format": 1, "rows": {}}', "has no list of rows"),
    (b'{"format": 1, "rows": []}', "has no rows"),
    (b'{"format": 1, "rows": [1]}', "rows.0 is not an object"),
    (json.dumps({"format": 1, "rows": [ROW, ROW | {"budget": -1}]}).encode(), "rows.1.budget is missing or not valid"),
    (json.dumps({"format": 1, "rows": [{}] * 5001}).encode(), "5,001 rows; this Hub shows at most 5,000"),
]
WRONG: list[Any] = [None, True, -1, 1.5, 10**400, float("nan"), "", "x" * 5000, [], [None], {}, {"a": None}, *MARKS]


@pytest.mark.parametrize(("content", "reason"), BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_cannot_be_shown_says_why(hub: Hub, repo: Repo, content: bytes, reason: str) -> None:
    made = hub.make("bob/broken-bench", **{"bench.json": content})
    text = assert_harmless(html(hub, "/bob/broken-bench/-/bench/main"))
    hub.store.repos.delete(made)
    assert "The benchmark cannot be shown" in text
    assert reason in text
    assert len(text) < 10_000


def test_what_follows_the_rows_is_not_read(hub: Hub) -> None:
    raw = json.dumps({"format": 1, "grid": {}, "rows": [ROW], "cells": ["x"]}).encode()
    for cut in (raw, raw[:-10], raw[: raw.index(b'"cells"')]):
        assert len(read_rows(cut, is_whole=False)) == 1
    with pytest.raises(BenchFileError, match="no valid rows in its first 8,000,000 bytes"):
        read_rows(raw[:40], is_whole=False)


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_hostile_values(hub: Hub, repo: Repo, value: Any) -> None:
    """Every field is replaced in turn: the page shows the rest, or says which one is not valid."""
    row = ROW | {
        **{"sized_model": "m", "parameters": 1, "core_parameters": 1, "state_floats": [1, 2], "ms_per_token": 0.1},
        **{"learning_rate": 0.1, "tokens": SCORE, "distributions": {"test": RESULT, "x2": RESULT}},
    }
    row["failed"] = {"1": "reason"}
    changed = [row | {name: value} for name in row]
    changed += [row | {"distributions": {"test": RESULT | {name: value}}} for name in RESULT]
    changed += [row | {"distributions": {"test": RESULT | {"score": SCORE | {name: value}}}} for name in SCORE]
    name = value if isinstance(value, str) else "x"
    changed += [row | {field: {name: value}} for field in ("failed", "diverged", "exceptions", "distributions")]
    changed += [row | {"distributions": {name: RESULT}}]
    kept = [rows for rows in changed if is_readable(rows)]
    made = hub.make("bob/hostile-bench", **{"bench.json": json.dumps({"format": 1, "rows": kept}).encode()})
    text = assert_harmless(html(hub, "/bob/hostile-bench/-/bench/main"))
    for link in set(re.findall(r'href="(/bob/hostile-bench/-/bench/main\?[^"]*)"', text)):
        assert_harmless(html(hub, link.replace("&amp;", "&").replace("&#39;", "'")))
    hub.store.repos.delete(made)


def is_readable(row: dict[str, Any]) -> bool:
    try:
        return len(read_rows(json.dumps({"format": 1, "rows": [row]}).encode(), is_whole=True)) == 1
    except BenchFileError:
        return False


@pytest.mark.parametrize("mark", MARKS)
def test_hostile_queries(hub: Hub, repo: Repo, mark: str) -> None:
    for name in ("group", "on", "sort", "order", "task"):
        assert_harmless(html(hub, f"{PAGE}?{name}={quote(mark)}"), status=400)


def test_many_models_and_tasks_are_bounded(hub: Hub) -> None:
    results = {"test": RESULT, "x2": RESULT}
    rows = [
        ROW | {"task": f"t{n}/c", "model": f"m{m}", "distributions": results} for n in range(45) for m in range(110)
    ]
    made = hub.make("bob/many", **{"bench.json": json.dumps({"format": 1, "rows": rows}).encode()})
    text = assert_harmless(html(hub, "/bob/many/-/bench/main"))
    assert "Not shown: 10 models and 5 tasks." in text
    assert len(cells_of(text)) == 100
    assert len(text) < 600_000
    hub.store.repos.delete(made)
