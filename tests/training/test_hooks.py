"""What hooks see: the numbers autograd and the modules have, and nothing of it left behind."""

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


def test_gradients_are_those_that_autograd_leaves_and_norms_are_of_them() -> None:
    model = classifier()
    for keep in ("norms", "tensors"):
        model.zero_grad()
        with capture(leaves(model), ("gradients",), keep=keep) as seen:
            model(**batch()).loss.backward()
        assert set(seen.gradients) == {name for name, _ in model.named_parameters()}
        assert not seen.activations
        for name, parameter in model.named_parameters():
            (kept,) = seen.gradients[name]
            torch.testing.assert_close(kept, parameter.grad if keep == "tensors" else parameter.grad.norm())


def test_each_pass_is_an_entry_even_where_gradients_are_added_up() -> None:
    model = classifier()
    with capture(leaves(model), ("gradients",), keep="tensors") as seen:
        for _ in range(3):
            model(**batch()).loss.backward()
    name, parameter = next(iter(model.named_parameters()))
    assert len(seen.gradients[name]) == 3
    torch.testing.assert_close(torch.stack(seen.gradients[name]).sum(0), parameter.grad)


def test_activations_are_the_first_output_of_each_module() -> None:
    model = classifier()
    modules = {"whole": model.model, **leaves(model)}
    with capture(modules, ("activations",), keep="tensors") as seen:
        output = model(**batch())
    assert {name: len(kept) for name, kept in seen.activations.items()} == dict.fromkeys(modules, 1)
    torch.testing.assert_close(seen.activations["classifier"][0], output.logits.detach())
    assert not seen.activations["classifier"][0].requires_grad
    with capture(modules, ("activations",)) as norms:
        model(**batch())
    for name, (kept,) in seen.activations.items():
        torch.testing.assert_close(norms.activations[name][0], kept.square().mean().sqrt())


def test_hooks_are_gone_whatever_ends_the_block() -> None:
    model = classifier()
    watching = ExitStack()
    watching.enter_context(capture(leaves(model)))
    assert hooks_of(model)
    assert not watching.__exit__(RuntimeError, RuntimeError("in the midst"), None)
    assert not hooks_of(model)


def test_other_things_cannot_be_seen() -> None:
    with pytest.raises(UnknownNameError, match="no record 'weights'; known: gradients, activations"):
        capture({}, ("weights",)).__enter__()  # type: ignore[arg-type]


def test_a_run_keeps_norms_in_its_history_and_learns_the_same(tmp_path: Path) -> None:
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


def test_norms_go_on_where_a_stopped_run_does(tmp_path: Path) -> None:
    """Stopped after a check whose checkpoint lies a check back: the rows are those of a run that nothing stopped."""

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
