"""schedule=error: the learning rate falls with the largest errors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqhub.data.loader import StreamLoader
from seqhub.data.source import DataSource
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.model_setup import create_model
from seqhub.training.state import TrainerState
from seqhub.training.train import train
from tests.helpers.training_processes import run_two

SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy",
    "initialization": "chrono",
    "chrono_max_steps": 8,
    "learning_rate": 0.02,
    "schedule": "error",
    "error_reference": 0.99,
    "error_floor": 0.7,
    "max_sequences": 1600,
    "evaluate_every": 16,
    "evaluate_size": 16,
    "checkpoint_every": 160,
    "stop_at": "none",
}


class StopError(Exception):
    pass


def test_weights_equal_those_of_a_reference_loop(tmp_path: Path) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", **SETTINGS, beta1=0.5, beta2=0.9)
    train(config)

    torch.manual_seed(config.seed)
    model = create_model(config, DataSource(config.task).schema)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.5, 0.9))
    mean, rates = 1.0, []
    batches = iter(StreamLoader(config.task, "train", seed=0, batch_size=16))
    for _ in range(100):
        batch = next(batches)
        output = model(**batch)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        wrong = 1 - output.logits.softmax(dim=-1)[torch.arange(16), batch["labels"]]
        mean = 0.995 * mean + 0.005 * wrong.max().item()
        rates.append(0.02 * min(1.0, max(0.7, mean / 0.99)))
        optimizer.param_groups[0]["lr"] = rates[-1]
        optimizer.step()
        optimizer.zero_grad()

    assert [row["learning_rate"] for row in read_history(config.output_dir)] == pytest.approx(rates, rel=1e-5)
    assert len(set(rates)) > 50  # the rate has changed
    for name, learnt in load_file(config.output_dir / "model.safetensors").items():
        torch.testing.assert_close(learnt, model.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_rate_stays_between_floor_and_full(tmp_path: Path) -> None:
    for name, reference, rate in (("full", 0.2, 0.02), ("floor", 1e6, 0.014)):
        config = TrainConfig(output_dir=tmp_path / name, **SETTINGS | {"error_reference": reference})
        train(config)
        (given,) = {row["learning_rate"] for row in read_history(config.output_dir)}
        assert given == pytest.approx(rate)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    def stop(now: TrainerState) -> None:
        if now.sequences >= 1000:
            raise StopError

    whole, stopped = (TrainConfig(output_dir=tmp_path / name, **SETTINGS) for name in ("whole", "stopped"))
    train(whole)
    with pytest.raises(StopError):
        train(stopped, callback=stop)
    train(stopped, resume=True)
    weights = [(each.output_dir / "model.safetensors").read_bytes() for each in (whole, stopped)]
    rates = [[row["learning_rate"] for row in read_history(each.output_dir)] for each in (whole, stopped)]
    assert weights[0] == weights[1]
    assert rates[0] == rates[1]


@pytest.mark.slow
def test_two_processes_use_the_largest_error_of_both(tmp_path: Path) -> None:
    options = {**SETTINGS, "output_dir": "two", "max_sequences": 320}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if name != "task"]
    run_two([SETTINGS["task"], "--quiet", *flags], folder=tmp_path)
    train(TrainConfig(**SETTINGS | {"output_dir": tmp_path / "one", "max_sequences": 320}))
    rates = [[row["learning_rate"] for row in read_history(tmp_path / name)] for name in ("one", "two")]
    assert rates[0] == pytest.approx(rates[1], rel=1e-5)
