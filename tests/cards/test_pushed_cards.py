"""Code on cards names the folder or repository of the card, and runs as printed in both."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import DatasetCard, ModelCard

from seqhub.cards.write import write_card
from seqhub.data.parquet import write_folder
from seqhub.data.vectors import VectorRow, write_vectors
from seqhub.evaluation.evaluate import evaluate
from seqhub.hub.naming import named_in, renamed
from seqhub.hub.push import push
from seqhub.records import RunRecord
from seqhub.training.config import TrainConfig
from seqhub.training.train import train
from tests.helpers.cli_calls import call
from tests.helpers.served_hub import Hub, a_hub

SECONDS = 240
QUOTES = 'say "hi" \\ and {{ go }} {n}'
SMALL = {
    "hidden_size": 4,
    "max_sequences": 32,
    "evaluate_every": 32,
    "evaluate_size": 32,
    "stop_at": "none",
    "cpu": True,
}
CASES: dict[str, dict[str, Any]] = {
    "generated": {"task": "qrsu/easy"},
    "fixed": {"task": "row_images/digits8", "data": "splits"},
    "folder": {"task": "qrsu/easy", "data": "built"},
    "text": {"task": "char_completion/custom", "data": "my own.txt"},
    "table": {"task": "sentiment/custom", "data": "my.csv"},
    "values": {"task": "documents/custom", "data": "my.parquet"},
    "next": {"task": "char_completion/tutorial", "data": "splits"},
    "autoencoder": {"task": "ramps/image", "model": "lstm_autoencoder"},
    "regression": {"task": "adding/hs97-t100"},
    "steps": {"task": "echo/step3"},
    "single": {"task": "sentiment/short", "single_logit": True},
}
STEPS = {"fixed": 8, "values": 6, "regression": 2}  # values at each


def prepare(folder: Path) -> None:
    """Build a dataset and write the files that a user supplies."""
    write_folder("qrsu", folder / "built", configs=["easy"], seed=3, train_size=64, validation_size=32, test_size=32)
    write_card(folder / "built")
    (folder / "my own.txt").write_text("\n".join(f"{QUOTES} line {number}" for number in range(120)))
    with (folder / "my.csv").open("w", newline="") as file:
        rows = ((f"{QUOTES} row {n} is {'bd'[n % 2]}", ("worse", "better")[n % 2]) for n in range(120))
        csv.writer(file).writerows([("text", "label"), *rows])
    random = np.random.default_rng(0)
    vectors = (VectorRow(random.normal(size=(3, 6)).astype(np.float32), "ab"[n % 2]) for n in range(120))
    write_vectors(folder / "my.parquet", vectors)


def make(folder: Path, name: str) -> Path:
    """Train, evaluate and document the run of a case; return its folder."""
    case = dict(CASES[name])
    run = folder / f"run of {name}"
    if case.get("data", "stream") not in ("stream", "splits"):
        case["data"] = str(folder / case["data"])
    train(TrainConfig(output_dir=run, **SMALL | case))
    file = Path(case["data"]) if case["task"].endswith("/custom") else None
    rows = None if file is not None or case.get("data") == "splits" else 20
    evaluate(run, num_examples=rows, sibling_examples=0, data=file)
    write_card(run)
    return run


def python_of(card: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)


def client(code: str, job: Any, folder: Path, home: Path, **variables: str) -> None:
    """Run code in a new process with a job as its standard input."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SEQHUB_"))}
    environment |= {"HF_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_XET": "1", **variables}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(job),
        text=True,
        capture_output=True,
        cwd=folder,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


RUN = """
import json, sys
for name, blocks in json.loads(sys.stdin.read()).items():
    for number, block in enumerate(blocks):
        try:
            exec(compile(block, f"{name} {number}", "exec"), {"__name__": "__main__"})
        except BaseException as error:
            raise SystemExit(f"{name} {number}: {type(error).__name__}: {error}\\n{block}")
"""
PUSH = """
import json, sys
from seqhub.hub.push import push
for folder, repo in json.loads(sys.stdin.read()):
    assert push(folder, repo).notes == (), folder
"""


def run_blocks(cards: dict[str, str], folder: Path, home: Path, **variables: str) -> None:
    """Run the Python blocks of cards one by one; blocks with seqhub in a process of their own."""
    for with_seqhub in (False, True):
        jobs = {
            name: [block for block in python_of(card) if ("import seqhub" in block) == with_seqhub]
            for name, card in cards.items()
        }
        assert all(jobs.values())
        client(RUN, jobs, folder, home, **variables)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with a_hub(tmp_path_factory.mktemp("hub") / "root") as running:
        yield running


def check(hub: Hub, names: list[str], folder: Path) -> None:
    """Check the cards of some cases and of a dataset, in their folders and after a push under another name."""
    prepare(folder)
    folders = {name: make(folder, name) for name in names} | {"data": folder / "built"}
    local = {name: (each / "README.md").read_text(encoding="utf-8") for name, each in folders.items()}
    repos = {name: f"me/other.{name}-{len(names)}" for name in folders}
    home = folder / "home"
    job = [(str(folders[name]), repo) for name, repo in repos.items()]
    client(PUSH, job, folder, home, HF_ENDPOINT=hub.url, HF_TOKEN=hub.writer)
    read = {}
    for name, repo in repos.items():
        kind: Any = "dataset" if name == "data" else "model"
        read[name] = card = hub.files(kind, repo)["README.md"].decode()
        assert (folders[name] / "README.md").read_text(encoding="utf-8") == local[name]
        assert named_in(local[name], kind) == f"./{folders[name].name}"
        assert named_in(card, kind) == repo
        for text in (card, local[name]):
            assert not re.search(r"seqhub/|\bNone\b", text.split("\n---\n", 1)[1].split("## Citation")[0])
        if name == "data":
            assert DatasetCard(card).data.license == "apache-2.0"
            assert 'split="test", seed=3, test_size=32)' in card
            continue
        data = ModelCard(card).data
        assert (data.datasets, data.license) == (None, None)
        assert "./" not in card
        assert f"\nseqhub verify {repo}" in card
        assert name not in STEPS or f"(1, steps, {STEPS[name]})" in card
        if CASES[name]["task"].endswith("/custom"):
            source = RunRecord.load(folders[name]).data["source"]
            assert {result.dataset_name for result in data.eval_results} == {source}
            assert "load_dataset" not in card
            assert "Accuracy of always predicting" in card
    run_blocks(local, folder, home, HF_HUB_OFFLINE="1")
    run_blocks(read, home, home, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cards_of_every_data_source_and_target_run_in_folder_and_repository(hub: Hub, tmp_path: Path) -> None:
    check(hub, list(CASES), tmp_path)


def test_a_push_changes_the_code_of_a_card_and_keeps_other_text() -> None:
    card = (
        'My own words on "./run" and ./run.\nmodel = AutoModel.from_pretrained("./run", trust_remote_code=True)\n'
        "seqhub verify ./run --dataset FILE\nseqhub verify ./running\n"
    )
    assert renamed(card, "model", "me/x") == (
        'My own words on "me/x" and ./run.\nmodel = AutoModel.from_pretrained("me/x", trust_remote_code=True)\n'
        "seqhub verify me/x --dataset FILE\nseqhub verify ./running\n"
    )
    assert renamed("# nothing\n", "model", "me/x") == "# nothing\n"
    assert renamed(renamed(card, "model", "a/b"), "model", "me/x") == renamed(card, "model", "me/x")


def test_a_push_warns_of_a_missing_card_and_of_another_repository(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(TrainConfig(task="qrsu/easy", output_dir=folder, **SMALL))
    message = f"{folder} has no README.md, so me/x has no card; write one with `seqhub card {folder}`"
    assert push(folder, "me/x", dry_run=True).notes == (message,)
    ended = call("push", folder, "--repo", "me/x", "--dry-run")
    assert ended.err == f"warning: {message}\n"
    write_card(folder)
    assert push(folder, "me/x", dry_run=True).notes == ()
    old = (folder / "README.md").read_text().replace("tags:\n", "datasets:\n- seqhub/qrsu\ntags:\n", 1)
    (folder / "README.md").write_text(old)
    (note,) = push(folder, "me/x", dry_run=True).notes
    assert note.startswith(f"{folder}/README.md ")
    assert "names seqhub/qrsu" in note


def test_a_given_dataset_and_licence_are_on_the_card(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(TrainConfig(task="qrsu/easy", output_dir=folder, **SMALL))
    evaluate(folder, num_examples=20, sibling_examples=0)
    assert call("card", folder, "--dataset", "me/qrsu", "--license", "mit", "--quiet").code == 0
    data = ModelCard.load(folder / "README.md").data
    assert (data.datasets, data.license) == (["me/qrsu"], "mit")
    assert "me/qrsu" in (folder / ".eval_results" / "seqhub.yaml").read_text()
    write_card(folder)
    assert not (folder / ".eval_results" / "seqhub.yaml").exists()
    ended = call("card", folder, "--license", "mine")
    assert (ended.code, ended.err.partition(";")[0]) == (2, "error: no licence 'mine'")
