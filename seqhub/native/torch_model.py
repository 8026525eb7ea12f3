"""Weights of recurrent models of torch, for native training."""

from typing import Any

import torch
from torch import Tensor, nn

from seqhub.native.dispatch import block_weights, cell_weights
from seqhub.native.model import HEADS, NativeModel

_BLOCKS = "lstm_hs97"


def native_model(model: Any, head: str) -> NativeModel:
    """Return a copy of a model, of a class for which `unsupported_module` is None.

    Args:
        model: A `RecurrentFor...` or `Hs97For...`.
        head: A key of `native.model.HEADS`.
    """
    weights = {name: each.detach().numpy().copy() for name, each in model.named_parameters()}
    order = {id(each): number for number, each in enumerate(weights_of(model) or ())}
    names = sorted(weights, key=lambda name: order[id(model.get_parameter(name))])
    return NativeModel(model.config, head, {name: weights[name] for name in names}, model)


def with_weights(model: NativeModel) -> Any:
    """Return the module of a model, after copying the weights into it."""
    module: Any = model.module
    with torch.no_grad():
        for name, each in model.weights.items():
            module.get_parameter(name).copy_(torch.from_numpy(each))
    return module


def unsupported_module(model: nn.Module) -> str | None:
    """Return the reason why the modules and parameters of a model cannot be trained natively; None if they can."""
    parameters = list(model.parameters())
    dtypes = {parameter.dtype for parameter in parameters}
    if dtypes not in ({torch.float32}, {torch.float64}) or any(each.device.type != "cpu" for each in parameters):
        return "only float32 or float64 weights on a CPU are supported natively"
    if not all(each.requires_grad for each in parameters):
        return "some weights have requires_grad=False"
    weights = weights_of(model)
    if weights is None or sorted(map(id, weights)) != sorted(map(id, parameters)):
        return "a module or parameter of the model was replaced, shared or hooked"
    return None


def weights_of(model: Any) -> list[Tensor] | None:
    """Return the weights of layers, directions and head in the order of src/problem.h; None if modules are modified."""
    modules = [
        module
        for layer in model.model.layers
        for module in (layer.recurrence, layer.recurrence_reverse)
        if module is not None
    ]
    cell, head = model.config.cell, head_of(model)
    weights = block_weights(modules) if cell == _BLOCKS else cell_weights(modules, cell)
    if weights is None or type(head) is not nn.Linear or not vars(head).keys().isdisjoint(("weight", "forward")):
        return None
    return [weight for weight in (*weights, head.weight, head.bias) if weight is not None]


def head_of(model: Any) -> nn.Linear:
    """Return the readout of a model."""
    head: nn.Linear = getattr(model, next(name for name in HEADS.values() if hasattr(model, name)))
    return head


@torch.no_grad()
def mark_changed(model: nn.Module) -> None:
    """Increase the versions of weights that were changed through their memory, so that autograd detects it."""
    for weight in weights_of(model) or ():
        torch.autograd.graph.increment_version(weight)
