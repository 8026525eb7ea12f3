"""Averaged gradients of several processes equal the gradients of one process for the same global batch."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqhub.data.arrow import rows_table
from seqhub.data.loader import DatasetLoader, loader_of
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.loss_scale import loss_scale, placeholder, shares_of
from seqhub.training.model_setup import create_model
from seqhub.training.tbptt import segments
from tests.helpers.example_configs import KINDS, model_for
from tests.helpers.training_processes import run, run_processes

HEADS: dict[str, dict[str, Any]] = {
    **{kind: {"task": task_id} for kind, task_id in KINDS.items()},
    "classes of texts of many lengths": {"task": "qrsu/normal"},
    "a single logit": {"task": "square/fixed", "single_logit": True},
    "logistic classes": {"task": "qrsu/easy", "model_options": {"logistic_outputs": True}},
    "a logistic number": {"task": "adding/hs97-t100", "model_options": {"logistic_outputs": True}},
    "logistic steps": {"task": "echo/step3-ragged", "model_options": {"logistic_outputs": True}},
    "symbols of many lengths": {"task": "embedded_reber/hs97"},
    "logistic symbols": {"task": "embedded_reber/hs97", "model_options": {"logistic_outputs": True}},
    "symbols with a padding symbol": {"task": "embedded_reber/hs97", "model_options": {"pad_token_id": 3}},
    "symbols without padding": {"task": "embedded_reber/hs97", "model_options": {"pad_token_id": None}},
    "original memory cells": {"task": "embedded_reber/hs97", "model": "lstm_hs97"},
    "steps in segments": {"task": "echo/step3-ragged", "chunk_steps": 30},
    "convolution": {"task": "windows/k4-n8", "model": "cnn"},
    "local layers": {"task": "windows/k4-n8", "model": "locally_connected"},
}


class Processes:
    """Substitute for an Accelerator in `loss_scale`, for ranks that run one after the other.

    In the first round, `reduce` adds the tensors of the ranks; in the second round it returns the sums.
    """

    def __init__(self, number: int) -> None:
        self.num_processes = number
        self.sums: list[torch.Tensor] = []
        self.calls, self.known = 0, False

    def start(self, *, known: bool) -> None:
        self.calls, self.known = 0, known

    def reduce(self, local: torch.Tensor) -> torch.Tensor:
        if not self.known:
            if self.calls == len(self.sums):
                self.sums.append(torch.zeros_like(local))
            self.sums[self.calls] = self.sums[self.calls] + local
        self.calls += 1
        return self.sums[self.calls - 1] if self.known else self.sums[self.calls - 1].clamp(min=1)


def model_of(settings: dict[str, Any], folder: Path) -> tuple[Any, TaskSchema, TrainConfig]:
    split = Split(settings["task"])
    small = {} if settings.get("model") in ("cnn", "locally_connected") else {"hidden_size": 4}
    given = {**small, "data": "stream" if split.size is None else "splits", "model": model_for(settings["task"])}
    config = TrainConfig(output_dir=folder, **{**given, **settings})
    with torch.random.fork_rng():
        return create_model(config, split.schema).double(), split.schema, config


def gradients(
    processes: Any,
    model: Any,
    schema: TaskSchema,
    batch: dict[str, torch.Tensor],
    rows: int,
    steps: int,
    shares: int = 1,
) -> list[torch.Tensor]:
    """Return one gradient for each segment of a batch, computed like in `train`."""
    found, local_rows = [], len(batch["labels"])
    if "input_values" in batch:
        batch = {name: each.double() if each.is_floating_point() else each for name, each in batch.items()}
    state = None
    for part in segments(batch if local_rows else placeholder(batch), steps):
        model.zero_grad(set_to_none=False)
        scale = loss_scale(processes, model, schema, part, local_rows, rows, divided=shares > 1)
        extra = {"past_key_values": state, "use_cache": True} if steps else {}
        for share, weight in shares_of(part, schema, shares):
            with torch.set_grad_enabled(scale.learns):
                output = model(**share, **scale.arguments, **extra)
            if scale.learns:
                (output.loss * scale.of_share(weight)).backward()
        if steps:
            state = output.past_key_values.detach()
        found.append(
            torch.cat(
                [(torch.zeros_like(p) if p.grad is None else p.grad.clone()).flatten() for p in model.parameters()]
            )
        )
    return found


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("processes", "rows"), [(2, 5), (3, 7), (3, 2)])
def test_averaged_gradients_of_processes_equal_those_of_one(
    tmp_path: Path, head: str, processes: int, rows: int
) -> None:
    """Slices have unequal numbers of rows and steps, or none; each is presented in two shares of its rows."""
    model, schema, config = model_of(HEADS[head], tmp_path)
    split = Split(config.task)
    table = rows_table(split, 0, min(rows, split.size or rows))

    def first(rank: int, world_size: int) -> dict[str, torch.Tensor]:
        return next(
            iter(
                DatasetLoader(
                    table, schema, rows, shuffle=False, rank=rank, world_size=world_size, allow_empty=True
                )
            )
        )  # fmt: skip

    alone, together = Processes(1), Processes(processes)
    whole = first(0, 1)
    for known in (False, True):
        alone.start(known=known)
        wanted = gradients(alone, model, schema, whole, table.num_rows, config.chunk_steps)
        found = []
        for rank in range(processes):
            together.start(known=known)
            batch = first(rank, processes)
            shares = 1 if config.chunk_steps else 2
            found.append(gradients(together, model, schema, batch, table.num_rows, config.chunk_steps, shares))
    for one, parts in zip(wanted, zip(*found, strict=True), strict=True):
        torch.testing.assert_close(sum(parts) / processes, one, rtol=1e-10, atol=1e-12)
    assert any(bool(one.abs().sum()) for one in wanted)


def test_a_placeholder_is_a_row_without_counted_steps() -> None:
    for task_id in ("embedded_reber/hs97", "echo/step3-ragged"):
        *_, last = islice(loader_of(Split(task_id), 1, 1, 2, allow_empty=True), 1)
        (empty,) = [{name: tensor[:0] for name, tensor in last.items()}]
        row = placeholder(empty)
        assert {name: (len(tensor), tensor.shape[1:]) for name, tensor in row.items()} == {
            name: (1, tensor.shape[1:]) for name, tensor in empty.items()
        }
        assert bool((row["labels"] == NO_LABEL).all())


ENDS: dict[str, Any] = {"stop_at": "none", "evaluate_every": 64, "optimizer": "sgd", "learning_rate": 0.1}
RUNS: dict[str, dict[str, Any]] = {
    "symbols": {"task": "embedded_reber/hs97", "data": "splits", "batch_size": 3, "max_sequences": 60},
    "reconstruction": {
        "task": "ramps/tutorial",
        "data": "splits",
        "batch_size": 4,
        "max_sequences": 54,
        "epochs": 9,
    },
    "a number": {"task": "adding/hs97-t100", "batch_size": 5, "max_sequences": 50},
}


@pytest.mark.slow  # five processes import torch; `test_averaged_gradients_of_processes_equal_those_of_one` is fast
@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("processes", [2, 3])
def test_runs_of_several_processes_equal_the_run_of_one(tmp_path: Path, kind: str, processes: int) -> None:
    """Batches have fewer rows than there are processes, and three processes share two validation rows."""
    settings = {**ENDS, "hidden_size": 4, "evaluate_size": 64, **RUNS[kind]}
    if kind == "reconstruction":
        settings["model"] = "lstm_autoencoder"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if name != "task"]
    arguments = [settings["task"], "--quiet", *options]
    code, _, errors = run([*arguments, "--output-dir=one"], folder=tmp_path)
    assert code == 0, errors
    run_processes(processes, [*arguments, "--output-dir=all"], folder=tmp_path)
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "all")]
    assert [record["processes"] for record in records] == [1, processes]
    assert records[0]["optimizer_steps"] == records[1]["optimizer_steps"]
    assert records[0]["data"] == records[1]["data"]
    histories = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "all")
    ]
    for one, other in zip(*histories, strict=True):
        assert one["validation_examples"] == other["validation_examples"]
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert other["validation_accuracy"] == pytest.approx(one["validation_accuracy"], abs=1e-3)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "all")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)
