"""Hooks: recorded gradients and activations, and the removal of hooks."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqhub.errors import UnknownNameError
from seqhub.models.registry import build_config, build_model
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.hooks import capture, leaves
from seqhub.training.state import TrainerState
from seqhub.training.train import train

SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy", "max_sequences": 640, "evaluate_every": 160, "evaluate_size": 64, "stop_at": "none",
    "record": ("gradients", "activations"),
}  # fmt: skip


def classifier() -> nn.Module:
    return build_model(build_config("lstm", vocab_size=9, num_labels=4), "sequence")


def batch() -> dict[str, torch.Tensor]:
    return {"input_ids": torch.tensor([[7, 1, 3, 8], [7, 2, 8, 0]]), "labels": torch.tensor([0, 3])}


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules()) + sum(
        len(parameter._backward_hooks or ()) for parameter in model.parameters()
    )


def test_gradients_equal_those_of_autograd_and_norms_are_their_norms() -> None:
    model = classifier()
    for keep in ("norms", "tensors"):
        model.zero_grad()
        with capture(leaves(model), ("gradients",), keep=keep) as captured:
            model(**batch()).loss.backward()
        assert set(captured.gradients) == {name for name, _ in model.named_parameters()}
        assert not captured.activations
        for name, parameter in model.named_parameters():
            (kept,) = captured.gradients[name]
            torch.testing.assert_close(kept, parameter.grad if keep == "tensors" else parameter.grad.norm())


def test_each_pass_is_an_entry_also_with_accumulated_gradients() -> None:
    model = classifier()
    with capture(leaves(model), ("gradients",), keep="tensors") as captured:
        for _ in range(3):
            model(**batch()).loss.backward()
    name, parameter = next(iter(model.named_parameters()))
    assert len(captured.gradients[name]) == 3
    torch.testing.assert_close(torch.stack(captured.gradients[name]).sum(0), parameter.grad)


def test_activations_are_the_first_output_of_each_module() -> None:
    model = classifier()
    modules = {"whole": model.model, **leaves(model)}
    with capture(modules, ("activations",), keep="tensors") as captured:
        output = model(**batch())
    assert {name: len(kept) for name, kept in captured.activations.items()} == dict.fromkeys(modules, 1)
    torch.testing.assert_close(captured.activations["classifier"][0], output.logits.detach())
    assert not captured.activations["classifier"][0].requires_grad
    with capture(modules, ("activations",)) as norms:
        model(**batch())
    for name, (kept,) in captured.activations.items():
        torch.testing.assert_close(norms.activations[name][0], kept.square().mean().sqrt())


def test_hooks_are_removed_also_after_an_error() -> None:
    model = classifier()
    watching = ExitStack()
    watching.enter_context(capture(leaves(model)))
    assert hooks_of(model)
    assert not watching.__exit__(RuntimeError, RuntimeError("in the block"), None)
    assert not hooks_of(model)


def test_unknown_values_to_record_are_rejected() -> None:
    with pytest.raises(UnknownNameError, match="no record 'weights'; known: gradients, activations"):
        capture({}, ("weights",)).__enter__()  # type: ignore[arg-type]


def test_norms_are_in_the_history_and_do_not_change_the_run(tmp_path: Path) -> None:
    train(TrainConfig(output_dir=tmp_path / "watched", **SETTINGS))
    train(TrainConfig(output_dir=tmp_path / "alone", **SETTINGS | {"record": ()}))
    names = set(classifier().state_dict())
    for row in read_history(tmp_path / "watched"):
        assert {key.partition("/")[2] for key in row if key.startswith("gradient_norm/")} == names
        assert all(row[f"gradient_norm/{name}"] > 0 for name in names)
        assert 0 < row["activation_rms/model.layers.0.recurrence"] < 1
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("watched", "alone"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-5)


def test_norms_of_a_resumed_run_equal_those_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """The run is stopped at a validation after the one with the checkpoint."""

    class StopError(Exception):
        pass

    def stop(now: TrainerState) -> None:
        if now.sequences == 480:
            raise StopError

    whole, parted = (
        TrainConfig(output_dir=tmp_path / n, checkpoint_every=320, **SETTINGS) for n in ("whole", "parted")
    )
    train(whole)
    with pytest.raises(StopError):
        train(parted, callback=stop)
    train(parted, resume=True)
    rows = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in read_history(tmp_path / n)]
        for n in ("whole", "parted")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4
