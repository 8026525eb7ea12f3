"""Models of compiled cells in the form of `seqhub.native.trainer`, which trains them whole in native code."""

import copy
import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqhub.cells import dispatch, ncps, torchrecurrent
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.kernel import Kernel, lower_cell
from seqhub.cells.snapshot import is_modified
from seqhub.cells.writer import write_source
from seqhub.models.wrapped.recurrent_cell import CellLayer, CellStack, StateForm
from seqhub.native.compiled_cells import CompiledCells, CompiledLayer
from seqhub.native.model import HEADS, NativeModel

MODEL_TYPE = "seqhub_wrapped"


class Cell(NamedTuple):
    """Cell of a layer.

    Args:
        module: The cell.
        owner: Module for whose life its kernel is kept.
        form_of: Returns the form of its state for inputs (B, T, F).
    """

    module: nn.Module
    owner: nn.Module
    form_of: Callable[[Tensor], StateForm]


def native_model(model: Any, head: str) -> NativeModel | str:
    """Return a copy of a model of compiled cells for native training, or the reason why there is none.

    Args:
        model: A `WrappedFor...`, in training mode or not.
        head: A key of `seqhub.native.model.HEADS`.
    """
    module = HEADS.get(head)
    if module is None or not hasattr(model, module):
        return f"{type(model).__name__} has no readout for the target"
    body = model.model
    parameters = {id(each): name for name, each in model.named_parameters()}
    dtypes = {each.dtype for each in model.parameters()}
    if len(dtypes) > 1 or any(each.device.type != "cpu" for each in model.parameters()):
        return "only weights of one type on a CPU are supported natively"
    if not all(each.requires_grad for each in model.parameters()):
        return "some weights have requires_grad=False"
    if body.reads_ids:
        return f"{model.config.source} reads ids itself"
    if hasattr(body, "projection"):
        return f"{model.config.source} has no argument input_size, and reads projected values"
    cells = _cells_of(body.inner)
    if isinstance(cells, str):
        return cells
    (dtype,) = dtypes
    layers: list[CompiledLayer] = []
    width = model.config.hidden_size if model.config.inputs == "ids" else model.config.num_features
    for cell in cells:
        layer = _layer(cell, width, dtype, parameters)
        if isinstance(layer, str):
            return layer
        layers.append(layer)
        width = layer.output
    embedding = "model.embed_tokens.weight" if model.config.inputs == "ids" else None
    structure = CompiledCells(tuple(layers), module, embedding, _predicted(model.config, head))
    names = structure.names
    if len(names) < sum(isinstance(each, str) for layer in layers for each in layer.weights) + (embedding is not None):
        return "a weight of several layers is shared"
    weights = {name: each.detach().numpy().copy() for name, each in model.named_parameters()}
    return NativeModel(model.config, head, weights, model, structure)


def _predicted(config: Any, head: str) -> Any:
    """Return the ids that the readout predicts, in the order of one-hot vectors; None for other heads."""
    if head != "causal" or config.pad_token_id is None:
        return None
    symbols = torch.arange(config.vocab_size - 1)
    return ((symbols + config.pad_token_id + 1) % config.vocab_size).numpy()


def _cells_of(inner: nn.Module) -> list[Cell] | str:
    """Return the cells of the layers of a module, or the reason why they are not supported."""
    if is_modified(inner):
        return "a module of the model is modified"
    if isinstance(inner, (CellLayer, CellStack)):
        layers: list[Any] = [inner] if isinstance(inner, CellLayer) else list(inner.layers)
        if isinstance(inner, CellStack) and inner.directions > 1:
            return "cells in both directions are not supported natively"
        if isinstance(inner, CellStack) and inner.dropout.p and len(layers) > 1:
            return "dropout between layers is not supported natively"
        return [Cell(each.cell, each.cell, each.form) for each in layers]
    if (of_ncps := ncps.cells_of(inner)) is not None:
        return _cells_of_ncps(inner, of_ncps)
    found = torchrecurrent.cells_of(inner)
    if found is None or not inner.__dict__["batch_first"]:
        return f"{type(inner).__name__} is not a layer of a cell"
    dropout: Any = getattr(inner, "dropout_layer", None)
    if len(found) > 1 and dropout is not None and dropout.p:
        return "dropout between layers is not supported natively"
    owners = inner.__dict__["_modules"]["cells"]
    return [Cell(cell, owner, partial(_same, form)) for (cell, form), owner in zip(found, owners, strict=True)]


def _cells_of_ncps(inner: Any, found: list[tuple[nn.Module, StateForm]]) -> list[Cell] | str:
    """Return the cell of a layer of ncps, or the reason why it is not supported."""
    if not (inner.batch_first and inner.return_sequences):
        return f"{type(inner).__name__} is not a layer of a cell"
    if isinstance(getattr(inner, "fc", None), nn.Linear):
        return f"{type(inner).__name__} has a projection of its outputs"
    return [Cell(cell, inner, partial(_same, form)) for cell, form in found]


def _same(form: StateForm, inputs: Tensor) -> StateForm:
    return form


def _layer(cell: Cell, width: int, dtype: torch.dtype, names: dict[int, str]) -> CompiledLayer | str:
    """Return the layer of a cell for inputs of a width, or the reason why there is none.

    Args:
        cell: The cell.
        width: Width of the inputs.
        dtype: Type of inputs and weights.
        names: Name of each parameter of the model by its identity.
    """
    kind = type(cell.module).__name__
    form = cell.form_of(torch.zeros(1, 1, width, dtype=dtype))
    if not form.starts_at_zero:
        return f"the initial state of {kind} is not zero"
    found = dispatch.kernel_of(cell.module, form, width, dtype, cell.owner)
    if found is None:
        return f"{kind} runs as a plain loop"
    kernel, leaves = found
    if kernel.has_prelude:
        return f"{kind} computes weights before its first step"
    if not _is_same_without_training(cell.module, kernel, width):
        return f"{kind} differs between training and evaluation"
    weights: list[Any] = []
    for leaf in kernel.weights_of(leaves):
        if leaf.requires_grad and id(leaf) not in names:
            return f"{kind} reads a weight that is not a parameter of the model"
        if leaf.dtype is not dtype or not leaf.is_contiguous():
            return f"{kind} reads a tensor of another type or layout than the weights"
        weights.append(names[id(leaf)] if id(leaf) in names else leaf.detach().numpy().copy())
    return CompiledLayer(
        **{name: _address(getattr(kernel, name)) for name in ("forward", "backward")},
        saved_bytes=_address(kernel.saved_size),
        forward_scratch=kernel.forward_scratch,
        backward_scratch=kernel.backward_scratch,
        features=width,
        output=kernel.source.output,
        widths=tuple(form.widths),
        weights=tuple(weights),
        library=kernel,
    )


def _is_same_without_training(cell: nn.Module, kernel: Kernel, width: int) -> bool:
    """Return whether the step of a cell is the same in training and in evaluation."""
    copied = copy.deepcopy(cell).train(not cell.training)
    try:
        low, _ = lower_cell(copied, kernel.form, width, kernel.dtype)
        return write_source(low, type(cell).__name__) == kernel.source
    except NotCompilableError:
        return False


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
