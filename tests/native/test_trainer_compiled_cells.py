"""Native training of models of compiled cells compared with the model in torch and torch.optim."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqhub.cells.native_model import native_model
from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from seqhub.native.model import NativeModel
from seqhub.native.torch_model import with_weights
from seqhub.native.trainer import NativeTrainer, OptimizerSettings
from tests.helpers.native_cases import SETS
from tests.native.test_trainer import (
    ADAM,
    CLASSES,
    FEATURES,
    HEADS,
    METHODS,
    SYMBOLS,
    Rows,
    objective,
    train_in_torch,
)

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
CELLS = """
import torch
from torch import nn


class GatedCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gates = nn.Linear(input_size + hidden_size, 2 * hidden_size)
        self.unread = nn.Parameter(torch.ones(3))
        self.register_buffer("scale", torch.linspace(0.5, 1.0, hidden_size))
        self.hidden_size = hidden_size

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        candidate, gate = self.gates(torch.cat([x, h], dim=1)).chunk(2, dim=1)
        return h + gate.sigmoid() * (self.scale * candidate.tanh() - h)


class DeepCell(nn.Module):
    \"\"\"Output and two states of different widths, and a matrix that is used twice.\"\"\"

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.first = nn.Linear(input_size, hidden_size)
        self.second = self.again = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size + 2, 4)
        self.state_size = (hidden_size, 2)

    def forward(self, x, states):
        h, slow = states
        h = torch.tanh(self.first(x) + self.second(h) + self.again(h.relu()))
        slow = 0.9 * slow + 0.1 * h[:, :2]
        return self.out(torch.cat([h, slow], dim=1)), (h, slow)


class LearntCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.start = nn.Parameter(torch.ones(hidden_size))
        self.both = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h=None):
        h = self.start.expand(len(x), -1) if h is None else h
        return self.both(torch.cat([x, h], dim=1)).tanh()


class FirmCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.both = nn.Linear(input_size + hidden_size, hidden_size)
        self.hidden_size = hidden_size

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        h = self.both(torch.cat([x, h], dim=1)).tanh()
        return 0.5 * h if self.training else h
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "own_cells.py"
    path.write_text(CELLS)
    return path


def network(name: str, rows: Rows, double: bool = False, outputs: int = CLASSES) -> Any:
    torch.manual_seed(0)
    given: dict[str, Any] = {"hidden_size": 7}
    given |= {"inputs": "values", "num_features": FEATURES} if rows.values else {"vocab_size": SYMBOLS + 1}
    if rows.target == "number":
        given |= {"num_labels": 1, "problem_type": "regression"}
    elif rows.target != "next_symbol":
        given |= {"num_labels": outputs}
        if outputs == 1:
            given |= {"problem_type": "multi_label_classification"}
    model = build_model(build_config(name, **given), HEADS[rows.target])
    model.config.logistic_outputs = False  # a field of other families that `train_in_torch` reads
    return model.double() if double else model


def in_native_form(model: nn.Module, head: str) -> NativeModel:
    found = native_model(model, head)
    assert isinstance(found, NativeModel), found
    return found


def check(
    name: str,
    rows: Rows,
    method: OptimizerSettings = ADAM,
    size: int = 5,
    double: bool = True,
    outputs: int = CLASSES,
    instruction_set: str | None = None,
) -> None:
    """Train natively and in torch, and compare weights and metrics."""
    given, in_torch = (network(name, rows, double, outputs) for _ in range(2))
    model = in_native_form(given, HEADS[rows.target])
    fit = NativeTrainer(model, objective(rows, outputs), method, instruction_set=instruction_set)
    rates = np.linspace(0.02, 0.01, -(-rows.count // size)) * (1 if double else 0.2)
    evaluated = fit.evaluate(rows.inputs, rows.lengths, rows.labels)
    expected = train_in_torch(in_torch, rows, method, size, rates)
    found = fit.train(rows.inputs, rows.lengths, rows.labels, size, rates)
    fit.write_to(model)
    tolerance = 1e-9 if double else 2e-5
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 if double else tolerance)
    np.testing.assert_allclose(found[:size], evaluated[:size], rtol=1e-5, atol=1e-6)
    trained = with_weights(model)
    for (key, one), two in zip(trained.named_parameters(), in_torch.parameters(), strict=True):
        torch.testing.assert_close(
            one, two, rtol=tolerance, atol=tolerance, msg=lambda text, key=key: f"{name} {key}: {text}"
        )
    # outputs of the head at real steps
    batch = {key: each for key, each in rows.batch(slice(rows.count)).items() if key != "labels"}
    batch = {key: each.to(trained.dtype) if each.is_floating_point() else each for key, each in batch.items()}
    trained.eval()
    with torch.no_grad():
        logits = trained(**batch).logits.numpy()
    own_logits = fit.logits(rows.inputs, rows.lengths)
    if rows.target == "next_symbol":
        logits = logits[..., 1:]  # without padding, the first id
    if rows.target in ("step_class", "next_symbol"):
        real = rows.real != 0
        logits, own_logits = logits[real], own_logits[real]
    np.testing.assert_allclose(own_logits, logits, rtol=1e-5, atol=1e-6 if double else 1e-4)


PUBLISHED = ("MGU", "LEM", "coRNN", "UnICORNN", "TGRU", "MCLSTM", "tauGRU", "IndRNN")


@pytest.mark.fast_cases("UnICORNN-class", "TGRU-step_class")
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("cell", PUBLISHED)
def test_published_cells_and_every_target(cell: str, target: str) -> None:
    pytest.importorskip("torchrecurrent")
    for values in (False, True):
        if values and target == "next_symbol":
            continue
        check(f"torchrecurrent:{cell}", Rows(target, values))
        check(f"torchrecurrent:{cell}", Rows(target, values, count=19), double=False)


@pytest.mark.fast_cases("GatedCell", "DeepCell?num_layers=3")
@pytest.mark.parametrize("cell", ["GatedCell", "DeepCell", "GatedCell?num_layers=2", "DeepCell?num_layers=3"])
def test_own_cells_and_layers(cell: str, own: Path) -> None:
    for target in ("class", "next_symbol"):
        check(f"{own}:{cell}", Rows(target))
    check(f"{own}:{cell}", Rows("step_class", values=True, count=19), double=False)


@pytest.mark.fast_cases("CfC?backbone_units=6")
@pytest.mark.parametrize("layer", ["CfC?backbone_units=6", "CfC?mixed_memory=true"])
def test_layers_of_ncps(layer: str) -> None:
    pytest.importorskip("ncps")
    rows = Rows()
    check(f"ncps.torch:{layer}", rows)
    reasons = {
        "CfC?proj_size=7": "CfC has a projection of its outputs",
        "LTC": "some weights have requires_grad=False",  # masks of a wiring
    }
    for name, reason in reasons.items():
        assert native_model(network(f"ncps.torch:{name}", rows), "sequence") == reason


@pytest.mark.fast_cases("adamw", "sgd1")
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_optimizer(method: OptimizerSettings, own: Path) -> None:
    """A weight that no step reads has no gradient, so that weight decay leaves it alone; padding is never predicted."""
    for target in ("number", "next_symbol"):
        check(f"{own}:GatedCell", Rows(target), method)


@pytest.mark.fast_cases("baseline")
@pytest.mark.parametrize("instruction_set", SETS)
def test_every_instruction_set_and_size_of_a_batch(instruction_set: str, own: Path) -> None:
    for size in (1, 3, 16, 50, 90):
        rows = Rows("step_class", count=2 * size + 1, steps=23)
        check(f"{own}:GatedCell", rows, size=size, instruction_set=instruction_set)
        check(f"{own}:GatedCell", rows, size=size, double=False, instruction_set=instruction_set)


def test_a_single_logit_for_two_classes(own: Path) -> None:
    check(f"{own}:GatedCell", Rows(classes=2), outputs=1)


def test_training_continues_from_a_state(own: Path) -> None:
    rows = Rows("next_symbol", count=40)
    first, second = (
        NativeTrainer(in_native_form(network(f"{own}:DeepCell", rows), "causal"), objective(rows), ADAM)
        for _ in range(2)
    )
    halves = [(rows.inputs[part], rows.lengths[part], None, 4, np.full(5, 0.02)) for part in (slice(20), slice(20, 40))]
    first.train(*halves[0])
    second.restore(first.state())
    np.testing.assert_array_equal(second.train(*halves[1]), first.train(*halves[1]))
    assert first.state() == second.state()


def test_what_is_not_supported(own: Path) -> None:
    rows = Rows()
    reasons = {
        "LearntCell": "the initial state of LearntCell is not zero",
        "FirmCell": "FirmCell differs between training and evaluation",
        "GatedCell?bidirectional=true": "cells in both directions are not supported natively",
        "GatedCell?num_layers=2&dropout=0.5": "dropout between layers is not supported natively",
    }
    for name, reason in reasons.items():
        assert native_model(network(f"{own}:{name}", rows), "sequence") == reason
    frozen = network(f"{own}:GatedCell", rows)
    frozen.classifier.requires_grad_(False)
    assert native_model(frozen, "sequence") == "some weights have requires_grad=False"
    hooked = network(f"{own}:GatedCell", rows)
    hooked.model.inner.register_forward_hook(lambda *_: None)
    assert native_model(hooked, "sequence") == "a module of the model is modified"
    model = in_native_form(network(f"{own}:GatedCell", rows), "sequence")
    with pytest.raises(InvalidConfigError, match="the head 'sequence' does not have the target 'step_class'"):
        NativeTrainer(model, objective(Rows("step_class")), ADAM)
    with pytest.raises(InvalidConfigError, match="the head has 3 outputs, not 5"):
        NativeTrainer(model, objective(rows, 5), ADAM)
