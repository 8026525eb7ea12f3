"""Training on a dataset of a Hub, through the command line and unmodified clients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.served_hub import a_hub

PUSH = """
import datasets
from tests.helpers.own_files import reviews

rows = datasets.Dataset.from_list([{"text": text, "label": label} for text, label in reviews(120)])
rows = rows.cast_column("label", datasets.ClassLabel(names=["neg", "pos"]))
datasets.DatasetDict({"train": rows.select(range(90)), "test": rows.select(range(90, 120))}).push_to_hub("me/reviews")
"""
LIMIT = 300  # seconds


@pytest.mark.slow
@pytest.mark.timeout(900)  # six programs, each with its imports
def test_a_dataset_of_a_hub_is_trained_on_verified_and_predicted(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with a_hub(tmp_path / "hub") as hub:
        offline = ("HF_HUB_OFFLINE",)
        env = {name: value for name, value in os.environ.items() if name not in offline}
        env |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.writer, "HF_HOME": str(tmp_path / "home"),
                "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}  # fmt: skip

        def run(*command: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)

        pushed = run(sys.executable, "-c", PUSH)
        assert pushed.returncode == 0, pushed.stderr
        seqhub = str(Path(sys.executable).parent / "seqhub")
        small = ("--epochs", "1", "--hidden-size", "4", "-q")
        trained = run(seqhub, "train", "me/reviews", *small)
        assert trained.returncode == 0, trained.stderr
        assert trained.stdout == "runs/reviews-lstm\n"
        verified = run(seqhub, "verify", "runs/reviews-lstm", "--dataset", "me/reviews")
        assert verified.returncode == 0, verified.stdout
        predicted = run(seqhub, "predict", "runs/reviews-lstm", "hub:me/reviews", "-q")
        assert predicted.stdout.count("\n") == 120, predicted.stderr
        wrong = run(seqhub, "train", "hub:me/nothing")
        assert wrong.returncode == 2
        assert "no such repository" in wrong.stderr.splitlines()[-1]
        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["reviews-lstm"]
