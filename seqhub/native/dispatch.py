"""Dispatch from the recurrent models to the native kernels.

The modelling files of the families `recurrent` and `hs97` are saved with the weights and do not import seqhub. They
look up this module in `sys.modules`; `import seqhub` loads it before any model (`seqhub._hooks`). Saved copies of these
files call `run`, so its signature must not change.
"""

import sys
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from seqhub.errors import InvalidInputError
from seqhub.native import model
from seqhub.native.eligibility import are_plain, executes_eagerly
from seqhub.native.loader import mask_spans_function, reason
from seqhub.native.memory_blocks import Units, memory_blocks
from seqhub.native.operator import recurrence

_ALL_REAL, _CONTIGUOUS = 0, 1  # values of MaskKind in src/problem.h
_LANES = 16  # sequences in the widest vector
_MAX_FEATURES = {"rnn_tanh": 128, "rnn_relu": 128, "gru": 256, "lstm": 128}  # with more, torch's product is faster
_TYPES: dict[str, Any] = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
_FORWARDS = {kind: kind.forward for kind in _TYPES.values()}  # to detect libraries that replace one
_WEIGHTS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
_BLOCK_WEIGHTS = ["weight_ih_l0", "weight_hh_l0", "bias_l0"]
_SETTINGS = itemgetter("num_layers", "bias", "batch_first", "bidirectional", "proj_size", "mode")
_CALL_ATTRIBUTES = frozenset(("forward", "_call_impl", "_compiled_call_impl"))  # on an instance, they change its call
_BLOCKS = "lstm_hs97"
_FLOATS = (torch.float32, torch.float64)
_INTEGERS = (torch.bool, torch.int64, torch.int32, torch.int8, torch.uint8)


def run(
    inputs: Tensor,
    mask: Tensor | None,
    layers: Iterable[nn.Module],
    cell: str,
    vocab_size: int,
    pad_token_id: int | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    output_states: bool,
) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """Run the layers of a recurrent model, if the library supports them and is not slower.

    Args:
        inputs: (B, T) ids, where id i is the one-hot vector number (i - pad - 1) mod vocab_size and padding the zero
            vector; or (B, T, F) values.
        mask: (B, T), nonzero at real steps; None if all steps are real.
        layers: Modules with attributes `recurrence` and `recurrence_reverse` (or None) of one layer and direction each.
        cell: A key of `_TYPES`, or `_BLOCKS`.
        vocab_size: Number of ids.
        pad_token_id: Id of padding, or None.
        h_0: (layers, B, H), initial states; None for zero.
        c_0: Initial cell states of an LSTM, in the same form.
        output_states: Whether to return the first item.

    Returns:
        States of the last layer, (B, T, D * H), zero at padded steps; last states, (layers * D, B, H); last cell states
        of an LSTM, or cell states and gate activations of memory cell blocks. None if the modules of torch are to run.
    """
    if not executes_eagerly() or reason() is not None or torch.is_autocast_enabled("cpu") or _has_any_global_hook():
        return None
    modules: list[Any] = []
    bidirectional = None
    for layer in layers:
        if not _is_plain_layer(layer) or bidirectional not in (None, layer.recurrence_reverse is not None):
            return None
        bidirectional = layer.recurrence_reverse is not None
        modules += [layer.recurrence, layer.recurrence_reverse] if bidirectional else [layer.recurrence]
    if cell == _BLOCKS:
        weights = None if bidirectional else block_weights(modules)
        if weights is None or not _blocks_are_supported(modules):
            return None
    else:
        weights = cell_weights(modules, cell)
    if weights is None or not _is_supported(inputs, weights, (mask, h_0, c_0), cell):
        return None
    spans = None
    if mask is not None:
        mask_spans = _mask_spans(mask)
        if mask_spans is None:
            return None
        spans = mask_spans if mask_spans.numel() else None
    columns = one_hot_columns(vocab_size, pad_token_id) if inputs.dim() == 2 else None
    try:
        if cell == _BLOCKS:
            return _run_blocks(inputs, modules, columns, spans, h_0, c_0)
        states, h_n, c_n = recurrence(
            inputs,
            weights,
            cell,
            columns=columns,
            spans=spans,
            h_0=h_0,
            c_0=c_0,
            bidirectional=bool(bidirectional),
            output_states=output_states,
        )
    except InvalidInputError:  # invalid shapes, or different ones in each layer: left to the modules, which may raise
        return None
    return states, h_n, c_n if cell == "lstm" else None


def _module_weights(module: Any, cell: str) -> list[Tensor] | None:
    """Return the weights of one module; see `cell_weights`."""
    kind = _TYPES[cell]
    attributes = module.__dict__
    if (
        type(module) is not kind
        or kind.forward is not _FORWARDS[kind]
        or attributes["_flat_weights_names"] != _WEIGHTS
        or _SETTINGS(attributes) != (1, True, True, False, 0, cell.upper())
        or _is_modified(module)
        or not attributes.keys().isdisjoint(_WEIGHTS)  # computed instead of parameters
    ):
        return None
    parameters = attributes["_parameters"]
    for name, weight in zip(_WEIGHTS, attributes["_flat_weights"], strict=True):
        if parameters.get(name) is not weight:
            module._update_flat_weights()  # as in its forward pass
            break
    weights: list[Tensor] = attributes["_flat_weights"]
    return weights


def _is_plain_layer(layer: Any) -> bool:
    """Return whether a layer is from a modelling file, and only calls its recurrences."""
    return (
        _is_layer(type(layer))
        and not _is_modified(layer)
        and not (layer.training and (layer.dropout or layer.gradient_checkpointing))
    )


def _is_layer(kind: type[Any]) -> bool:
    """Return whether a class is the layer of a modelling file, including files saved by version 0.1."""
    if kind.__name__ not in ("RecurrentLayer", "Hs97Layer"):
        return False
    forward = kind.forward
    return (
        forward.__qualname__ == "BaseLayer.forward" and forward.__module__.endswith("modeling_base")
    ) or _is_from_modeling_file(kind, "RecurrentLayer", "modeling_recurrent")


def _is_from_modeling_file(kind: type[Any], name: str, file: str) -> bool:
    """Return whether a class is from a modelling file; each model folder has a copy of these files."""
    forward = kind.forward
    return kind.__name__ == name and forward.__qualname__ == f"{name}.forward" and forward.__module__.endswith(file)


def cell_weights(modules: list[Any], cell: str) -> list[Tensor] | None:
    """Return the weights that recurrences use; None if calling a recurrence may have other effects.

    Args:
        modules: Recurrences of one layer and direction each.
        cell: A key of `_TYPES`.

    Returns:
        Tensors of each module in the order of `_WEIGHTS`, independent of the order of the parameters.
    """
    weights: list[Tensor] = []
    for module in modules:
        of_module = _module_weights(module, cell)
        if of_module is None:
            return None
        weights += of_module
    return weights


def block_weights(modules: list[Any]) -> list[Tensor] | None:
    """Return the weights of memory cell blocks, as `cell_weights` does, without missing ones."""
    weights: list[Tensor] = []
    for module in modules:
        parameters = module._parameters
        if (
            not _is_from_modeling_file(type(module), "MemoryBlocks", "memory_blocks")
            or _is_modified(module)
            or any(getattr(module, name) is not parameters.get(name) for name in _BLOCK_WEIGHTS)
        ):
            return None
        bias = module.bias_l0
        if bias is not None and len(bias) not in (module.num_gates, module.num_gates + module.hidden_size):
            return None
        weights += [parameters[name] for name in _BLOCK_WEIGHTS if parameters.get(name) is not None]
    return weights


def _blocks_are_supported(modules: list[Any]) -> bool:
    """Return whether memory cell blocks can run natively, with truncated gradients or without gradients."""
    return all(
        module.weight_hh_l0 is not None and (module.truncated or not torch.is_grad_enabled()) for module in modules
    )


def _run_blocks(
    inputs: Tensor,
    modules: list[Any],
    columns: Tensor | None,
    spans: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run memory cell blocks layer by layer."""
    ends = []
    for index, module in enumerate(modules):
        units = Units(
            cells=module.hidden_size,
            block_size=module.block_size,
            output_gates=module.num_gates > module.num_blocks,
            squash_input=module.squash_input,
            squash_output=module.squash_output,
        )
        start = {} if h_0 is None or c_0 is None else {"h_0": h_0[index], "m_0": c_0[index]}
        weights = module.weight_ih_l0, module.weight_hh_l0, module.bias_l0
        inputs, h_n, m_n = memory_blocks(inputs, weights, units, columns=columns, spans=spans, **start)
        columns = None
        ends.append((h_n, m_n))
    return inputs, torch.stack([h_n for h_n, _ in ends]), torch.stack([m_n for _, m_n in ends])


def _is_supported(inputs: Tensor, weights: list[Tensor], others: tuple[Tensor | None, ...], cell: str) -> bool:
    """Return whether all tensors are plain and of supported types, with sizes at which the library is not slower."""
    if not are_plain((inputs, *others, *weights)):
        return False
    dtype = weights[0].dtype
    features = inputs.size(2) if inputs.dim() == 3 else 0
    return (
        dtype in _FLOATS
        and inputs.dtype is (torch.int64 if inputs.dim() == 2 else dtype)
        and (
            cell == _BLOCKS or is_faster_than_torch(cell, inputs.size(0), inputs.size(1), weights[1].size(-1), features)
        )
    )


def is_faster_than_torch(cell: str, batch: int, steps: int, hidden: int, features: int = 0) -> bool:
    """Return whether the library is at least as fast as the module of torch, both in forward and with backward.

    The rules are from measurements with 1 to 256 sequences of 110 steps, of one step, for which `nn.RNN` needs little
    more than two matrix products, and of real-valued inputs of 1 to 300 steps (`python -m benchmarks grid`). The
    library always computes full vectors of sequences, so that with few sequences torch's matrix products are faster for
    a wide LSTM.

    Args:
        cell: One of the cells of `run` but memory cell blocks.
        batch: B.
        steps: T.
        hidden: H.
        features: F; 0 for ids.
    """
    if steps == 1 and cell.startswith("rnn"):
        return False
    if features and _is_slow_with_values(cell, batch, steps, hidden, features):
        return False
    if cell != "lstm":
        return hidden <= 64 or (hidden <= 128 and batch >= 2)
    filled = _filled(batch)
    return (
        hidden <= 16
        or (hidden <= 32 and batch >= 8)
        or (hidden <= 64 and batch >= 12 and filled >= 0.75)
        or (hidden <= 128 and batch >= 32 and filled >= 0.9)
    )


def _is_slow_with_values(cell: str, batch: int, steps: int, hidden: int, features: int) -> bool:
    """Return whether real-valued inputs are so wide, or steps or sequences so few, that torch is faster.

    torch multiplies the inputs of all steps at once, and its LSTM pads no vectors of sequences; with many steps, the
    cost of its call does not matter. The library reorders its weights in every call, which takes longer than a few
    steps.
    """
    if features > _MAX_FEATURES[cell]:
        return True
    if cell == "gru":
        return (features * hidden > 1024 and batch < 8) or steps < 4
    if cell != "lstm":
        return (features * hidden > 1024 and batch < 8) or steps < (8 if batch < 16 else 4)
    if (steps == 1 and batch < 4) or (steps < 4 and features * hidden > 4096):
        return True
    if batch < 8:
        return hidden * (hidden + features) > (128 if hidden <= 8 else 64) * batch
    if hidden <= 8:
        return False
    return _filled(batch) < (0.85 if hidden > 16 or features > 32 else 0.56)


def _filled(batch: int) -> float:
    """Return the share of the lanes of vectors that have a sequence."""
    return batch / (-(-batch // _LANES) * _LANES)


def _is_modified(module: Any) -> bool:
    """Return whether a module has hooks, or an instance attribute that changes its call."""
    attributes = module.__dict__
    return bool(
        attributes["_forward_hooks"]
        or attributes["_forward_pre_hooks"]
        or attributes["_backward_hooks"]
        or attributes["_backward_pre_hooks"]
        or not _CALL_ATTRIBUTES.isdisjoint(attributes)
    )


def _mask_spans(mask: Tensor) -> Tensor | None:
    """Return the first real step and the number of real steps of each row.

    Returns:
        (2, B); empty if all steps are real; None if a row has a gap or no real step.
    """
    rows, steps = mask.shape
    mask = (mask if mask.dtype in _INTEGERS else mask.bool()).contiguous()
    spans = torch.empty((2, rows), dtype=torch.int64, device="cpu")
    kind = mask_spans_function()(mask.data_ptr(), mask.element_size(), rows, steps, spans.data_ptr())
    if kind == _ALL_REAL:
        return spans[:0]
    return spans if kind == _CONTIGUOUS else None


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # the result is cached, and tensors created in inference mode cannot be saved for backward
def one_hot_columns(vocab_size: int, pad: int | None) -> Tensor:
    """Return the column of the one-hot vector of each id, -1 for padding: (vocab_size,) int32."""
    return torch.from_numpy(model.one_hot_columns(vocab_size, pad))


sys.modules["seqhub.kernels.hook"] = sys.modules[__name__]  # name in modelling files saved by version 0.1
