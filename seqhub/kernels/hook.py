"""What the models of the family `recurrent` ask, if this module is loaded: will you run this natively?

Their files travel with weights and import nothing of seqhub; they look this module up in `sys.modules`. `import
seqhub` sees to it that it is there before any model is (`seqhub._hooks`). Copies of those files that were saved with
older weights ask, too: the signature of `run` is kept as long as its name.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from seqhub.kernels.blocks import Units, memory_blocks
from seqhub.kernels.library import reason, spans_function
from seqhub.kernels.operator import recurrence

_ALL_REAL, _SPANS = 0, 1  # as in native/problem.h
_LANES = 16  # sequences of the widest vector
_TYPES = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
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
    """Run the layers of a recurrent model, if the library fits and is not slower.

    Args:
        inputs: (B, T) ids, of which id i stands for the one-hot vector number (i - pad - 1) mod vocab_size, and padding
            for the zero vector; or (B, T, F) values.
        mask: (B, T), not 0 at real steps; None if all are.
        layers: With a `recurrence` each, and a `recurrence_reverse` or None, of one layer and direction each.
        cell: One of `_TYPES`, or `_BLOCKS`.
        vocab_size: Number of ids.
        pad_token_id: Id of padding, or None.
        h_0: (layers, B, H), initial states; None for zero.
        c_0: The same of the cells of an LSTM.
        output_states: Whether the first item of what is returned is wanted.

    Returns:
        States of the last layer, (B, T, D * H), zero at steps that are not real; last states, (layers * D, B, H); those
        of the cells of an LSTM, or what the modules of memory cell blocks have for them. Or None where the plain
        modules are to run.

    Raises:
        InvalidInputError: An id is out of range.
    """
    if reason() is not None:
        return None
    modules: list[Any] = []
    for layer in layers:
        if _has_hooks(layer):
            return None
        modules += (
            [layer.recurrence] if layer.recurrence_reverse is None else [layer.recurrence, layer.recurrence_reverse]
        )
    bidirectional = layer.recurrence_reverse is not None
    blocks = cell == _BLOCKS and not bidirectional and _truncated(modules)
    if not _fits(inputs, mask, modules, cell, blocks):
        return None
    spans = None
    if mask is not None:
        found = _spans(mask)
        if found is None:
            return None
        spans = found if found.numel() else None
    if blocks:
        columns = one_hot_columns(vocab_size, pad_token_id) if inputs.dim() == 2 else None
        return _run_blocks(inputs, modules, columns, spans, h_0, c_0)
    states, h_n, c_n = recurrence(
        inputs,
        [weight for module in modules for weight in module._parameters.values()],
        cell,
        columns=one_hot_columns(vocab_size, pad_token_id) if inputs.dim() == 2 else None,
        spans=spans,
        h_0=h_0,
        c_0=c_0,
        bidirectional=bidirectional,
        output_states=output_states,
    )
    return states, h_n, c_n if cell == "lstm" else None


def _truncated(modules: list[Any]) -> bool:
    """Whether these are memory cell blocks that run natively: with the truncated gradient, or where there is none.

    They are known by their name: their class travels with weights, and each folder of weights has its own.
    """
    return all(
        type(module).__name__ == "MemoryBlocks"
        and module.weight_hh_l0 is not None
        and (module.truncated or not torch.is_grad_enabled())
        for module in modules
    )


def _run_blocks(
    inputs: Tensor,
    modules: list[Any],
    columns: Tensor | None,
    spans: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer after layer of memory cell blocks."""
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


def _fits(inputs: Tensor, mask: Tensor | None, modules: list[Any], cell: str, blocks: bool) -> bool:
    """Whether these are plain tensors and modules that nobody listens to, of sizes at which the library is faster."""
    kind = _TYPES.get(cell)
    for module in modules:
        if not (blocks or type(module) is kind) or _has_hooks(module):
            return False
    weight: Any = modules[0]._parameters["weight_hh_l0"]
    ids = inputs.dim() == 2
    return (
        weight.dtype in _FLOATS
        and inputs.dtype is (torch.int64 if ids else weight.dtype)
        and _is_plain(weight)
        and _is_plain(inputs)
        and (mask is None or _is_plain(mask))
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and not torch._C._are_functorch_transforms_active()
        and (blocks or worthwhile(cell, inputs.size(0), inputs.size(1), weight.size(-1)))
    )


def worthwhile(cell: str, batch: int, steps: int, hidden: int) -> bool:
    """Whether the library was at least as fast as torch's own module, forward alone and with backward.

    Measured in single precision on 1 to 256 sequences of 110 steps (`docs/performance.md`), and of one step, which
    `nn.RNN` makes of two products with hardly anything around them. The library computes whole vectors of sequences,
    however few there are, which a wide LSTM of torch beats with matrix products.
    """
    if steps == 1 and cell.startswith("rnn"):
        return False
    if cell != "lstm":
        return hidden <= 64 or (hidden <= 128 and batch >= 2)
    filled = batch / (-(-batch // _LANES) * _LANES)
    return (
        hidden <= 16
        or (hidden <= 32 and batch >= 8)
        or (hidden <= 64 and batch >= 12 and filled >= 0.75)
        or (hidden <= 128 and batch >= 32 and filled >= 0.9)
    )


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" and tensor.layout is torch.strided


def _has_hooks(module: Any) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _spans(mask: Tensor) -> Tensor | None:
    """Spans (2, B) of the real steps, without elements where all are; None where a row has a gap, or no real step."""
    rows, steps = mask.shape
    mask = (mask if mask.dtype in _INTEGERS else mask.bool()).contiguous()
    spans = torch.empty((2, rows), dtype=torch.int64)
    outcome = spans_function()(mask.data_ptr(), mask.element_size(), rows, steps, spans.data_ptr())
    if outcome == _ALL_REAL:
        return spans[:0]
    return spans if outcome == _SPANS else None


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is made in that mode could never be saved for a backward pass, and this is kept
def one_hot_columns(vocab_size: int, pad: int | None) -> Tensor:
    """The column of the one-hot vector that each id stands for, -1 for padding: (vocab_size,) int32."""
    ids = torch.arange(vocab_size)
    if pad is None:
        return ids.int()
    return torch.where(ids == pad, -1, (ids - pad - 1) % vocab_size).int()
