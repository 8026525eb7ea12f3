"""Whole native runs of models of compiled cells: equal to those in torch, resumed, in sweeps and benchmarks."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqhub.cells import dispatch
from seqhub.errors import PlainLoopWarning
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.experiments.bench.engines import Engine
from seqhub.experiments.bench.execute import run_cell
from seqhub.experiments.bench.grid import Grid
from seqhub.experiments.bench.run import bench
from seqhub.native.loader import reason
from seqhub.sweeps.sweep import sweep
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import data_source
from seqhub.training.history import read_history
from seqhub.training.native_loop import reason_not_native, train_native
from seqhub.training.state import TrainerState
from seqhub.training.torch_loop import train_in_torch
from seqhub.training.train import train
from seqhub.verification.verify import verify

pytestmark = pytest.mark.skipif(reason() is not None, reason="no native library")

MODULE = """
import torch
from torch import nn


class MyCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.gates = nn.Linear(input_size + hidden_size, 2 * hidden_size)
        self.register_buffer("scale", torch.linspace(0.5, 1.0, hidden_size))

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        z, c = self.gates(torch.cat([x, h], dim=1)).chunk(2, dim=1)
        return h + z.sigmoid() * (self.scale * c.tanh() - h)


class SortCell(MyCell):
    def forward(self, x, h=None):
        h = super().forward(x, h)
        return h.sort(dim=1).values
"""
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.01,
    "schedule": "cosine",
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "batch_size": 16,
    "max_sequences": 1600,
    "evaluate_every": 320,
    "evaluate_size": 200,
    "stop_at": "none",
    "cpu": True,
}
KINDS: dict[str, dict[str, Any]] = {
    "the last step": {"task": "qrsu/normal"},
    "every step": {"task": "parity/every", "model_options": {"num_layers": 2}},
    "next symbols": {"task": "char_completion/tutorial", "data": "splits", "epochs": 40, "batch_size": 2},
    "a number from real values": {"task": "adding/hs97-t100", "max_sequences": 640},
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "my_cell.py"
    path.write_text(MODULE)
    return path


def config_of(folder: Path, cells: Path, kind: str = "every step", **changes: Any) -> TrainConfig:
    return TrainConfig(output_dir=folder, model=f"{cells}:MyCell?hidden_size=12", **SETTINGS | KINDS[kind] | changes)


@pytest.mark.fast_cases("every step", "next symbols")
@pytest.mark.parametrize("kind", KINDS)
def test_a_native_run_equals_the_run_in_torch(tmp_path: Path, cells: Path, kind: str) -> None:
    config = config_of(tmp_path / "run", cells, kind)
    record = train_in_torch(config, data_source(config), False, None)
    assert record is not None
    assert reason_not_native(config) is None
    native = train_native(config)

    same = ("task", "model", "model_config", "model_id", "num_parameters", "sizes", "seed", "training", "data")
    for name in (*same, "sequences_seen", "optimizer_steps", "processes", "criteria", "conformance"):
        assert getattr(native.record, name) == getattr(record, name), name
    assert native.record.environment == record.environment | {"native": True}
    rows = read_history(config.output_dir)
    assert [row.keys() for row in native.history] == [row.keys() for row in rows]
    for ours, theirs in zip(native.history, rows, strict=True):
        for name in ("sequences", "loss", "learning_rate", "accuracy", "validation_accuracy"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-3), name
    saved = load_file(config.output_dir / "model.safetensors")
    for name, weight in native.model.weights.items():
        torch.testing.assert_close(torch.from_numpy(weight), saved[name], rtol=5e-3, atol=1e-3)


def test_the_files_of_a_run_are_evaluated_and_verified(tmp_path: Path, cells: Path) -> None:
    record = train(config_of(tmp_path / "run", cells, max_sequences=320))
    assert record is not None
    assert record.environment["native"]
    model = load_model(tmp_path / "run")
    assert model.model.inner.layers[0].cell.scale[0] == 0.5  # a buffer
    evaluate(tmp_path / "run", num_examples=50, sibling_examples=0)
    assert all(finding.agrees for finding in verify(tmp_path / "run"))


class StopError(Exception):
    pass


def stop_after(sequences: int) -> Any:
    def stop(state: TrainerState) -> None:
        if state.sequences >= sequences:
            raise StopError

    return stop


def test_a_stopped_run_resumes_exactly(tmp_path: Path, cells: Path) -> None:
    whole = train(config_of(tmp_path / "whole", cells, checkpoint_every=320))
    config = config_of(tmp_path / "run", cells, checkpoint_every=320)
    with pytest.raises(StopError):
        train(config, callback=stop_after(960))
    saved = checkpoints.load_metadata(tmp_path / "run")
    assert saved is not None
    assert saved["config"]["native"]
    again = train(config, resume=True)
    assert whole is not None
    assert again is not None
    assert (again.probe, again.files, again.criteria) == (whole.probe, whole.files, whole.criteria)


def test_a_checkpoint_of_torch_continues_in_torch(tmp_path: Path, cells: Path) -> None:
    config = config_of(tmp_path / "run", cells, checkpoint_every=320, max_sequences=960)
    with pytest.raises(StopError):
        train_in_torch(config, data_source(config), False, stop_after(640))
    record = train(config, resume=True)
    assert record is not None
    assert not record.environment["native"]


def test_a_sweep_is_native_and_equals_its_runs(tmp_path: Path, cells: Path) -> None:
    config = config_of(tmp_path / "sweep", cells, max_sequences=320)
    record = sweep(config, range(2), threads=2, test_rows=50)
    alone = train(replace(config, seed=1, output_dir=tmp_path / "run"))
    assert alone is not None
    assert [each["seed"] for each in record.runs] == [0, 1]
    run = json.loads((tmp_path / "sweep" / "seed-1" / "run.json").read_text())
    assert run["environment"]["native"]
    assert (run["criteria"], run["conformance"]) == (alone.criteria, alone.conformance)
    histories = [read_history(each) for each in (tmp_path / "sweep" / "seed-1", tmp_path / "run")]
    losses = [[row["loss"] for row in rows] for rows in histories]
    assert losses[0] == losses[1]


class Here(Engine):
    """Cells in this process."""

    jobs = 1

    def run(self, cells: Any, bench: Path, on_finish: Any) -> None:
        for cell in cells:
            run_cell(cell, bench)
            on_finish(cell)


def test_a_benchmark_trains_cells_natively(tmp_path: Path, cells: Path) -> None:
    values = {"models": [f"{cells}:MyCell"], "tasks": ["qrsu/easy"], "params": "272", "budget": 4000, "rows": 20}
    record = bench(Grid.of(values | {"seeds": 1, "learning_rates": [0.003, 0.01]}), tmp_path / "bench", Here())
    found = {cell["settings"]["stage"]: cell for cell in record.cells}
    assert [cell["reason"] for cell in record.cells if cell["status"] != "finished"] == []
    assert [found[stage]["result"]["native"] for stage in ("probe", "tune", "seeds")] == [True] * 3
    assert not found["probe"]["result"]["conformance"]["failed"]


def test_a_cell_without_a_kernel_trains_in_torch(tmp_path: Path, cells: Path) -> None:
    dispatch._warned.clear()
    settings = SETTINGS | {"task": "qrsu/easy", "max_sequences": 64, "evaluate_every": 64}
    config = TrainConfig(output_dir=tmp_path / "run", model=f"{cells}:SortCell?hidden_size=4", **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = train(config)
    assert record is not None
    assert not record.environment["native"]
    lines = [str(each.message) for each in caught if each.category is PlainLoopWarning]
    assert len(lines) == 1
    assert lines[0].startswith("SortCell runs as a plain loop: ")
