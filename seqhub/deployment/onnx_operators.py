"""Translation of torch recurrences to the ONNX operators LSTM, GRU and RNN.

Without it, torch.onnx.export translates a recurrence of `seqhub.models` to a Scan node, which is correct, but slower in
onnxruntime and not supported by its quantization.

Shapes: B sequences, T steps, F features of the input, H units, G gates.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}
"""Indices of the ONNX gates in torch's order: i o f c in i f g o, and z r h in r z n."""

_LIBRARY = torch.library.Library("seqhub_onnx", "DEF")
_LIBRARY.define("recurrence(Tensor inputs, Tensor w, Tensor r, Tensor b, str mode) -> Tensor")


@torch.library.register_fake("seqhub_onnx::recurrence", lib=_LIBRARY)
def _shape(inputs: Tensor, w: Tensor, r: Tensor, b: Tensor, mode: str) -> Tensor:
    return inputs.new_empty(inputs.size(0), inputs.size(1), r.size(2))


class OnnxRecurrence(nn.Module):
    """Replacement for `nn.LSTM`, `nn.GRU` or `nn.RNN` during the export; it cannot be run.

    Args:
        module: Recurrence with `batch_first` and biases, in one direction.
    """

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        self.mode, self.num_layers = module.mode, module.num_layers
        for layer in range(module.num_layers):
            w, r, b_ih, b_hh = (
                self._reordered(getattr(module, f"{name}_l{layer}"))
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            for name, values in (("w", w), ("r", r), ("b", torch.cat((b_ih, b_hh)))):
                self.register_buffer(f"{name}_{layer}", values.unsqueeze(0))

    def _reordered(self, weights: Tensor) -> Tensor:
        """Return weights (G x H, ...) with the gates in the order of ONNX."""
        gates = weights.detach().chunk(len(_ORDER[self.mode]))
        return torch.cat([gates[number] for number in _ORDER[self.mode]])

    def forward(self, inputs: Tensor, start: None = None) -> tuple[Tensor, None]:
        """Return the states of the last layer, (B, T, H), from a zero state."""
        for layer in range(self.num_layers):
            weights = (self.get_buffer(f"{name}_{layer}") for name in "wrb")
            inputs = torch.ops.seqhub_onnx.recurrence(inputs, *weights, self.mode)
        return inputs, None


def replace_recurrences(model: "PreTrainedModel") -> "PreTrainedModel":
    """Return a copy of a model in which every recurrence of torch is replaced by an `OnnxRecurrence`.

    Recurrences on one-hot vectors that are wider than their product with the weights are kept and become Scan nodes.
    Their product is a lookup, since one-hot vectors of a large vocabulary would not fit into memory. The decoder of an
    encoder-decoder is kept, too, because it starts from a state that is not zero.
    """
    changed = copy.deepcopy(model)
    by_columns = getattr(model.config, "inputs", None) == "one_hot"
    base: Any = changed.base_model
    kept = set(base.decoder.modules()) if model.config.is_encoder_decoder else set()
    for parent in [module for module in changed.modules() if module not in kept]:
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.RNNBase) and not (by_columns and getattr(parent, "is_wide", False)):
                setattr(parent, name, OnnxRecurrence(child))
    return changed


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the `custom_translation_table` for torch.onnx.export."""
    from onnxscript import opset18 as op

    def recurrence(inputs: Any, w: Any, r: Any, b: Any, mode: str) -> Any:
        size = r.shape[2]
        steps_first = op.Transpose(inputs, perm=[1, 0, 2])
        if mode == "LSTM":
            states, _, _ = op.LSTM(steps_first, w, r, b, hidden_size=size)
        elif mode == "GRU":
            states, _ = op.GRU(steps_first, w, r, b, hidden_size=size, linear_before_reset=1)
        else:
            states, _ = op.RNN(
                steps_first, w, r, b, hidden_size=size, activations=["Relu" if mode == "RNN_RELU" else "Tanh"]
            )
        direction: Any = op.Constant(value_ints=[1])  # axis of the directions, which has size 1
        return op.Transpose(op.Squeeze(states, direction), perm=[1, 0, 2])

    return {torch.ops.seqhub_onnx.recurrence.default: recurrence}
