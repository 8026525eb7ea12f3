"""Recurrent models: symbols or values in, one label per sequence or per step out, or the next symbol.

This file, `configuration_recurrent.py`, `memory_blocks.py`, `scan.py` and `tracing.py` travel with the weights, so they
import only torch, transformers, huggingface_hub and each other.

Shapes: B sequences, T steps, F features of the input, H = `config.output_size` (both directions side by side).

Padding: a step with `attention_mask` 0 is as if it were not there, wherever it stands. A sequence gives the same
logits, to rounding, padded on the left, on the right, not at all, or alone. Inside, the real steps are brought to the
front, so that no recurrence meets padding before it is done. Nothing is packed: that would cost nn.LSTM its fused CPU
kernel (7x slower at H = 4, T = 110).

Where seqhub has been imported it may run the recurrences natively, many times faster for small networks and to the same
results: see `RecurrentModel._native`. Nothing here needs it.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import _has_any_global_hook
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_recurrent import RecurrentConfig
from .memory_blocks import MemoryBlocks
from .scan import accumulate, run_by_scan
from .tracing import is_exporting, is_recording, is_tracing, real_steps_order


@dataclass
class RecurrentState:
    """Where each sequence of a batch stands: after its last real step, or where it stood if a chunk held none.

    The next steps of the same sequences start from it. `generate` carries it under the name of `past_key_values`,
    and so do the models here. It is never changed by a forward pass, which returns a new one.

    Args:
        hidden: (layers, B, H), the hidden state of every layer.
        cell: (layers, B, H), the cell state of every layer of an LSTM; of `lstm_hs97` (layers, B, U) of its cells and
            then the activations of its gates; None of other cells.
        steps: Number of steps that led here, padding included.
    """

    hidden: Tensor
    cell: Tensor | None = None
    steps: int = 0

    is_compileable: ClassVar[bool] = False  # asked by `generate`, and so is the next
    is_croppable: ClassVar[bool] = False  # back by a step

    def of_layer(self, index: int) -> Any:
        """What one layer starts from, as PyTorch's recurrences take it: (1, B, H), of an LSTM a pair of them."""
        hidden = self.hidden[index : index + 1]
        return hidden if self.cell is None else (hidden, self.cell[index : index + 1])

    def detach(self) -> "RecurrentState":
        """The same state without its history: where truncated backpropagation through time is cut."""
        return RecurrentState(self.hidden.detach(), None if self.cell is None else self.cell.detach(), self.steps)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The steps, under the name by which `generate` asks for them; the same for all layers."""
        return self.steps

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with the rows of `beam_idx`, (B,), as beam search wants it: in place."""
        self.hidden = self.hidden.index_select(1, beam_idx)
        if self.cell is not None:
            self.cell = self.cell.index_select(1, beam_idx)


@dataclass
class RecurrentModelOutput(ModelOutput):
    """States of the recurrence. They are zero at padded steps.

    Args:
        last_hidden_state: (B, T, H), output of the last layer.
        pooler_output: (B, H), one vector per sequence, made as `config.pooling` says.
        past_key_values: Where the sequences stand; with `use_cache`.
        hidden_states: What entered the first layer, (B, T, F), then the output of each layer, (B, T, H).
        cell_states: The cell state of each LSTM layer, (B, T, H), of `lstm_hs97` with the activations of its gates,
            (B, T, U); with `output_hidden_states`.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    past_key_values: RecurrentState | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    cell_states: tuple[Tensor, ...] | None = None


@dataclass
class RecurrentClassifierOutput(ModelOutput):
    """Scores of classes, before any softmax or logistic function.

    Args:
        loss: Scalar, if labels were given.
        logits: (B, num_labels), with a label per step (B, T, num_labels), of next ids (B, T, vocab_size).
        past_key_values: As in `RecurrentModelOutput`.
        hidden_states: As in `RecurrentModelOutput`.
        cell_states: As in `RecurrentModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: RecurrentState | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    cell_states: tuple[Tensor, ...] | None = None


def take_steps(states: Tensor, index: Tensor) -> Tensor:
    """Pick steps of (B, T, F) by an index (B, L), row by row."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.size(-1)))


def is_transformed() -> bool:
    """Return whether a transform of `torch.func` is at work."""
    return torch._C._are_functorch_transforms_active()


@dataclass
class Padding:
    """Where the real steps of a batch stand, and where they stand at the front: in the first L steps.

    Args:
        lengths: (B,), real steps of each row; L is the largest.
        real: (B, L), True at real steps at the front; or (B, T), True at real steps where they are left in place.
        order: (B, L), index that brings them to the front; None if they are there already and L = T.
        back: (B, T), index that puts them back.
    """

    lengths: Tensor
    real: Tensor
    order: Tensor | None = None
    back: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor, *, empty_rows: bool) -> "Padding | None":
        """Read a mask, (B, T), not 0 at real steps; None if every step is real.

        While a program is recorded L = T, and no row is refused.
        """
        mask = mask.bool()
        lengths = mask.sum(1)
        # Values decide nothing: they are of a batch of batches, or of an example
        if is_transformed() or is_recording():
            real = torch.arange(mask.size(1), device=mask.device) < lengths.unsqueeze(1)
            return cls(lengths, real, *real_steps_order(mask))
        counts = lengths.tolist()
        if 0 in counts and not empty_rows:
            raise ValueError(f"every row needs at least one real step, row {counts.index(0)} is all padding")
        if min(counts) == mask.size(1):
            return None
        longest = max(*counts, 1)
        real = torch.arange(longest, device=mask.device) < lengths.unsqueeze(1)
        if torch.equal(real, mask):
            return cls(lengths, real)
        order = mask.int().argsort(dim=1, descending=True, stable=True)[:, :longest]
        return cls(lengths, real, order, back=(mask.cumsum(1) - 1).clamp(min=0))

    def last(self, states: Tensor) -> Tensor:
        """Pick the last real step, (B, F), of (B, L, F); of a row without one, any."""
        return states[torch.arange(states.size(0), device=states.device), self.lengths - 1]

    def front(self, states: Tensor) -> Tensor:
        """Bring the real steps of (B, T, F) to the front: (B, L, F)."""
        return states[:, : self.real.size(1)] if self.order is None else take_steps(states, self.order)

    def reverse(self, states: Tensor) -> Tensor:
        """Reverse the real steps of each row of (B, L, F)."""
        steps = torch.arange(states.size(1), device=states.device)
        return take_steps(states, torch.where(self.real, self.lengths.unsqueeze(1) - 1 - steps, steps))

    def fill(self, states: Tensor, value: float) -> Tensor:
        """Set the padded steps of (B, L, F)."""
        return states.masked_fill(~self.real.unsqueeze(-1), value)


def one_hot_columns(ids: Tensor, vocab_size: int, pad: int | None) -> Tensor:
    """Return the column of each id in the one-hot vectors: id i has column (i - pad - 1) mod vocab_size.

    Padding thus has the column behind the last one, which is that of the zero vector.

    Args:
        ids: (B, T).
        vocab_size: Number of ids.
        pad: Id of padding, or None.

    Raises:
        IndexError: An id is out of range.
    """
    columns = torch.arange(vocab_size, device=ids.device)
    if pad is not None:
        columns = (columns - pad - 1) % vocab_size
    return columns.index_select(0, ids.flatten().long()).view(ids.shape)


def one_hot_vectors(columns: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Make one-hot vectors, (B, T, F), of columns (B, T); column F gives the zero vector."""
    return (columns.unsqueeze(-1) == torch.arange(width, device=columns.device)).to(dtype)


def computes_by_its_weights(module: nn.Module) -> bool:
    """Return whether a recurrence may be computed from its weights in place of calling it.

    Hooks, wrappers, parametrizations, offloading and modules of another class want the call.
    """
    return (
        type(module) in (nn.RNN, nn.GRU, nn.LSTM, MemoryBlocks)
        and getattr(module, "_flat_weights_names", _WEIGHTS) == _WEIGHTS
        and _is_unchanged(module)
    )


_WEIGHTS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
# Attributes of an instance that change its call, or are computed in place of parameters; None where there are none
_CHANGES = "forward", "_compiled_call_impl", "bias_l0", *_WEIGHTS


def _is_unchanged(module: nn.Module) -> bool:
    """Return whether no hook listens to a module, and no attribute of its own changes its call."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    attributes = vars(module)
    return not hooks and not _has_any_global_hook() and all(attributes.get(name) is None for name in _CHANGES)


def input_sums(module: nn.Module, inputs: Tensor) -> Tensor:
    """Product of one-hot or other vectors with `weight_ih_l0`, (B, T, gates x H).

    Args:
        module: For which `computes_by_its_weights` holds.
        inputs: As in `RecurrentLayer.forward`. The product of a one-hot vector is a column of the weights.
    """
    weight: Tensor = module.weight_ih_l0  # type: ignore[assignment]
    if inputs.is_floating_point():
        return F.linear(inputs, weight)
    return F.embedding(inputs.squeeze(-1), F.pad(weight, (0, 1)).t())


def run_on_columns(module: nn.RNNBase | MemoryBlocks, columns: Tensor, start: Any) -> tuple[Tensor, Any]:
    """Run a recurrence on one-hot vectors that are never made.

    Args:
        module: For which `computes_by_its_weights` holds.
        columns: (B, T, 1), as `one_hot_columns` returns them.
        start: As in `RecurrentLayer.forward`.
    """
    if isinstance(module, MemoryBlocks):
        outputs, memory = _unroll(module, columns, start)
        return outputs, (outputs[:, -1:].transpose(0, 1), memory[:, -1:].transpose(0, 1))
    sums = input_sums(module, columns)
    flat = [_identity(sums), *(getattr(module, name) for name in _WEIGHTS[1:])]
    zero = sums.new_zeros(1, sums.size(0), module.hidden_size)
    how = True, 1, 0.0, module.training, False, True
    if module.mode == "LSTM":
        states, *last = torch.lstm(sums, (zero, zero) if start is None else start, flat, *how)
        return states, tuple(last)
    function = {"GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}[module.mode]
    ran: tuple[Tensor, Tensor] = function(sums, zero if start is None else start, flat, *how)
    return ran


def run_by_steps(module: nn.RNNBase, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
    """Run a recurrence step by step: PyTorch's own has no rules for some transforms of `torch.func`.

    Args:
        module: For which `computes_by_its_weights` holds.
        inputs: As in `RecurrentLayer.forward`, and so is `start`.
        start: See `inputs`.
    """
    bias: Tensor = module.bias_ih_l0  # type: ignore[assignment]
    sums = input_sums(module, inputs) + bias
    with_cells = module.mode == "LSTM"
    h = c = sums.new_zeros(sums.size(0), module.hidden_size)
    if start is not None:
        h, c = (start[0][0], start[1][0]) if with_cells else (start[0], c)
    states = []
    for below in sums.unbind(1):
        before = F.linear(h, module.weight_hh_l0, module.bias_hh_l0)  # type: ignore[arg-type]
        if with_cells:
            i, f, g, o = (below + before).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        elif module.mode == "GRU":
            (r, z, n), (r_h, z_h, n_h) = below.chunk(3, dim=-1), before.chunk(3, dim=-1)
            n = (n + (r + r_h).sigmoid() * n_h).tanh()
            h = n + (z + z_h).sigmoid() * (h - n)
        else:
            h = (below + before).relu() if module.mode == "RNN_RELU" else (below + before).tanh()
        states.append(h)
    last = h.unsqueeze(0)
    return torch.stack(states, dim=1), (last, c.unsqueeze(0)) if with_cells else last


def _unroll(blocks: MemoryBlocks, inputs: Tensor, start: Any) -> tuple[Tensor, Tensor]:
    if inputs.is_floating_point():
        return blocks.unroll(inputs, start)
    sums = input_sums(blocks, inputs)
    return blocks.unroll(sums, start, _identity(sums))


def _identity(sums: Tensor) -> Tensor:
    """Input weights of a recurrence that reads sums (B, T, gates x H) as they are."""
    return torch.eye(sums.size(-1), dtype=sums.dtype, device=sums.device)


class RecurrentLayer(GradientCheckpointingLayer):
    """One recurrence, or two that read the steps in opposite order, their outputs side by side."""

    def __init__(self, config: RecurrentConfig, index: int) -> None:
        super().__init__()
        width = config.output_size if index else config.input_size
        self.dropout = config.dropout if index else 0.0
        self.recurrence = self._recurrence(config, width)
        # A module of its own rather than nn.LSTM(bidirectional=True), which would start in the padding
        self.recurrence_reverse = self._recurrence(config, width) if config.bidirectional else None
        weight: Any = self.recurrence.weight_ih_l0
        self.is_wide = width > len(weight)  # known here, since a trace would record the size of a tensor

    @staticmethod
    def _recurrence(config: RecurrentConfig, width: int) -> nn.RNNBase | MemoryBlocks:
        if config.cell == "lstm_hs97":
            return MemoryBlocks(config, width)
        if config.cell == "lstm":
            return nn.LSTM(width, config.hidden_size, batch_first=True)
        if config.cell == "gru":
            return nn.GRU(width, config.hidden_size, batch_first=True)
        return nn.RNN(width, config.hidden_size, batch_first=True, nonlinearity=config.cell.removeprefix("rnn_"))

    def forward(
        self,
        inputs: Tensor,
        padding: Padding | None = None,
        output_cell_states: bool = False,
        start: Any = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Run the recurrence.

        Args:
            inputs: (B, T, F), real steps at the front; or (B, T, 1), integers, columns of one-hot vectors.
            padding: Of `inputs`.
            output_cell_states: Whether to return the second item.
            start: The state before the first step as PyTorch's recurrence takes it: (1, B, H), of an LSTM a pair of
                them; None for zero. Not of a recurrence in both directions.

        Returns:
            Hidden states and cell states, each (B, T, H); of an LSTM the cell states (B, 1, H) after step T, of the
            forward direction.
        """
        if self.dropout:
            inputs = F.dropout(inputs, self.dropout, self.training)
        states, last = self._run(self.recurrence, inputs, start)
        end = last[1].transpose(0, 1) if isinstance(last, tuple) else None
        cells = cell_states(self.recurrence, inputs, states, start) if output_cell_states else None
        if self.recurrence_reverse is None:
            return states, cells, end
        inputs = self._reverse(inputs, padding)
        states_back = self._run(self.recurrence_reverse, inputs, None)[0]
        if cells is not None:
            cells_back = cell_states(self.recurrence_reverse, inputs, states_back)
            cells = torch.cat((cells, self._reverse(cells_back, padding)), dim=-1)
        return torch.cat((states, self._reverse(states_back, padding)), dim=-1), cells, end

    @staticmethod
    def _run(recurrence: Any, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
        ran: tuple[Tensor, Any]
        if is_transformed() and isinstance(recurrence, nn.RNNBase) and computes_by_its_weights(recurrence):
            ran = run_by_steps(recurrence, inputs, start)
        elif is_exporting() and isinstance(recurrence, nn.RNNBase) and computes_by_its_weights(recurrence):
            ran = run_by_scan(recurrence, inputs, start, input_sums(recurrence, inputs))
        elif inputs.is_floating_point():
            ran = recurrence(inputs, start)
        else:
            ran = run_on_columns(recurrence, inputs, start)
        return ran

    @staticmethod
    def _reverse(states: Tensor, padding: Padding | None) -> Tensor:
        return states.flip(1) if padding is None else padding.reverse(states)


def reads_columns(layer: nn.Module) -> bool:
    """Whether a layer takes columns of one-hot vectors, and these vectors are wider than their product with weights."""
    if type(layer) is not RecurrentLayer or not _is_unchanged(layer):
        return False
    modules: list[Any] = [each for each in (layer.recurrence, layer.recurrence_reverse) if each is not None]
    return layer.is_wide and all(map(computes_by_its_weights, modules))


def cell_states(recurrence: Any, inputs: Tensor, states: Tensor, start: Any = None) -> Tensor:
    """Recover the cell states of all steps, (B, T, H), of nn.LSTM or memory blocks, which return only the last one.

    With all hidden states of an LSTM known, the gates of all steps are one matrix product; what is left of the
    recurrence is c_t = f_t c_(t-1) + i_t g_t, elementwise. A module that must be called runs step by step.

    Args:
        recurrence: One layer, one direction.
        inputs: (B, T, F), what it read.
        states: (B, T, H), what it returned.
        start: Hidden and cell state before the first step, each (1, B, H); None for zero.
    """
    if not computes_by_its_weights(recurrence):
        ends = []
        for step in inputs.split(1, dim=1):
            _, start = recurrence(step, start)
            ends.append(start[1])
        return torch.cat(ends).transpose(0, 1)
    if isinstance(recurrence, MemoryBlocks):
        return _unroll(recurrence, inputs, start)[1]
    first = torch.zeros_like(states[:, :1]) if start is None else start[0].transpose(0, 1)
    previous = torch.cat((first, states), dim=1)[:, :-1]  # h_(t-1)
    _, weight_hh, bias_ih, bias_hh = (getattr(recurrence, name) for name in _WEIGHTS)
    gates = input_sums(recurrence, inputs) + bias_ih + F.linear(previous, weight_hh, bias_hh)
    i, f, g, _ = gates.chunk(4, dim=-1)
    keep, new = f.sigmoid(), i.sigmoid() * g.tanh()
    return accumulate(keep, new, None if start is None else start[1][0])


def state_after(
    hidden: list[Tensor], cells: list[Tensor], padding: Padding | None, before: RecurrentState | None, steps: int
) -> RecurrentState:
    """Take the state after the last real step of each row.

    Args:
        hidden: Hidden states of every layer, (B, L, H) with real steps at the front.
        cells: Cell states of every layer likewise, of which only the last is looked at where nothing is padded; empty
            if the cell has none.
        padding: Of `hidden`.
        before: The state that the steps started from; None for zero.
        steps: T.
    """

    def last(states: list[Tensor], start: Tensor | None) -> Tensor:
        if padding is None:
            return torch.stack([each[:, -1] for each in states])
        ends = torch.stack([padding.last(each) for each in states])
        return torch.where(padding.lengths.view(1, -1, 1) > 0, ends, torch.zeros_like(ends) if start is None else start)

    cell = last(cells, before.cell if before else None) if cells else None
    return RecurrentState(
        last(hidden, before.hidden if before else None), cell, steps + (before.steps if before else 0)
    )


def newest_steps(mask: Tensor, given: Tensor, state: RecurrentState | None) -> Tensor:
    """Take the part of a mask of all steps so far that is of the input, (B, T)."""
    rows, steps = given.shape[:2]
    if state is not None and mask.shape == (rows, state.steps + steps):
        return mask[:, -steps:]
    longer = "" if state is None else f", or all steps so far, {(rows, state.steps + steps)}"
    raise ValueError(
        f"attention_mask must have the input's (batch, steps), {(rows, steps)}{longer}, got {tuple(mask.shape)}"
    )


# Passed to every model by PEFT, pipelines and tokenizers; without a meaning for a recurrence
_IGNORED = frozenset(
    (
        "cache_position", "head_mask", "is_causal", "output_attentions", "output_router_logits", "position_ids",
        "special_tokens_mask", "token_type_ids",
    )
)  # fmt: skip
# Arguments of other models and heads here, as they are passed where they are not given
_ABSENT = frozenset(("input_values", "output_hidden_states", "past_key_values", "return_dict", "use_cache"))


def check_extra_arguments(model: nn.Module, extra: dict[str, Any]) -> None:
    """Accept the usual arguments of transformers that a model does not have.

    Raises:
        TypeError: Another argument, or one that the model would have to obey.
    """
    for name, value in extra.items():
        if name not in _IGNORED and not (name in _ABSENT and (value is None or value is False)):
            raise TypeError(f"{type(model).__name__}.forward() got an unexpected keyword argument {name!r}")


class RecurrentPreTrainedModel(PreTrainedModel):
    """First weights, loading and saving."""

    config_class = RecurrentConfig
    config: RecurrentConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012 (typed by its base)
    _no_split_modules = ["RecurrentLayer"]  # noqa: RUF012 (typed by its base)
    accepts_loss_kwargs = False  # of Trainer, which otherwise takes the extra arguments of `forward` for them

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Draw first weights as `config.initialization` says; weights loaded from a file stay."""
        if isinstance(module, nn.RNNBase):
            self._init_recurrence(module)
        elif isinstance(module, MemoryBlocks):
            self._init_blocks(module)
        elif isinstance(module, nn.Linear):  # as PyTorch does
            as_in_1997 = self.config.initialization == "hs97"
            bound = self.config.init_range if as_in_1997 else 1 / math.sqrt(module.in_features)
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # of subclasses

    def _init_recurrence(self, module: nn.RNNBase) -> None:
        size = module.hidden_size
        ours = module.mode.lower() == self.config.cell  # a subclass may have others beside those of the config
        scheme = self.config.initialization if ours else "default"
        latch = self.config.latch if ours else 0
        bound = 1 / math.sqrt(size)
        for name, parameter in module.named_parameters():
            if getattr(parameter, "_is_hf_initialized", False):
                continue  # loaded; the slices below would not carry the mark
            init.uniform_(parameter, -bound, bound)
            if scheme == "identity":
                if name.startswith("bias"):
                    init.zeros_(parameter)
                elif name.startswith("weight_hh"):
                    init.eye_(parameter)
                else:
                    init.normal_(parameter, std=0.001)
            elif scheme in ("forget_bias", "chrono") and name.startswith("bias"):
                # Gates in PyTorch's order: i f g o (LSTM), r z n (GRU); the second keeps the state. Its two biases are
                # only ever added up, so one takes the value and the other zero.
                keep = torch.zeros(size, device=parameter.device)
                if name.startswith("bias_ih") and scheme == "forget_bias":
                    keep += self.config.forget_bias
                elif name.startswith("bias_ih"):
                    keep.uniform_(1, self.config.chrono_max_steps - 1).log_()  # type: ignore[operator]
                init.copy_(parameter[size : 2 * size], keep)
                if scheme == "chrono" and isinstance(module, nn.LSTM):
                    init.copy_(parameter[:size], -keep)
                elif self.config.input_gate_bias is not None:
                    init.constant_(parameter[:size], self.config.input_gate_bias if name.startswith("bias_ih") else 0.0)  # type: ignore[arg-type]
            if latch and name.startswith("weight_hh"):  # the candidate is the third of both cells
                parameter[2 * size : 3 * size].diagonal().add_(latch)

    def _init_blocks(self, module: MemoryBlocks) -> None:
        config, blocks = self.config, module.num_blocks
        bound = config.init_range if config.initialization == "hs97" else 1 / math.sqrt(module.hidden_size)
        for name, parameter in module.named_parameters():
            if getattr(parameter, "_is_hf_initialized", False):
                continue  # loaded
            init.uniform_(parameter, -bound, bound)
            if name == "bias_l0":
                gates = parameter[-module.num_gates :]
                for part, value in (
                    (gates[:blocks], config.input_gate_bias),
                    (gates[blocks:], config.output_gate_bias),
                ):
                    if value is not None:
                        init.copy_(part, torch.as_tensor(value, device=part.device).to(part.dtype).expand(blocks))


class RecurrentModel(RecurrentPreTrainedModel):
    """The recurrence without a head."""

    _auto_class = "AutoModel"

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        if config.inputs == "embedding":
            self.embed_tokens = nn.Embedding(config.vocab_size, config.input_size)
        self.layers = nn.ModuleList(RecurrentLayer(config, index) for index in range(config.num_hidden_layers))
        # Copies: a transformers config takes a microsecond to look up an attribute, a module a hundredth of it
        self.cell, self.inputs, self.pooling = config.cell, config.inputs, config.pooling
        self.vocab_size, self.pad_token_id = config.vocab_size, config.pad_token_id
        self.input_size = config.input_size
        self.memory_size, self.reads_below = config.memory_size, config.connectivity == "below"
        self.forward_size = config.hidden_size if config.bidirectional else None
        self.dropout = config.dropout if config.num_hidden_layers > 1 else 0.0
        if config.inputs == "values":
            self.main_input_name = "input_values"
        self.gradient_checkpointing = False
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool = False,
        pooled_only: bool = False,
        **extra: Any,
    ) -> RecurrentModelOutput | tuple[Any, ...]:
        """Run all layers, from a zero state or from where earlier steps of the same sequences ended.

        Args:
            input_ids: (B, T), ids in [0, vocab_size).
            attention_mask: (B, T), 0 at padded steps. If None, `pad_token_id` in `input_ids` marks them; with other
                inputs no step is padded. With `past_key_values` it may also be that of all steps so far, those of
                the input being the last.
            input_values: (B, T, num_features), for a model of `inputs="values"`. NaN and infinity are not looked for
                here, at the price of every training step, but where data come in.
            inputs_embeds: (B, T, F), what `input_ids` would become: one-hot or embedded vectors.
            output_hidden_states: Whether to return the states of every layer; by default as the config says.
            return_dict: False for the values alone, as the heads want them: for a small batch, making a `ModelOutput`
                takes longer than looking up the input. By default as the config says.
            past_key_values: Where the sequences stand, as an earlier call returned it; None for a zero state.
            use_cache: Whether to return where they stand at the end. A row may then be all padding, and stays there.
            pooled_only: Whether nobody looks at `last_hidden_state`, which may then have no elements.
            **extra: The usual arguments of transformers that mean nothing here, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If not exactly one fitting input is given, an id is out of range, steps have another number of
                features, a row has no real step, or a state is given or wanted of a model that also reads backward.
        """
        check_extra_arguments(self, extra)
        given = self._only_input(input_ids, input_values, inputs_embeds)
        if past_key_values is not None or use_cache:
            self._check_state(past_key_values, given.size(0))
        attention_mask = self.real_steps(input_ids, attention_mask)
        # A traced comparison of shapes is fixed to those of the example. With a state, it tells what the mask covers
        compared = past_key_values is not None or not is_tracing()
        if attention_mask is not None and compared and attention_mask.shape != given.shape[:2]:
            attention_mask = newest_steps(attention_mask, given, past_key_values)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states

        ran = None
        if not output_hidden_states and not is_recording():
            ran = self._native(given, attention_mask, past_key_values, pooled_only)
        if ran is None:
            pooled_only = pooled_only and not output_hidden_states
            ran = self._plain(
                given, attention_mask, past_key_values, use_cache, bool(output_hidden_states), pooled_only
            )
        hidden_states, cells, pooled, state = ran

        values: tuple[Any, ...] = (hidden_states[-1], pooled)
        if return_dict is None:
            return_dict = self.config.return_dict
        if return_dict:
            output = RecurrentModelOutput(hidden_states[-1], pooled, state if use_cache else None)
            if output_hidden_states:
                output.hidden_states, output.cell_states = tuple(hidden_states), tuple(cells) or None
            return output
        if use_cache:
            values += (state,)
        if output_hidden_states:
            values += (tuple(hidden_states), tuple(cells)) if cells else (tuple(hidden_states),)
        return values

    def _plain(
        self,
        given: Tensor,
        attention_mask: Tensor | None,
        before: RecurrentState | None,
        use_cache: bool,
        output_hidden_states: bool,
        pooled_only: bool,
    ) -> tuple[list[Tensor], list[Tensor], Tensor, RecurrentState | None]:
        """Run the layers: hidden states, those of the input first, cell states, pooled states, where the rows stand."""
        padding = None if attention_mask is None else Padding.of(attention_mask, empty_rows=use_cache)
        # The last cell state is at hand where it is that of the last step of every row
        output_cell_states = self.memory_size > 0 and (output_hidden_states or (use_cache and padding is not None))
        by_columns = (
            given.dim() == 2
            and self.inputs == "one_hot"
            and not (output_hidden_states or self.reads_below)
            and reads_columns(self.layers[0])
        )
        padded = None if attention_mask is None or padding is None else attention_mask.unsqueeze(-1) == 0

        def place(each: Tensor) -> Tensor:
            """Put steps where the caller has them."""
            if padding is None or padded is None:
                return each
            return (each if padding.back is None else take_steps(each, padding.back)).masked_fill(padded, 0)

        placed: list[Tensor] = []

        def show(states: Tensor) -> Tensor:
            """Keep the states that are returned, and go on from these, so that gradients reach them."""
            if not output_hidden_states:
                return states
            placed.append(place(states))
            return states if padding is None else padding.front(placed[-1])

        states = show(self._embed(given, padding, by_columns))
        hidden_states, cells, ends = [states], [], []
        for index, layer in enumerate(self.layers):
            start = None if before is None else before.of_layer(index)
            states, layer_cells, end = layer(states, padding, output_cell_states, start)
            states = show(states)
            hidden_states.append(states)
            if layer_cells is not None:
                cells.append(layer_cells)
            if end is not None:
                ends.append(end)
        state = None
        if use_cache:
            state = state_after(hidden_states[1:], cells or ends, padding, before, given.size(1))
        if self.reads_below:  # a head has the input beside the cells
            hidden_states[-1] = torch.cat((states, hidden_states[0]), dim=-1)
        pooled = self._pool(hidden_states[-1], padding)

        if not pooled_only:
            last = placed[-1] if placed and not self.reads_below else place(hidden_states[-1])
            hidden_states, cells = [*placed[:-1], last], [place(each) for each in cells]
        return hidden_states, cells, pooled, state

    def _native(
        self, given: Tensor, attention_mask: Tensor | None, before: RecurrentState | None, pooled_only: bool
    ) -> tuple[list[Tensor], list[Tensor], Tensor, RecurrentState | None] | None:
        """Let seqhub's library run the layers, if it is in this process and will: same results, or None.

        It is looked up and not imported, since this file must run where seqhub is not installed.
        """
        kernels: Any = sys.modules.get("seqhub.native.dispatch")
        if kernels is None or (self.training and (self.dropout or self.gradient_checkpointing)):
            return None
        ran = kernels.run(
            given if given.dim() == 2 and self.inputs == "one_hot" else self._embed(given, None),
            attention_mask,
            self.layers,
            self.cell,
            self.vocab_size,
            self.pad_token_id,
            None if before is None else before.hidden,
            None if before is None else before.cell,
            not pooled_only or self.pooling != "last",
        )
        if ran is None:
            return None
        states, hidden, cell = ran
        if self.forward_size is None:
            steps = given.size(1) + (before.steps if before else 0)
            state, last = RecurrentState(hidden, cell, steps), hidden[-1]
        else:
            state, last = None, torch.cat((hidden[-2], hidden[-1]), dim=-1)
        if self.pooling != "last":
            real = None if attention_mask is None else attention_mask.bool()
            last = self._pool(states, None if real is None else Padding(real.sum(1), real))
        return [states], [], last, state

    def _check_state(self, state: RecurrentState | None, rows: int) -> None:
        if self.forward_size is not None:
            raise ValueError("a bidirectional model has no state to carry: its backward half starts at the last step")
        if state is None:
            return
        parts: dict[str, tuple[Tensor | None, int]] = {"hidden": (state.hidden, self.config.hidden_size)}
        if self.memory_size or state.cell is not None:
            parts["cell"] = (state.cell, self.memory_size)
        wanted = {name: (len(self.layers), rows, width) for name, (_, width) in parts.items() if width}
        given = {name: tuple(each.shape) for name, (each, _) in parts.items() if each is not None}
        if given != wanted:
            need, got = (" and ".join(f"{name} {shape}" for name, shape in each.items()) for each in (wanted, given))
            raise ValueError(f"past_key_values must hold {need}, (layers, batch, width) each, got {got}")

    def real_steps(self, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor | None:
        """The mask, (B, T), or what stands for one that was not given."""
        if attention_mask is None and input_ids is not None and self.pad_token_id is not None:
            return input_ids != self.pad_token_id
        return attention_mask

    def _only_input(
        self, input_ids: Tensor | None, input_values: Tensor | None, inputs_embeds: Tensor | None
    ) -> Tensor:
        allowed = ("input_values",) if self.inputs == "values" else ("input_ids", "inputs_embeds")
        inputs = {"input_ids": input_ids, "input_values": input_values, "inputs_embeds": inputs_embeds}
        given = {name: tensor for name, tensor in inputs.items() if tensor is not None}
        if len(given) != 1 or not given.keys() <= set(allowed):
            got = " and ".join(given) or "neither"
            raise ValueError(f"a model of inputs={self.inputs!r} takes {' or '.join(allowed)}, got {got}")
        name, tensor = given.popitem()
        if is_tracing():  # where sizes are tensors, and a comparison is fixed to the example's
            return tensor
        vectors = name != "input_ids"
        if tensor.dim() != 2 + vectors or 0 in tensor.shape or (vectors and tensor.size(-1) != self.input_size):
            wanted = f"(batch, steps, {self.input_size})" if vectors else "(batch, steps)"
            raise ValueError(f"{name} must be {wanted}, each at least 1, got {tuple(tensor.shape)}")
        return tensor

    def _embed(self, given: Tensor, padding: Padding | None, by_columns: bool = False) -> Tensor:
        """Make (B, L, F) of the input, real steps at the front; or the columns of one-hot vectors, (B, L, 1)."""
        if padding is not None and padding.order is not None:
            given = given.gather(1, padding.order) if given.dim() == 2 else take_steps(given, padding.order)
        if given.dim() == 3:
            vectors = given.to(self._float_type)
        else:
            try:
                if self.inputs == "one_hot":
                    columns = self._columns(given, padding)
                    if by_columns:
                        return columns.unsqueeze(-1)
                    return one_hot_vectors(columns, self.input_size, self._float_type)
                vectors = self.embed_tokens(given)
            except IndexError:
                low, high = given.aminmax()
                raise ValueError(f"input_ids must be in [0, {self.vocab_size}), got {low} to {high}") from None
        # A NaN in the padding would not reach the output, but its gradient of zero would still be NaN
        return vectors if padding is None else padding.fill(vectors, 0)

    def _columns(self, ids: Tensor, padding: Padding | None) -> Tensor:
        """Columns of the one-hot vectors, (B, L), that of the zero vector at padded steps, where ids are not read."""
        if padding is None:
            return one_hot_columns(ids, self.vocab_size, self.pad_token_id)
        columns = one_hot_columns(ids.masked_fill(~padding.real, 0), self.vocab_size, self.pad_token_id)
        return columns.masked_fill(~padding.real, self.input_size)

    @property
    def _float_type(self) -> torch.dtype:
        """Type of the floating-point parameters of the layers; float32, which quantized modules read, without any."""
        types = (parameter.dtype for parameter in self.layers.parameters())
        return next((each for each in types if each.is_floating_point), torch.float32)

    def _pool(self, states: Tensor, padding: Padding | None) -> Tensor:
        """Make one vector per sequence, (B, H), of states with real steps at the front."""
        if self.pooling == "mean":
            return states.mean(1) if padding is None else padding.fill(states, 0).sum(1) / padding.lengths.unsqueeze(1)
        if self.pooling == "max":
            return (states if padding is None else padding.fill(states, -torch.inf)).amax(1)
        last = states[:, -1] if padding is None else padding.last(states)
        if self.forward_size is None:
            return last
        return torch.cat((last[:, : self.forward_size], states[:, 0, self.forward_size :]), dim=-1)


class RecurrentClassifier(RecurrentPreTrainedModel):
    """What the heads share."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1  # never None once the config is made
        self.model = RecurrentModel(config)
        self.classifier = nn.Linear(config.output_size, self.num_labels, bias=config.biased_units == "all")
        self.logistic_outputs = config.logistic_outputs
        self.main_input_name = self.model.main_input_name
        self.post_init()  # type: ignore[no-untyped-call]


class RecurrentForSequenceClassification(RecurrentClassifier):
    """The recurrence and a linear readout of the pooled states: classes, or regression by `config.problem_type`."""

    _auto_class = "AutoModelForSequenceClassification"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        **extra: Any,
    ) -> RecurrentClassifierOutput:
        """Score each sequence.

        Args:
            input_ids: As in `RecurrentModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, F).
            labels: By `config.problem_type`: `single_label_classification` (B,), class indices, loss in nats;
                `regression` (B,) or (B, num_labels), loss is the mean squared error; `multi_label_classification`
                (B, num_labels), 0 or 1, loss in nats per label. If that is None: regression for a single label, else
                by the type of the labels, integer or float. With `config.logistic_outputs` these are the targets of
                `logistic_loss`, class indices as one-hot vectors.
            num_items_in_batch: What the summed loss is divided by: the labels in all batches of one optimizer step, as
                Trainer counts them. By default the labels in this batch.
            output_hidden_states: Whether to return the states of every layer.
            **extra: The usual arguments of transformers that mean nothing here, such as `token_type_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        _, pooled, *states = self.model(
            input_ids,
            attention_mask,
            input_values,
            inputs_embeds,
            output_hidden_states,
            return_dict=False,
            pooled_only=True,
        )
        logits = self.classifier(pooled)
        loss = None if labels is None else self._loss(logits, labels, num_items_in_batch)
        return RecurrentClassifierOutput(loss, logits, None, *states)

    def _loss(self, logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
        if self.logistic_outputs and self.num_labels > 1 and not labels.is_floating_point():
            return logistic_loss(logits, F.one_hot(labels.long(), self.num_labels), count)
        problem = self.config.problem_type
        if problem is None and self.num_labels == 1:
            problem = "regression"
        by_class = problem == "single_label_classification" or (problem is None and not labels.is_floating_point())
        if by_class and not self.logistic_outputs:
            return mean_loss(F.cross_entropy, logits, labels.long(), count)
        if labels.numel() != logits.numel():
            raise ValueError(f"labels must be (batch, num_labels), {tuple(logits.shape)}, got {tuple(labels.shape)}")
        if self.logistic_outputs:
            return logistic_loss(logits, labels.reshape(logits.shape), count)
        loss = F.mse_loss if problem == "regression" else F.binary_cross_entropy_with_logits
        accurate = torch.promote_types(logits.dtype, torch.float32)
        return mean_loss(loss, logits, labels.reshape(logits.shape).to(accurate), count)


class RecurrentForTokenClassification(RecurrentClassifier):
    """The recurrence and a linear readout of every step."""

    _auto_class = "AutoModelForTokenClassification"

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool = False,
        **extra: Any,
    ) -> RecurrentClassifierOutput:
        """Score each step.

        Args:
            input_ids: As in `RecurrentModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, F).
            labels: (B, T), class indices; -100 and padded steps do not count. The loss is in nats per step, or that of
                `logistic_loss`.
            num_items_in_batch: As in `RecurrentForSequenceClassification.forward`.
            output_hidden_states: Whether to return the states of every layer.
            past_key_values: Where the sequences stand; as in `RecurrentModel.forward`, and so is `use_cache`.
            use_cache: Whether to return where they stand at the end, so that a long sequence may be given in chunks.
            **extra: The usual arguments of transformers that mean nothing here, such as `token_type_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        last_hidden_state, _, *states = self.model(
            input_ids,
            attention_mask,
            input_values,
            inputs_embeds,
            output_hidden_states,
            return_dict=False,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        state = states.pop(0) if use_cache else None
        logits = self.classifier(last_hidden_state)
        loss = None
        if labels is not None:
            if labels.shape != logits.shape[:2]:
                raise ValueError(f"labels must be (batch, steps), {tuple(logits.shape[:2])}, got {tuple(labels.shape)}")
            attention_mask = self.model.real_steps(input_ids, attention_mask)
            if attention_mask is not None:
                labels = labels.masked_fill(attention_mask[:, -labels.size(1) :] == 0, -100)
            loss = step_loss(logits, labels.long(), num_items_in_batch, self.logistic_outputs)
        return RecurrentClassifierOutput(loss, logits, state, *states)


class RecurrentForCausalLM(RecurrentPreTrainedModel, GenerationMixin):
    """The recurrence and a linear readout of every step: which id comes next.

    Padding is never predicted: it has no row in the readout, as it has no column in the one-hot vectors, and its logit
    is the lowest number there is. `generate` goes on from the state, one step for each new id.

    Raises:
        ValueError: If the config is of a model that reads backward, and so has seen what it should predict, or that
            reads real values.
    """

    _auto_class = "AutoModelForCausalLM"
    _is_stateful = True  # no way back to an earlier step, which assisted generation would need

    def __init__(self, config: RecurrentConfig) -> None:
        if config.bidirectional:
            raise ValueError("next ids are predicted from the steps before, got bidirectional=True")
        if config.inputs == "values":
            raise ValueError("next ids need inputs 'one_hot' or 'embedding', got inputs='values'")
        super().__init__(config)
        self.model = RecurrentModel(config)
        self.logistic_outputs = config.logistic_outputs
        self.lm_head = nn.Linear(config.output_size, config.num_symbols, bias=config.biased_units == "all")
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the model makes its own `RecurrentState`

    def get_output_embeddings(self) -> None:
        """None: the readout is not a table of all ids."""

    def resize_token_embeddings(self, *_: Any, **__: Any) -> nn.Embedding:
        """Refused: every id but that of padding has its row in the readout; build a model of another `vocab_size`."""
        raise ValueError(f"vocab_size is part of the weights and stays {self.config.vocab_size}")

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        shift_labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **extra: Any,
    ) -> RecurrentClassifierOutput:
        """Score the ids that may come after each step.

        Args:
            input_ids: As in `RecurrentModel.forward`.
            attention_mask: (B, T), 0 at padded steps.
            inputs_embeds: (B, T, F).
            labels: (B, T), the ids themselves: step t is held against label t + 1, here and not by the caller. -100,
                the padding id, and pairs of which one step is padded do not count. The loss is in nats per step, or
                that of `logistic_loss`.
            num_items_in_batch: As in `RecurrentForSequenceClassification.forward`.
            output_hidden_states: Whether to return the states of every layer.
            past_key_values: Where the sequences stand; as in `RecurrentModel.forward`, and so is `use_cache`.
            use_cache: Whether to return where they stand at the end.
            logits_to_keep: Number of last steps to score; 0 for all.
            shift_labels: (B, T), what each step is held against, in place of `labels`: of a chunk of a longer text,
                whose last step is held against the first id of the next chunk.
            token_type_ids: Ignored; `generate` asks for its name, and tokenizers of BERT return it.
            **extra: The usual arguments of transformers that mean nothing here, such as `position_ids`; ignored.
        """
        check_extra_arguments(self, extra)
        last_hidden_state, _, *states = self.model(
            input_ids,
            attention_mask,
            None,
            inputs_embeds,
            output_hidden_states,
            return_dict=False,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        state = states.pop(0) if use_cache else None
        logits = self._with_padding(self.lm_head(last_hidden_state[:, -logits_to_keep:]))
        loss = None
        if labels is not None or shift_labels is not None:
            mask = self.model.real_steps(input_ids, attention_mask)
            targets = self._targets(labels, shift_labels, mask, logits.shape[:2])
            loss = step_loss(logits, targets, num_items_in_batch, self.logistic_outputs)
        return RecurrentClassifierOutput(loss, logits, state, *states)

    def _with_padding(self, scores: Tensor) -> Tensor:
        """Make logits of all ids, (B, T, vocab_size), of scores in the order of the one-hot columns."""
        pad = self.model.pad_token_id
        if pad is None:
            return scores
        return F.pad(scores, (1, 0), value=torch.finfo(scores.dtype).min).roll(pad, -1)

    def _targets(self, labels: Tensor | None, shifted: Tensor | None, mask: Tensor | None, shape: torch.Size) -> Tensor:
        """Make what each step is held against, (B, T), -100 where nothing is."""
        given = labels if shifted is None else shifted
        if given is None or given.shape != shape:
            got = None if given is None else tuple(given.shape)
            raise ValueError(f"labels must be (batch, steps), {tuple(shape)}, got {got}")
        targets = given.long() if shifted is not None else F.pad(given[:, 1:].long(), (0, 1), value=-100)
        if self.model.pad_token_id is not None:
            targets = targets.masked_fill(targets == self.model.pad_token_id, -100)
        if mask is None:
            return targets
        real = mask[:, -shape[1] :] != 0
        if shifted is None:
            real = real & F.pad(real[:, 1:], (0, 1))
        return targets.masked_fill(~real, -100)


def mean_loss(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
    """Take the mean of a loss over the labels, or its sum divided by `count`; in float32 where logits are less."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return loss(logits, labels) if count is None else loss(logits, labels, reduction="sum") / count


def logistic_loss(logits: Tensor, targets: Tensor, count: Tensor | int | None, counted: Tensor | None = None) -> Tensor:
    """Half the squared errors of logistic outputs, summed over all outputs and steps of a sequence.

    It is the error of Hochreiter & Schmidhuber (1997), appendix A.1, for which their learning rates are meant.

    Args:
        logits: (B, ..., C), what the outputs squash.
        targets: Of their shape.
        count: What the sum over the batch is divided by; by default its number of sequences.
        counted: (B, ...), whether a step counts; None if all do.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    errors = (logits.sigmoid() - targets).square().sum(-1)
    if counted is not None:
        errors = errors * counted
    return errors.sum() / (2 * (len(logits) if count is None else count))


def step_loss(logits: Tensor, labels: Tensor, count: Tensor | int | None, logistic: bool) -> Tensor:
    """Loss of class indices, (B, T), -100 where none counts, against logits, (B, T, C)."""
    if not logistic:
        return mean_loss(F.cross_entropy, logits.flatten(0, 1), labels.flatten(), count)
    counted = labels != -100
    return logistic_loss(logits, F.one_hot(labels.masked_fill(~counted, 0), logits.size(-1)), count, counted)
