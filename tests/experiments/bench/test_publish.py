"""Benchmarks on a Hub: cells of several benchmarks in one repository, whose page shows all of them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqhub.errors import CorruptFileError, InvalidInputError
from seqhub.experiments.bench.cell import CELLS, key_of
from seqhub.experiments.bench.page import write_page
from seqhub.experiments.bench.publish import push_bench
from seqhub.experiments.bench.summary import bench_record
from seqhub.records.bench import CellRecord
from tests.helpers.cli_calls import call
from tests.helpers.hub_clients import Client
from tests.helpers.served_hub import Hub, a_hub

PUSH = """
import json
from seqhub.experiments.bench.publish import push_bench
for folder in sys.argv[1:]:
    print(json.dumps(push_bench(Path(folder), "me/results")._asdict()))
"""

PUSH_TO_OLD = """
from seqhub.errors import CorruptFileError
from seqhub.experiments.bench.publish import push_bench
from seqhub.hub.push import push
push(sys.argv[1], "me/results")
try:
    push_bench(Path(sys.argv[2]), "me/results")
except CorruptFileError as error:
    print(error)
"""

PUSH_BETWEEN = """
from seqhub.experiments.bench import publish
push = publish.push
def another_is_first(*arguments, **options):
    publish.push = push
    publish.push_bench(Path(sys.argv[2]), "me/results")
    return push(*arguments, **options)
publish.push = another_is_first
publish.push_bench(Path(sys.argv[1]), "me/results")
"""


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def settings(stage: str, model: str, **more: Any) -> dict[str, Any]:
    names = ("sized_model", "budget", "learning_rate", "seed", "rows", "distribution", "code", "params")
    common = {"task": "parity/every", "data": "0" * 64, "recipe": {}, "version": 1}
    return dict.fromkeys(names) | common | {"stage": stage, "model": model} | more


def write_bench(folder: Path, model: str, accuracy: float = 0.75, status: str = "finished") -> Path:
    """Write a benchmark of one model with one seed, as measured elsewhere."""
    run = settings("seeds", model, sized_model=model, budget=1000, learning_rate=0.01, seed=0, rows=100)
    evaluation = {"chance": 0.5, "loss": 0.5, "examples": 100, "length": [3, 40], "mean_length": 21.0, "digest": "d"}
    sizes = {"parameters": 402, "core_parameters": 320, "state_floats": [16, 16], "native": True}
    evaluation |= {"accuracy": accuracy, "score": 2 * accuracy - 1}
    results = {
        "probe": {"sized_model": model, **sizes, "ms_per_token": 0.001, "evaluate_ms_per_token": 0.001},
        "seeds": evaluation | {"sequences": 64, "tokens": 1000, "solved_at": None, "native": True},
    }
    records = {}
    for stage, each in (("probe", settings("probe", model)), ("seeds", run)):
        at = status if stage == "seeds" else "finished"
        record = CellRecord(
            settings=each,  # type: ignore[arg-type]
            status=at,
            reason="" if at == "finished" else "no memory",
            result=results[stage] if at == "finished" else {},
        )
        records[key_of(each)] = record
        (folder / CELLS / key_of(each)).mkdir(parents=True)
        record.save(folder / CELLS / key_of(each))
    write_page(bench_record(records.values(), {}), folder)
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with a_hub(tmp_path / "hub") as server:
        yield server


@pytest.mark.timeout(120)
def test_cells_are_added_and_the_page_shows_all_of_them(hub: Hub, tmp_path: Path) -> None:
    lstm, gru = (write_bench(tmp_path / name, name) for name in ("lstm", "gru"))
    (lstm / CELLS / "run").mkdir()
    (lstm / CELLS / "run" / "model.safetensors").write_bytes(b"weights")
    out = Client(hub.url, tmp_path / "home", hub.writer).run(PUSH, lstm, gru, gru)
    first, second, again = map(json.loads, out.splitlines())
    stored = hub.files("dataset", "me/results", first["commit_oid"])
    assert not [name for name in stored if "safetensors" in name]
    assert stored == {name: content for name, content in files(lstm).items() if "safetensors" not in name}
    assert second["commit_oid"]
    assert again["commit_oid"] is None
    both = hub.files("dataset", "me/results")
    expected = {
        f"{CELLS}/{path.parent.name}/cell.json": path.read_bytes()
        for folder in (lstm, gru)
        for path in folder.glob(f"{CELLS}/*/cell.json")
    }
    assert {name: content for name, content in both.items() if name.startswith(CELLS)} == expected
    page = both["README.md"].decode()
    assert "| `lstm` |" in page
    assert "| `gru` |" in page
    assert len(json.loads(both["bench.json"])["cells"]) == 4
    assert {"bench.png", "bench.svg", "lengths.png", "lengths.svg"} <= both.keys()
    assert hub.log("dataset", "me/results") == [*["Add 2 cells with seqhub"] * 2, "initial commit"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_push_after_which_another_was_first_is_repeated(hub: Hub, tmp_path: Path) -> None:
    lstm, gru = (write_bench(tmp_path / name, name) for name in ("lstm", "gru"))
    Client(hub.url, tmp_path / "home", hub.writer).run(PUSH_BETWEEN, lstm, gru)
    page = hub.files("dataset", "me/results")["README.md"].decode()
    assert "| `lstm` |" in page
    assert "| `gru` |" in page
    assert len(hub.log("dataset", "me/results")) == 3


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_failed_cell_is_replaced_by_a_result_but_not_the_other_way_round(hub: Hub, tmp_path: Path) -> None:
    failed, good = write_bench(tmp_path / "failed", "lstm", status="failed"), write_bench(tmp_path / "good", "lstm")
    out = Client(hub.url, tmp_path / "home", hub.writer).run(PUSH, failed, good, failed)
    commits = [json.loads(line)["commit_oid"] for line in out.splitlines()]
    assert commits[2] is None
    pages = [hub.files("dataset", "me/results", commit)["README.md"].decode() for commit in commits[:2]]
    assert ["no memory" in page for page in pages] == [True, False]
    assert ["0.500 (0.500 to 0.500), 0/1" in page for page in pages] == [False, True]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_cells_of_another_version_in_the_repository_are_one_line(hub: Hub, tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "old", "lstm")
    for path in list(folder.glob(f"{CELLS}/*/cell.json")):
        content = json.loads(path.read_text())
        content["settings"]["version"] = 0
        path.write_text(json.dumps(content))
        path.parent.rename(path.parent.with_name(key_of(content["settings"])))
    new = write_bench(tmp_path / "new", "gru")
    error = Client(hub.url, tmp_path / "home", hub.writer).run(PUSH_TO_OLD, folder, new)
    assert error.startswith("me/results/cells/")
    assert "is a cell of version 0; this seqhub has version 1, whose results cannot be compared" in error
    assert error.count("\n") == 1
    with pytest.raises(CorruptFileError, match=r"old/cells/.*version 0"):
        push_bench(folder, "me/results")


def test_a_dry_run_lists_the_files(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "lstm", "lstm")
    ended = call("push", folder, "--repo", "me/results", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    pushed = json.loads(ended.out)
    assert {"README.md", "bench.json", "bench.png", "bench.svg", "lengths.png", "lengths.svg"} < {
        each["name"] for each in pushed["files"]
    }
    shutil.rmtree(folder / CELLS)
    with pytest.raises(InvalidInputError, match="has no cells; run `seqhub bench` first"):
        push_bench(folder, "me/results", dry_run=True)


def test_cells_of_others_run_no_code_and_must_have_the_right_types(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "lstm", "lstm")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    path = next(path for path in folder.glob(f"{CELLS}/*/cell.json") if "solved_at" in path.read_text())
    content = json.loads(path.read_text())
    content["settings"]["task"] = f"{folder}/evil.py/x"
    key = key_of(content["settings"])
    path.parent.rename(path.parent.with_name(key))
    (folder / CELLS / key / "cell.json").write_text(json.dumps(content))
    push_bench(folder, "me/results", dry_run=True)
    assert not (tmp_path / "ran").exists()
    content["result"]["accuracy"] = "high"
    (folder / CELLS / key / "cell.json").write_text(json.dumps(content))
    with pytest.raises(CorruptFileError, match=r"cell\.json: .*wrong type: result\.accuracy"):
        push_bench(folder, "me/results", dry_run=True)
