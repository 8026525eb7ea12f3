"""A small model and dataset made through the command line, and a folder of invalid inputs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seqhub.training.config import TrainConfig
from seqhub.training.state import TrainerState
from seqhub.training.train import train
from tests.helpers.cli_calls import output_of, tree

SIZES = ["--train-size", "500", "--validation-size", "200", "--test-size", "200"]
SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy",
    "seed": 4,
    "max_sequences": 960,
    "evaluate_every": 160,
    "evaluate_size": 160,
    "checkpoint_every": 160,
    "stop_at": "none",
}


class Made(NamedTuple):
    run: Path
    data: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a solved, evaluated, plotted and documented run of qrsu/easy, and a dataset with this config only."""
    place = tmp_path_factory.mktemp("made")
    run, data = place / "run", place / "data"
    output_of("train", "qrsu/easy", "--output-dir", run, "--quiet")
    output_of("evaluate", run, "--num-examples", 200, "--sibling-examples", 50, "--quiet")
    output_of("plot", run, "--quiet")
    output_of("card", run, "--quiet")
    output_of("data", "build", "qrsu", "--config", "easy", "--out", data, *SIZES, "--quiet")
    return Made(run, data)


@pytest.fixture
def run(made: Made, tmp_path: Path) -> Path:
    """Copy the run for a single test."""
    return Path(shutil.copytree(made.run, tmp_path / "run"))


@pytest.fixture
def data(made: Made, tmp_path: Path) -> Path:
    """Copy the dataset for a single test."""
    return Path(shutil.copytree(made.data, tmp_path / "data"))


class StopError(Exception):
    pass


@pytest.fixture(scope="session")
def invalid_inputs(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder with every kind of invalid input; no test may change it."""
    place = tmp_path_factory.mktemp("invalid_inputs")
    shutil.copytree(made.run, place / "run")
    shutil.copytree(made.data, place / "data")
    (place / "file").write_text("a file")
    (place / "empty").mkdir()
    (place / "loop").symlink_to("loop")
    (place / "nowhere").symlink_to("missing")

    def stop(now: TrainerState) -> None:
        if now.sequences >= 480:
            raise StopError

    for name in ("stopped", "half-saved"):
        with pytest.raises(StopError):
            train(TrainConfig(output_dir=place / name, **SETTINGS), callback=stop)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(made.run / name, place / "half-saved")

    few = Path(shutil.copytree(made.run, place / "measured-on-few"))
    output_of("evaluate", few, "--num-examples", 50, "--sibling-examples", 0, "--quiet")
    truncated = Path(shutil.copytree(made.run, place / "truncated"))
    weights = (truncated / "model.safetensors").read_bytes()
    (truncated / "model.safetensors").write_bytes(weights[:-9])
    family = Path(shutil.copytree(made.run, place / "family"))
    (family / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1}))
    bare = Path(shutil.copytree(family, place / "bare-family"))
    (bare / "run.json").unlink()
    foreign = Path(shutil.copytree(made.run, place / "foreign-address"))
    record = json.loads((foreign / "run.json").read_text())
    (foreign / "run.json").write_text(json.dumps(record | {"address": "no_such_task/t100"}))
    (Path(shutil.copytree(made.run, place / "no-json")) / "run.json").write_text("{")
    (Path(shutil.copytree(made.run, place / "no-history")) / "history.jsonl").write_text("no JSON\n")

    before = tree(place)
    yield place
    assert tree(place) == before
