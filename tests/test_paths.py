"""Folders may be given as strings everywhere."""

from pathlib import Path

import pytest

import seqhub
from seqhub.cards.write import write_card
from seqhub.data.parquet import load_folder, write_folder


def test_a_string_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"max_sequences": 32, "evaluate_every": 32, "evaluate_size": 32, "stop_at": "none", "hidden_size": 2}
    write_folder("qrsu", "data", configs=["easy"], train_size=32, validation_size=8, test_size=8)
    assert load_folder("data", "qrsu/easy", "test").num_rows == 8
    seqhub.train(seqhub.TrainConfig(task="qrsu/easy", output_dir="run", data="data", **small))
    seqhub.evaluate("run", sibling_examples=0)
    assert all(finding.agrees for finding in seqhub.verify("run"))
    assert write_card("run") == [Path("run/README.md")]
