"""Truncated backpropagation through time: segments with an optimizer step each, and the carried state."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqhub.data.loader import StreamLoader
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.model_setup import create_model
from seqhub.training.recipes import recipe
from seqhub.training.tbptt import segments
from seqhub.training.train import train
from tests.helpers.training_processes import run_two
from tests.training.test_resume import StopError, run_results, stop_after

FIVE: dict[str, Any] = recipe("echo/step3") | {"chunk_steps": 5, "max_sequences": 640, "evaluate_size": 640}


def accuracy_by_step(folder: Path, chunk_steps: int, *, carry: bool) -> list[float]:
    """Return the accuracy at each step of a segment, on new sequences evaluated segment by segment."""
    model = load_model(folder)
    batch = next(iter(StreamLoader("echo/step3", "test", batch_size=256)))
    right = torch.zeros(chunk_steps)
    seen = torch.zeros(chunk_steps)
    state = None
    for part in segments(batch, chunk_steps):
        labels = part.pop("labels")
        with torch.inference_mode():
            output = model(**part, past_key_values=state, use_cache=True)
        state = output.past_key_values if carry else None
        right += ((output.logits.argmax(dim=-1) == labels) & (labels != NO_LABEL)).sum(dim=0)
        seen += (labels != NO_LABEL).sum(dim=0)
    return (right / seen).tolist()


@pytest.mark.slow
def test_with_carried_state_every_echo_is_correct(tmp_path: Path) -> None:
    record = train(TrainConfig(task="echo/step3", output_dir=tmp_path / "run", **FIVE))
    assert record is not None
    assert record.criteria["accuracy>=0.999"] is not None
    record = evaluate(tmp_path / "run", num_examples=500, sibling_examples=0)
    test = record.evaluation["test"]
    assert (test["accuracy"], test["steps"], test["whole"]) == (1.0, 500 * 197, 500)
    assert accuracy_by_step(tmp_path / "run", 5, carry=True) == [1.0] * 5


@pytest.mark.slow
def test_without_carried_state_echoes_beyond_the_segment_stay_at_chance(tmp_path: Path) -> None:
    config = TrainConfig(task="echo/step3", output_dir=tmp_path / "run", carry_state=False, **FIVE)
    train(config)
    shares = accuracy_by_step(tmp_path / "run", 5, carry=False)
    assert all(abs(share - 0.5) < 0.03 for share in shares[:3])  # about 10,000 steps each: six standard deviations
    assert shares[3:] == [1.0, 1.0]
    seen = read_history(tmp_path / "run")[-1]["accuracy"]  # during training: two of five steps correct, three at chance
    assert abs(seen - 0.7) < 0.02


def test_an_echo_as_long_as_the_segment_is_not_learnt(tmp_path: Path) -> None:
    """Its gradient would have to reach beyond the segment; evaluation uses whole sequences."""
    settings = FIVE | {"chunk_steps": 10, "max_sequences": 320, "carry_state": False}
    train(TrainConfig(task="echo/step10", output_dir=tmp_path / "run", **settings))
    record = evaluate(tmp_path / "run", num_examples=200, sibling_examples=0)
    assert abs(record.evaluation["test"]["accuracy"] - 0.5) < 0.02


@pytest.mark.parametrize("task_id", ["echo/step3", "echo/step3-ragged", "echo/step10"])
@pytest.mark.parametrize("carry", [True, False])
def test_each_segment_equals_a_reference_step(tmp_path: Path, task_id: str, carry: bool) -> None:
    """Compare the weights after a batch with rows of any length; in the first segment no step counts."""
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "max_grad_norm": None, "stop_at": "none"}
    sizes = {"model": "rnn_tanh", "hidden_size": 3, "batch_size": 4, "max_sequences": 4, "evaluate_size": 4}
    config = TrainConfig(
        task=task_id, output_dir=tmp_path / "run", chunk_steps=10, carry_state=carry, **settings, **sizes
    )
    with torch.random.fork_rng():
        model: Any = create_model(config, Split(task_id).schema)
    recurrence, readout = model.model.layers[0].recurrence, model.classifier
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batch = next(iter(StreamLoader(task_id, "train", 0, 4)))
    hidden = torch.zeros(1, 4, 3)
    steps = 0
    for start in range(0, batch["labels"].size(1), 10):
        ids, labels = (batch[name][:, start : start + 10] for name in ("input_ids", "labels"))
        vectors = nn.functional.one_hot(ids, 3)[..., 1:].float()
        states, last = recurrence(vectors, hidden)  # right padding does not affect counted steps
        hidden = last.detach() if carry else torch.zeros(1, 4, 3)
        if (labels != NO_LABEL).any():
            nn.functional.cross_entropy(readout(states).flatten(0, 1), labels.flatten()).backward()
            optimizer.step()
            optimizer.zero_grad()
            steps += 1

    record = train(config)
    assert record is not None
    assert record.optimizer_steps == steps
    learnt = load_file(tmp_path / "run" / "model.safetensors")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(learnt[name], tensor, rtol=1e-4, atol=1e-5)


SHORT: dict[str, Any] = {
    "task": "echo/step3-ragged",
    "chunk_steps": 7,
    "num_hidden_layers": 2,
    "max_sequences": 256,
    "evaluate_every": 32,
    "evaluate_size": 32,
    "checkpoint_every": 64,
    "stop_at": "none",
}


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    train(TrainConfig(output_dir=tmp_path / "whole", **SHORT))
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path / "stopped", **SHORT), callback=stop_after(160))
    train(TrainConfig(output_dir=tmp_path / "stopped", **SHORT), resume=True)
    assert run_results(tmp_path / "stopped") == run_results(tmp_path / "whole")


def test_segments_of_another_length_are_another_run(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path, **SHORT), callback=stop_after(160))
    with pytest.raises(InvalidConfigError, match="chunk_steps=7 there and 8 here"):
        train(TrainConfig(output_dir=tmp_path, **SHORT | {"chunk_steps": 8}), resume=True)


@pytest.mark.slow
def test_two_processes_learn_the_same_as_one(tmp_path: Path) -> None:
    """In some segments one process has no counted steps."""
    settings: dict[str, Any] = {"chunk_steps": 7, "optimizer": "sgd", "learning_rate": 0.5, "stop_at": "none"}
    settings |= {"max_sequences": 48, "batch_size": 6, "evaluate_every": 48, "evaluate_size": 64}
    alone = recipe("echo/step3-ragged") | settings
    train(TrainConfig(task="echo/step3-ragged", output_dir=tmp_path / "one", cpu=True, **alone))
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    run_two(["echo/step3-ragged", "--output-dir=two", "--quiet", *options], folder=tmp_path)
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two")]
    assert [record["processes"] for record in records] == [1, 2]
    assert records[0]["optimizer_steps"] == records[1]["optimizer_steps"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunk_steps": -1}, "chunk_steps=-1: must be at least 0"),
        ({"task": "qrsu/easy", "chunk_steps": 5}, "chunk_steps=5: must be 0 for a task without a class per step"),
        (
            {"chunk_steps": 5, "model_options": {"bidirectional": True}},
            "^chunk_steps=5: must be 0 for this model lstm, which cannot carry a state",
        ),
    ],
)
def test_tasks_and_models_without_segments_are_rejected(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        train(TrainConfig(**{"task": "echo/step3", "output_dir": tmp_path / "run", **settings}))
    assert not any(tmp_path.iterdir())
