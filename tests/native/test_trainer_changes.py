"""Models with modified modules or parameters are trained natively with these parameters, or not natively."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from seqhub.errors import InvalidConfigError
from seqhub.models.registry import build_config, build_model
from seqhub.native.trainer import NativeTrainer, Objective, OptimizerSettings, unsupported_reason
from tests.helpers.native_cases import SETS

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
OBJECTIVE = Objective(target="class", outputs=4)


def make(cell: str = "lstm") -> Any:
    torch.manual_seed(0)
    return build_model(build_config(cell, num_labels=4), "sequence")


def trained(model: Any) -> list[torch.Tensor]:
    random = np.random.default_rng(0)
    fit = NativeTrainer(model, OBJECTIVE, OptimizerSettings())
    inputs = random.integers(1, 9, (8, 6)).astype(np.uint8)
    fit.train(inputs, np.full(8, 6), random.integers(0, 4, 8), 4, np.array([0.1, 0.1]))
    fit.write_to(model)
    return [weights for _, weights in sorted(model.state_dict().items())]


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm", "lstm_hs97"])
def test_parameters_in_another_order_are_trained_by_name(cell):
    expected, model = trained(make(cell)), make(cell)
    for module in (model.model.layers[0].recurrence, model.classifier):
        for name in sorted(dict(module.named_parameters())):
            weight = getattr(module, name)
            delattr(module, name)
            module.register_parameter(name, weight)
    for one, two in zip(trained(model), expected, strict=True):
        assert torch.equal(one, two)


def test_modified_modules_are_not_trained_natively():
    def pruned(model: Any) -> None:
        prune.l1_unstructured(model.model.layers[0].recurrence, "weight_hh_l0", 0.5)

    def pruned_head(model: Any) -> None:
        prune.l1_unstructured(model.classifier, "weight", 0.5)

    def shared(model: Any) -> None:
        module = model.model.layers[0].recurrence
        module.bias_hh_l0 = module.bias_ih_l0

    def extended(model: Any) -> None:
        model.extra = nn.Linear(2, 2)

    def other_head(model: Any) -> None:
        model.classifier = nn.Sequential(model.classifier)
        model.classifier.out_features = 4

    for change in (pruned, pruned_head, shared, extended, other_head):
        model = make()
        change(model)
        assert (
            unsupported_reason(model, OBJECTIVE) == "a module or parameter of the model was replaced, shared or hooked"
        )
        with pytest.raises(InvalidConfigError, match="replaced, shared or hooked"):
            NativeTrainer(model, OBJECTIVE, OptimizerSettings())
