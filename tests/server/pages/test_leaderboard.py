"""Leaderboard of a dataset: the page, the client's call, the table behind both, and who sees which model."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError

from seqhub.server.serve import running
from seqhub.server.store import Store, migrations
from seqhub.server.types import AddLarge, AddSmall, Delete, Repo
from tests.server.pages.conftest import html, safetensors
from tests.server.pages.test_security import MARKS, assert_harmless
from tests.server.routes.conftest import Hub
from tests.server.routes.test_hostile_content import CARDS as YAML_CARDS

PAGE = "/datasets/ada/board/-/leaderboard"
API = "/api/datasets/ada/board/leaderboard"


def card(value: object, *, metric: str = "accuracy", dataset: object = "ada/board", **fields: object) -> bytes:
    measured = {"type": metric, "name": metric.title(), "value": value}
    result = {"task": {"type": "x"}, "dataset": {"type": dataset, "name": "Board", "config": "hard", "split": "test"}}
    index = [{"name": "net", "results": [{**result, "metrics": [measured]}]}]
    return b"---\n" + yaml.safe_dump({"model-index": index, **fields}).encode() + b"---\n# Net\n"


def put(hub: Hub, repo: Repo, path: str, content: bytes | None, author: str = "ada", ref: str = "main") -> str:
    account = hub.store.accounts.find(author)
    assert account is not None
    change = Delete(path, is_folder=False) if content is None else AddSmall(path, content)
    done = hub.store.commits.create(
        repo, ref, [change], expected_parent=None, author=author, title="t", uploader=account
    )
    return str(done.oid)


@pytest.fixture
def board(hub: Hub) -> Iterator[dict[str, Repo]]:
    made = {
        "board": hub.make("ada/board", "dataset"),
        "best": hub.make("ada/best", **{"README.md": card(0.99), "run.json": b'{"seed": 7, "num_parameters": 1234}'}),
        "good": hub.make("bob/good", **{"README.md": card(0.8), "model.safetensors": safetensors({"w": [3, 5]})}),
        "tuned": hub.make("bob/tuned", **{"README.md": card(0.9, base_model="ada/best")}),
        "private": hub.make("ada/private-net", private=True, **{"README.md": card(1.0)}),
        "other": hub.make("ada/other", **{"README.md": card(0.5, dataset="ada/rows")}),
    }
    yield made
    for repo in made.values():
        hub.store.repos.delete(repo)


def models(text: str) -> list[str]:
    return re.findall(r'<tr><td class="number-cell">\d+</td><td><a href="/([\w/-]+)">', text)


def test_the_page_lists_models_with_seed_parameters_and_commit(hub: Hub, board: dict[str, Repo]) -> None:
    text = assert_harmless(html(hub, PAGE))
    assert f'href="{PAGE}" aria-current="page">Leaderboard</a>' in text
    assert models(text) == ["ada/best", "bob/tuned", "bob/good"]
    rows = re.findall(r"<tr><td.*?</tr>", text, re.DOTALL)
    assert '<td class="number-cell">0.99</td>' in rows[0]
    assert rows[0].endswith('<td class="number-cell">7</td><td class="number-cell">1,234</td></tr>')
    assert rows[2].endswith('<td class="number-cell"></td><td class="number-cell">15</td></tr>')
    assert f'href="/ada/best/commit/{hub.head(board["best"])}"' in rows[0]
    later = put(hub, board["best"], "a.txt", b"later")
    assert f"commit/{later}" not in html(hub, PAGE).text, "the commit is the one that wrote the card"
    claimed = put(hub, board["best"], "README.md", card(0.7))
    text = html(hub, PAGE).text
    assert models(text) == ["bob/tuned", "bob/good", "ada/best"]
    assert f'href="/ada/best/commit/{claimed}"' in text


def test_links_sort_and_filter(hub: Hub, board: dict[str, Repo]) -> None:
    put(hub, board["good"], "README.md", card(0.3, metric="loss"))
    put(hub, board["tuned"], "README.md", card(0.2, metric="loss"))
    text = assert_harmless(html(hub, PAGE))
    assert models(text) == ["bob/tuned", "bob/good"], "the group with the most models, the lowest loss first"
    everything = assert_harmless(html(hub, f"{PAGE}?show=all&sort=model"))
    assert models(everything) == ["ada/best", "bob/good", "bob/tuned"]
    for link in set(re.findall(rf'href="({re.escape(PAGE)}[^"]*)"', text + everything)):
        assert_harmless(html(hub, link.replace("&amp;", "&")))
    assert models(html(hub, f"{PAGE}?config=hard&split=test&metric=accuracy").text) == ["ada/best"]
    assert "No results match" in assert_harmless(html(hub, f"{PAGE}?config=absent"))
    assert models(html(hub, f"{PAGE}?show=all&sort=model&order=desc").text)[0] == "bob/tuned"
    for query in ("sort=wrong", "order=wrong", "page=0", "page=x"):
        assert html(hub, f"{PAGE}?{query}").status_code == 400


def test_private_models_are_seen_by_their_readers_only(hub: Hub, board: dict[str, Repo]) -> None:
    for who, sees in ((None, False), ("bob", False), ("ada", True)):
        for path in (PAGE, f"{PAGE}?show=all", f"{PAGE}?show=all&sort=date"):
            assert ("private-net" in html(hub, path, who).text) is sees
        assert ("ada/private-net" in hub("GET", API, who).text) is sees
    lonely = hub.make("bob/lonely", "dataset")
    put(hub, board["private"], "README.md", card(1.0, dataset="bob/lonely"))
    listed = "/api/datasets?filter=benchmark:official"
    assert "bob/lonely" not in hub("GET", listed, "bob").text
    assert "bob/lonely" in hub("GET", listed, "ada").text
    assert hub("GET", "/api/datasets/bob/lonely/leaderboard", "bob").status_code == 404
    assert hub("GET", "/api/datasets/bob/lonely/leaderboard", "ada").json()[0]["value"] == 1.0
    assert "No results yet" in html(hub, "/datasets/bob/lonely/-/leaderboard", "bob").text
    hub.store.repos.delete(lonely)
    for name in ("hidden-rows", "absent"):
        assert html(hub, f"/datasets/ada/{name}/-/leaderboard").status_code == 401
        assert hub("GET", f"/api/datasets/ada/{name}/leaderboard", "bob").status_code == 404


def test_a_gated_model_shows_its_result_but_no_facts_of_its_files(hub: Hub, board: dict[str, Repo]) -> None:
    hub.store.repos.update(board["best"], gated="manual")
    rows = re.findall(r"<tr><td.*?</tr>", html(hub, PAGE).text, re.DOTALL)
    assert rows[0].endswith('<td class="number-cell"></td><td class="number-cell"></td></tr>')
    assert "1,234" in html(hub, PAGE, "ada").text


def test_the_table_follows_the_files(hub: Hub, board: dict[str, Repo], tmp_path: Path) -> None:
    best, dataset = board["best"], board["board"]

    def of_best() -> list[tuple[str, float]]:
        found = hub.store.results.of_dataset(dataset, None, sort="config", descending=False, limit=100)
        return [(entry.file, entry.value) for entry in found if entry.model.id == best.id]

    assert of_best() == [("README.md", 0.99)]
    entry = {"dataset": {"id": "ada/board", "task_id": "easy"}, "value": 0.75, "notes": "one seed"}
    repeated = {"dataset": {"id": "ada/board", "task_id": "hard"}, "value": 0.99}
    for path in (".eval_results/a.yaml", ".eval_results/b.yml"):  # the same content twice in one commit
        put(hub, best, path, yaml.safe_dump([entry, repeated]).encode())
    assert of_best() == [(".eval_results/a.yaml", 0.75), (".eval_results/b.yml", 0.75), ("README.md", 0.99)]
    assert "one seed" in html(hub, f"{PAGE}?show=all").text
    for path in (".eval_results/deeper/c.yaml", "eval_results/d.yaml", ".eval_results/e.txt"):
        put(hub, best, path, yaml.safe_dump([entry]).encode())
    put(hub, best, ".eval_results/b.yml", None)
    assert of_best() == [(".eval_results/a.yaml", 0.75), ("README.md", 0.99)]
    hub.store.refs.create_branch(best, "draft", "main")
    put(hub, best, "README.md", card(0.1), ref="draft")
    assert of_best()[1] == ("README.md", 0.99)
    copy = hub.store.repos.duplicate(best, "bob/copy", private=False, author="bob")
    assert models(html(hub, PAGE).text) == ["ada/best", "bob/copy", "bob/tuned", "bob/good"]
    hub.store.repos.delete(copy)
    moved = hub.store.repos.move(dataset, "bob/moved-board")
    assert "ada/best" in html(hub, "/datasets/bob/moved-board/-/leaderboard").text
    assert "bob/moved-board" in hub("GET", "/api/datasets?filter=benchmark:official").text
    hub.store.repos.move(moved, "ada/board")
    put(hub, best, "README.md", None)
    assert of_best() == [(".eval_results/a.yaml", 0.75), (".eval_results/a.yaml", 0.99)]


def test_results_of_a_pull_request_count_when_it_is_merged(hub: Hub, board: dict[str, Repo]) -> None:
    path, content = ".eval_results/x.yaml", b"- {dataset: {id: ada/board, task_id: easy}, value: 0.25}"
    body = [("file", {"path": path, "content": content.decode(), "encoding": "utf-8"})]
    done = hub("POST", "/api/models/ada/best/commit/main?create_pr=1", "ada", content=_lines(body))
    assert done.status_code == 200
    assert "0.25" not in html(hub, f"{PAGE}?show=all").text
    number = done.json()["pullRequestUrl"].rpartition("/")[2]
    assert hub("POST", f"/api/models/ada/best/discussions/{number}/merge", "ada", json={}).status_code == 200
    assert '<td class="number-cell">0.25</td>' in html(hub, f"{PAGE}?show=all").text


def test_a_result_that_the_record_of_the_model_states_is_marked(hub: Hub, board: dict[str, Repo]) -> None:
    best = board["best"]
    weights, large = safetensors({"w": [3, 5]}), b"\0" * 300_000
    hashes = {"model.safetensors": weights, "large.bin": large, "config.json": b"{}"}
    record: dict[str, Any] = {
        "task": "board/hard",
        "seed": 7,
        "evaluation": {
            "test": {"accuracy": 0.99, "loss": 0.1},
            "easy/test": {"accuracy": 0.5, "loss": 10**400},
            "x": 1,
        },
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in hashes.items()},
    }
    for path, content in hashes.items():
        put(hub, best, path, content)

    def marked(record: object = record, value: object = 0.99, **changed: Any) -> bool:
        put(hub, best, "run.json", json.dumps(record).encode())
        put(hub, best, "README.md", card(value, **changed))
        text = assert_harmless(html(hub, f"{PAGE}?show=all"))
        rows = [row for row in re.findall(r"<tr><td.*?</tr>", text, re.DOTALL) if "/ada/best" in row]
        assert len(rows) == 1
        assert ("lists the files of the repository" in text) == ("recorded" in rows[0])
        return "recorded" in rows[0]

    assert marked()
    assert marked(value=0.1, metric="loss")
    assert not marked(value=0.98)
    assert not marked(metric="f1")
    assert not marked(record | {"task": "other/hard"})
    assert not marked(record | {"task": "board/easy", "evaluation": {"hard/test": {"accuracy": 0.98}}})
    assert marked(record | {"task": "board/easy", "evaluation": {"hard/test": {"accuracy": 0.99}}})
    for files in (
        {},
        None,
        [],
        {"config.json": record["files"]["config.json"]},
        {"model.safetensors": 5},
        dict.fromkeys(MARKS),
    ):
        assert not marked(record | {"files": files})
    for evaluation in (None, [], {"test": 0.99}, {"test": {"accuracy": True}}, {"test": {"accuracy": "0.99"}}):
        assert not marked(record | {"evaluation": evaluation})
    assert not marked([])
    assert not marked(record | {"files": record["files"] | {"absent.py": "0" * 64}})
    assert marked()
    for path, content in (("model.safetensors", safetensors({"w": [4]})), ("large.bin", b"\1" * 300_000)):
        put(hub, best, path, content)
        assert not marked(), path
        put(hub, best, path, hashes[path])
        assert marked(), path
    text = html(hub, f"{PAGE}?show=all").text
    assert text.count(">recorded<") == 2, "the others have no record"
    hub.store.repos.update(best, gated="manual")
    assert "recorded" not in html(hub, f"{PAGE}?show=all").text, "a visitor may not read its files"


def test_large_files_of_a_record_are_compared_by_their_hash(hub: Hub, board: dict[str, Repo]) -> None:
    account = hub.store.accounts.find("bob")
    assert account is not None
    content = safetensors({"w": [300, 500]})
    writer = hub.store.blobs.begin()
    writer.write(content)
    sha256, size = writer.finish(None, None, account)
    change = [AddLarge("model.safetensors", sha256, size)]
    hub.store.commits.create(
        board["good"], "main", change, expected_parent=None, author="bob", title="t", uploader=account
    )
    record = {"task": "board/hard", "evaluation": {"test": {"accuracy": 0.8}}, "files": {"model.safetensors": sha256}}
    put(hub, board["good"], "run.json", json.dumps(record).encode(), author="bob")
    assert ">recorded<" in assert_harmless(html(hub, PAGE))
    record["files"] = {"model.safetensors": "0" * 64}
    put(hub, board["good"], "run.json", json.dumps(record).encode(), author="bob")
    assert ">recorded<" not in assert_harmless(html(hub, PAGE))


def _lines(operations: list[tuple[str, dict[str, object]]]) -> str:
    return "\n".join(
        json.dumps({"key": key, "value": value}) for key, value in [("header", {"summary": "s"}), *operations]
    )


@pytest.mark.timeout(120)
def test_the_client_reads_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the server of the test is on this machine
    with running(tmp_path / "hub") as hub:
        api = HfApi(hub.url, token=hub.token("ada"))
        api.create_repo("ada/board", repo_type="dataset")
        api.create_repo("ada/unused", repo_type="dataset")
        with pytest.raises(HfHubHTTPError, match="has no leaderboard"):
            api.get_dataset_leaderboard("ada/board")
        for name, content in (("a", card(0.5)), ("b", card(0.75)), ("c", card(0.6, base_model="ada/a"))):
            api.create_repo(f"ada/{name}")
            api.upload_file(path_or_fileobj=content, path_in_repo="README.md", repo_id=f"ada/{name}")
        found = api.get_dataset_leaderboard("ada/board")
        assert [(entry.rank, entry.model_id, entry.value) for entry in found] == [(1, "ada/b", 0.75), (2, "ada/a", 0.5)]
        assert [found[0].filename, found[0].verified, found[0].author.username] == ["README.md", False, "ada"]
        assert len(api.get_dataset_leaderboard("ada/board", base_model_only=False)) == 3
        for benchmark in (True, "official"):
            assert [dataset.id for dataset in api.list_datasets(benchmark=benchmark)] == ["ada/board"]
        assert list(api.list_datasets(benchmark="other")) == []
        with pytest.raises(HfHubHTTPError):
            api.get_dataset_leaderboard("ada/absent")


def test_a_hub_without_the_table_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "hub"
    store = Store(root)
    account = store.accounts.create("ada")
    made = Hub(store, None, {})  # type: ignore[arg-type]
    dataset = made.make("ada/board", "dataset")
    eval_file = b"- {dataset: {id: ada/board, task_id: easy}, value: 0.25}"
    best = made.make("ada/best", **{"README.md": card(0.99), ".eval_results/x.yaml": eval_file})
    claimed = made.head(best)
    damaged = made.make("ada/damaged", **{".eval_results/y.yaml": b"- {dataset: {id: ada/board}, value: 0.5}"})
    put(made, best, "b.txt", b"later")
    wanted = store.results.of_dataset(dataset, account, limit=10)
    assert [(entry.value, entry.oid) for entry in wanted[:1]] == [(0.99, claimed)]
    store.close()
    with sqlite3.connect(root / "hub.sqlite3") as connection:
        connection.execute("DROP TABLE results")
        connection.execute("DELETE FROM objects WHERE repo = ? AND kind = 'blob'", (damaged.id,))
        before = migrations.STEPS.index(migrations._RESULTS)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (before,))
    connection.close()
    store = Store(root)
    found = store.results.of_dataset(dataset, account, limit=10)
    assert found == [entry for entry in wanted if entry.model.id == best.id]
    assert len(found) == 2
    store.close()


VALUES: list[Any] = [
    *MARKS, None, True, [0.5], {"a": 1}, float("nan"), float("inf"), -1e308, 10**400, "0.5", "", -0.0, 1e-320, 10**99,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_hostile_values(hub: Hub, board: dict[str, Repo], value: Any) -> None:
    put(hub, board["best"], "README.md", card(value))
    content = yaml.safe_dump([{"dataset": {"id": "ada/board", "task_id": value}, "value": value, "notes": value}])
    put(hub, board["best"], ".eval_results/x.yaml", content.encode())
    assert_harmless(html(hub, f"{PAGE}?show=all"))
    assert_harmless(html(hub, PAGE))
    for entry in hub("GET", f"{API}?base_model=false").json():
        assert isinstance(entry["value"], (int, float))


@pytest.mark.parametrize("mark", MARKS)
def test_hostile_names(hub: Hub, board: dict[str, Repo], mark: str) -> None:
    dataset = {"type": "ada/board", "name": mark, "config": mark, "split": mark}
    source = {"url": f"https://outside.example/{mark}", "name": mark}
    metrics = [{"type": mark, "name": mark, "value": 0.5}, {"type": {"a": mark}, "name": [mark], "value": 0.25}]
    results = [{"task": mark, "dataset": dataset, "metrics": metrics, "source": source}]
    index = [{"results": results}, {"results": [{"dataset": mark, "metrics": mark}]}, mark, {"results": mark}]
    for fields in (index, {"a": mark}, mark):
        text = yaml.safe_dump({"model-index": fields})
        put(hub, board["good"], "README.md", f"---\n{text}---\n".encode())
        entry = {"dataset": {"id": "ada/board", "task_id": mark}, "value": 1, "notes": mark, "source": {"url": mark}}
        put(hub, board["good"], ".eval_results/x.yaml", yaml.safe_dump([entry, mark, {"dataset": mark}]).encode())
        given = quote(mark)
        for query in ("", "?show=all", f"?config={given}&split={given}&metric={given}", f"?config={given}"):
            text = assert_harmless(html(hub, f"{PAGE}{query}"))
        for link in set(re.findall(rf'href="({re.escape(PAGE)}[^"]*)"', text)):
            assert_harmless(html(hub, link.replace("&amp;", "&").replace("&#39;", "'")))
        assert hub("GET", f"{API}?config={given}").status_code in (200, 404)


@pytest.mark.parametrize("text", YAML_CARDS, ids=range(len(YAML_CARDS)))
def test_hostile_files(hub: Hub, board: dict[str, Repo], text: str) -> None:
    put(hub, board["good"], ".eval_results/x.yaml", text.encode("utf-8", "replace"))
    put(hub, board["good"], "README.md", f"---\n{text}\n---\n".encode("utf-8", "replace"))
    assert_harmless(html(hub, f"{PAGE}?show=all"))


def test_large_files_and_many_results_are_bounded(hub: Hub, board: dict[str, Repo]) -> None:
    many = [{"dataset": {"id": "ada/board", "task_id": f"t{n}"}, "value": n} for n in range(600)]
    content = yaml.safe_dump(many).encode()
    put(hub, board["good"], ".eval_results/x.yaml", content)
    assert len(content) < 64 * 1024
    assert len(hub.store.results.of_dataset(board["board"], None, limit=10_000)) == 500 + 3
    text = assert_harmless(html(hub, f"{PAGE}?show=all"))
    assert len(models(text)) == 50
    assert len(text) < 200_000
    assert len(models(html(hub, f"{PAGE}?show=all&page=11").text)) == 3
    put(hub, board["good"], ".eval_results/x.yaml", content + b"#" * 64 * 1024)
    assert len(hub.store.results.of_dataset(board["board"], None, limit=10_000)) == 3
    files = [
        AddSmall(f".eval_results/{n}.yaml", f"- {{dataset: {{id: ada/board}}, value: {n}}}".encode()) for n in range(80)
    ]
    account = hub.store.accounts.find("bob")
    assert account is not None
    hub.store.commits.create(
        board["good"], "main", files, expected_parent=None, author="bob", title="t", uploader=account
    )
    assert len(hub.store.results.of_dataset(board["board"], None, limit=10_000)) == 50 + 3
