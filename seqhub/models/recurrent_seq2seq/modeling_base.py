"""Base classes of recurrent models: state, padding, layers, body, heads and losses.

The families `recurrent`, `hs97` and `recurrent_seq2seq` have identical copies of this file. It is saved with the
weights, so it imports only torch, transformers, huggingface_hub and files of the same folder.

Shapes: B sequences, T steps, F features of the input, H = `config.output_size` (both directions concatenated).

Padding: a step with `attention_mask` 0 is ignored at any position. A sequence gives the same logits, to rounding,
padded on the left, on the right, not at all, or alone. Internally, the real steps are moved to the front, so that a
recurrence reads padding only after them. With packed sequences, nn.LSTM does not use its fused CPU kernel (7x slower at
H = 4, T = 110).

If seqhub has been imported, recurrences may run natively, many times faster for small networks and with the same
results: see `BaseModel._run_natively`. This is optional.
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

from .tracing import is_recording, is_tracing, real_steps_order


@dataclass
class RecurrentState:
    """State of each sequence of a batch after its last real step; unchanged for a row without a real step.

    It is the initial state for the next steps of the same sequences, and is passed as `past_key_values`. A forward pass
    does not modify it and returns a new one.

    Args:
        hidden: (layers, B, H), hidden state of every layer.
        cell: (layers, B, H), cell state of every layer of an LSTM; with `lstm_hs97` (layers, B, U), cell states and
            then gate activations; None with other cells.
        steps: Number of steps so far, including padding.
    """

    hidden: Tensor
    cell: Tensor | None = None
    steps: int = 0

    is_compileable: ClassVar[bool] = False  # `generate` reads these two
    is_croppable: ClassVar[bool] = False

    def layer_state(self, index: int) -> Any:
        """Return the initial state of one layer in PyTorch's form: (1, B, H), for an LSTM a pair of them."""
        hidden = self.hidden[index : index + 1]
        return hidden if self.cell is None else (hidden, self.cell[index : index + 1])

    def detach(self) -> "RecurrentState":
        """Return the same state detached from the graph, for truncated backpropagation through time."""
        return RecurrentState(self.hidden.detach(), None if self.cell is None else self.cell.detach(), self.steps)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of steps, the same for all layers; called by `generate`."""
        return self.steps

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Select the rows `beam_idx`, (B,), in place; called by beam search."""
        self.hidden = self.hidden.index_select(1, beam_idx)
        if self.cell is not None:
            self.cell = self.cell.index_select(1, beam_idx)


@dataclass
class RecurrentModelOutput(ModelOutput):
    """States of the recurrence, zero at padded steps.

    Args:
        last_hidden_state: (B, T, H), output of the last layer.
        pooler_output: (B, H), one vector per sequence, by `config.pooling`.
        past_key_values: State after the last step; with `use_cache`.
        hidden_states: Input of the first layer, (B, T, F), then the output of each layer, (B, T, H).
        cell_states: Cell state of each LSTM layer, (B, T, H), with `lstm_hs97` and gate activations, (B, T, U); with
            `output_hidden_states`.
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
        logits: (B, num_labels); with a label per step (B, T, num_labels); for next ids (B, T, vocab_size).
        past_key_values: As in `RecurrentModelOutput`.
        hidden_states: As in `RecurrentModelOutput`.
        cell_states: As in `RecurrentModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: RecurrentState | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    cell_states: tuple[Tensor, ...] | None = None


def gather_steps(states: Tensor, index: Tensor) -> Tensor:
    """Select steps of (B, T, F) by an index (B, L), row by row."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.size(-1)))


def is_transformed() -> bool:
    """Return whether a transform of `torch.func` is active."""
    return torch._C._are_functorch_transforms_active()


@dataclass
class Padding:
    """Positions of the real steps of a batch, and their order when moved to the front, to the first L steps.

    Args:
        lengths: (B,), number of real steps of each row; L is the largest.
        real: (B, L), True at real steps at the front; or (B, T), True at real steps in their original positions.
        order: (B, L), index that moves the real steps to the front; None if they are at the front and L = T.
        back: (B, T), index that moves them back.
    """

    lengths: Tensor
    real: Tensor
    order: Tensor | None = None
    back: Tensor | None = None

    @classmethod
    def from_mask(cls, mask: Tensor, *, empty_rows: bool) -> "Padding | None":
        """Compute the padding of a mask, (B, T), nonzero at real steps; None if every step is real.

        During tracing or export, L = T and rows without a real step are accepted.
        """
        mask = mask.bool()
        lengths = mask.sum(1)
        # Without branches on values, which are batched in transforms and only an example during tracing or export
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
        """Return the last real step, (B, F), of (B, L, F); any step for a row without one."""
        return states[torch.arange(states.size(0), device=states.device), self.lengths - 1]

    def front(self, states: Tensor) -> Tensor:
        """Move the real steps of (B, T, F) to the front: (B, L, F)."""
        return states[:, : self.real.size(1)] if self.order is None else gather_steps(states, self.order)

    def reverse(self, states: Tensor) -> Tensor:
        """Reverse the real steps of each row of (B, L, F)."""
        steps = torch.arange(states.size(1), device=states.device)
        return gather_steps(states, torch.where(self.real, self.lengths.unsqueeze(1) - 1 - steps, steps))

    def fill(self, states: Tensor, value: float) -> Tensor:
        """Set the padded steps of (B, L, F)."""
        return states.masked_fill(~self.real.unsqueeze(-1), value)


def one_hot_columns(ids: Tensor, vocab_size: int, pad: int | None) -> Tensor:
    """Return the column of each id in the one-hot vectors: id i has column (i - pad - 1) mod vocab_size.

    Padding has the column after the last one, which represents the zero vector.

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
    """Return one-hot vectors, (B, T, F), of columns (B, T); column F gives the zero vector."""
    return (columns.unsqueeze(-1) == torch.arange(width, device=columns.device)).to(dtype)


# Instance attributes that change the call of a module, or replace parameters; PyTorch sets some of them to None
_OVERRIDES = (
    "forward",
    "_compiled_call_impl",
    "bias_l0",
    "weight_ih_l0",
    "weight_hh_l0",
    "bias_ih_l0",
    "bias_hh_l0",
)


def is_unchanged(module: nn.Module) -> bool:
    """Return whether a module has no hooks, and no instance attribute that changes its call."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    attributes = vars(module)
    return not hooks and not _has_any_global_hook() and all(attributes.get(name) is None for name in _OVERRIDES)


def input_sums(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the product of one-hot or other vectors with `weight_ih_l0`, (B, T, gates x H).

    Args:
        module: Recurrence for which `BaseLayer.is_replaceable` is true.
        inputs: As in `BaseLayer.forward`. The product with a one-hot vector is a column of the weights.
    """
    weight: Tensor = module.weight_ih_l0  # type: ignore[assignment]
    if inputs.is_floating_point():
        return F.linear(inputs, weight)
    return F.embedding(inputs.squeeze(-1), F.pad(weight, (0, 1)).t())


def identity_weights(sums: Tensor) -> Tensor:
    """Return input weights for a recurrence whose inputs are the sums (B, T, gates x H)."""
    return torch.eye(sums.size(-1), dtype=sums.dtype, device=sums.device)


class BaseLayer(GradientCheckpointingLayer):
    """One recurrence, or two that read the steps in opposite directions, with concatenated outputs."""

    def __init__(self, config: Any, index: int) -> None:
        super().__init__()
        width = config.output_size if index else config.input_size
        self.dropout = config.dropout if index else 0.0
        self.recurrence = self.make_recurrence(config, width)
        # A separate module, because nn.LSTM(bidirectional=True) would start with the padding
        self.recurrence_reverse = self.make_recurrence(config, width) if config.bidirectional else None
        weight: Any = self.recurrence.weight_ih_l0
        self.is_wide = width > len(weight)  # computed here, since tracing would record the size of a tensor

    @staticmethod
    def make_recurrence(config: Any, width: int) -> nn.Module:
        """Return the recurrence of one direction for inputs of a width, with the interface of `nn.LSTM`."""
        raise NotImplementedError

    @staticmethod
    def is_replaceable(recurrence: nn.Module) -> bool:
        """Return whether computing a recurrence from its weights is equivalent to calling it.

        It is not with hooks, wrappers, parametrizations, offloading and modules of another class.
        """
        raise NotImplementedError

    @staticmethod
    def run_recurrence(recurrence: Any, inputs: Tensor, start: Any) -> tuple[Tensor, Any]:
        """Run a recurrence of one direction; inputs as in `forward`."""
        raise NotImplementedError

    @staticmethod
    def cell_states(recurrence: Any, inputs: Tensor, states: Tensor, start: Any = None) -> Tensor:
        """Recover the cell states of all steps, (B, T, H), of a recurrence that returns only the last one.

        Args:
            recurrence: One layer, one direction.
            inputs: (B, T, F), its inputs.
            states: (B, T, H), its outputs.
            start: Initial hidden and cell state, each (1, B, H); None for zero.
        """
        raise NotImplementedError

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
            padding: Padding of `inputs`.
            output_cell_states: Whether to return the second item.
            start: Initial state in PyTorch's form: (1, B, H), for an LSTM a pair of them; None for zero, and with two
                directions.

        Returns:
            Hidden states and cell states, each (B, T, H), and for an LSTM the cell states (B, 1, H) of the forward
            direction after step T.
        """
        if self.dropout:
            inputs = F.dropout(inputs, self.dropout, self.training)
        states, last = self.run_recurrence(self.recurrence, inputs, start)
        end = last[1].transpose(0, 1) if isinstance(last, tuple) else None
        cells = self.cell_states(self.recurrence, inputs, states, start) if output_cell_states else None
        if self.recurrence_reverse is None:
            return states, cells, end
        inputs = self._reverse(inputs, padding)
        states_back = self.run_recurrence(self.recurrence_reverse, inputs, None)[0]
        if cells is not None:
            cells_back = self.cell_states(self.recurrence_reverse, inputs, states_back)
            cells = torch.cat((cells, self._reverse(cells_back, padding)), dim=-1)
        return torch.cat((states, self._reverse(states_back, padding)), dim=-1), cells, end

    @staticmethod
    def _reverse(states: Tensor, padding: Padding | None) -> Tensor:
        return states.flip(1) if padding is None else padding.reverse(states)


def reads_columns(layer: nn.Module, layer_class: type[nn.Module]) -> bool:
    """Return whether a layer accepts columns of one-hot vectors and these vectors are wider than their products."""
    if not isinstance(layer, BaseLayer) or type(layer) is not layer_class or not is_unchanged(layer):
        return False
    modules: list[Any] = [each for each in (layer.recurrence, layer.recurrence_reverse) if each is not None]
    return layer.is_wide and all(map(layer.is_replaceable, modules))


def final_state(
    hidden: list[Tensor], cells: list[Tensor], padding: Padding | None, before: RecurrentState | None, steps: int
) -> RecurrentState:
    """Return the state after the last real step of each row.

    Args:
        hidden: Hidden states of every layer, (B, L, H) with real steps at the front.
        cells: Cell states of every layer in the same form; empty for cells without them. Without padding only the last
            step is used.
        padding: Padding of `hidden`.
        before: Initial state of the steps; None for zero.
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


def current_mask(mask: Tensor, given: Tensor, state: RecurrentState | None) -> Tensor:
    """Return the part of a mask of all steps so far that covers the input, (B, T)."""
    rows, steps = given.shape[:2]
    if state is not None and mask.shape == (rows, state.steps + steps):
        return mask[:, -steps:]
    longer = "" if state is None else f", or all steps so far, {(rows, state.steps + steps)}"
    raise ValueError(
        f"attention_mask must have the input's (batch, steps), {(rows, steps)}{longer}, got {tuple(mask.shape)}"
    )


# Passed to every model by PEFT, pipelines and tokenizers; recurrences do not use them
_IGNORED = frozenset(
    (
        "cache_position", "head_mask", "is_causal", "output_attentions", "output_router_logits", "position_ids",
        "special_tokens_mask", "token_type_ids",
    )
)  # fmt: skip
# Arguments of other models and heads of seqhub; accepted if None or False
_UNSET_ONLY = frozenset(("input_values", "output_hidden_states", "past_key_values", "return_dict", "use_cache"))


def check_extra_arguments(model: nn.Module, extra: dict[str, Any]) -> None:
    """Check arguments of transformers that a model does not use.

    Raises:
        TypeError: The argument does not exist, or its value would have an effect in another model.
    """
    for name, value in extra.items():
        if name not in _IGNORED and not (name in _UNSET_ONLY and (value is None or value is False)):
            raise TypeError(f"{type(model).__name__}.forward() got an unexpected keyword argument {name!r}")


class BasePreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving.

    Attributes:
        layer_class: Class of the layers.
        body_class: Class of the model without a head, in models with one.
    """

    layer_class: ClassVar[Any] = None
    body_class: ClassVar[Any] = None
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012 (typed by its base)
    accepts_loss_kwargs = False  # otherwise Trainer passes loss arguments, because `forward` has **extra

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module as PyTorch does, except for weights loaded from a file."""
        if isinstance(module, nn.Linear):
            self._init_linear(module, 1 / math.sqrt(module.in_features))
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # of subclasses

    @staticmethod
    def _init_linear(module: nn.Linear, bound: float) -> None:
        init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            init.uniform_(module.bias, -bound, bound)

    @staticmethod
    def has_head_bias(config: Any) -> bool:
        """Return whether the readout has biases."""
        return True

    @staticmethod
    def reads_inputs_in_head(config: Any) -> bool:
        """Return whether the readout reads the input of the first layer in addition to the states."""
        return False


class BaseModel(BasePreTrainedModel):
    """The recurrence without a head."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.inputs == "embedding":
            self.embed_tokens = nn.Embedding(config.vocab_size, config.input_size)
        self.layers = nn.ModuleList(self.layer_class(config, index) for index in range(config.num_hidden_layers))
        # Copies, because access to a transformers config takes 1 us, 100 times as long as to attributes of a module
        self.cell, self.inputs, self.pooling = config.cell, config.inputs, config.pooling
        self.vocab_size: int = config.vocab_size
        self.pad_token_id: int | None = config.pad_token_id
        self.input_size = config.input_size
        self.memory_size, self.reads_below = config.memory_size, self.reads_inputs_in_head(config)
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
        """Run all layers, from a zero state or from the state after previous steps of the same sequences.

        Args:
            input_ids: (B, T), ids in [0, vocab_size).
            attention_mask: (B, T), 0 at padded steps. If None, steps with `pad_token_id` in `input_ids` are padded, and
                with other inputs none. With `past_key_values` it may also cover all steps so far, with the
                steps of the input at the end.
            input_values: (B, T, num_features), for a model with `inputs="values"`. NaN and infinity are checked when
                data are loaded, not here, since this would slow down training.
            inputs_embeds: (B, T, F), one-hot or embedded vectors, in place of `input_ids`.
            output_hidden_states: Whether to return the states of every layer; by default as in the config.
            return_dict: Whether to return a `ModelOutput` instead of a tuple; by default as in the config. The heads
                use tuples, because for small batches a `ModelOutput` takes longer than the embedding.
            past_key_values: State returned by a previous call; None for a zero state.
            use_cache: Whether to return the state at the end. Rows without a real step are then allowed and keep their
                state.
            pooled_only: Whether `last_hidden_state` is not needed; it may then have no elements.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.

        Raises:
            ValueError: If not exactly one suitable input is given, an id is out of range, the number of features is
                wrong, a row has no real step, or a state is given to or requested from a bidirectional model.
        """
        check_extra_arguments(self, extra)
        given = self._select_input(input_ids, input_values, inputs_embeds)
        if past_key_values is not None or use_cache:
            self._check_state(past_key_values, given.size(0))
        attention_mask = self.resolve_mask(input_ids, attention_mask)
        # Tracing records the result of comparing shapes. With a state, it determines which steps the mask covers
        compared = past_key_values is not None or not is_tracing()
        if attention_mask is not None and compared and attention_mask.shape != given.shape[:2]:
            attention_mask = current_mask(attention_mask, given, past_key_values)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states

        result = None
        if not output_hidden_states and not is_recording():
            result = self._run_natively(given, attention_mask, past_key_values, pooled_only)
        if result is None:
            pooled_only = pooled_only and not output_hidden_states
            result = self._run_layers(
                given, attention_mask, past_key_values, use_cache, bool(output_hidden_states), pooled_only
            )
        hidden_states, cells, pooled, state = result

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

    def _run_layers(
        self,
        given: Tensor,
        attention_mask: Tensor | None,
        before: RecurrentState | None,
        use_cache: bool,
        output_hidden_states: bool,
        pooled_only: bool,
    ) -> tuple[list[Tensor], list[Tensor], Tensor, RecurrentState | None]:
        """Run the layers; return hidden states with the input first, cell states, pooled states and the last state."""
        padding = None if attention_mask is None else Padding.from_mask(attention_mask, empty_rows=use_cache)
        # Without padding, the recurrence returns the last cell state of every row
        output_cell_states = self.memory_size > 0 and (output_hidden_states or (use_cache and padding is not None))
        by_columns = (
            given.dim() == 2
            and self.inputs == "one_hot"
            and not (output_hidden_states or self.reads_below)
            and reads_columns(self.layers[0], self.layer_class)
        )
        padded = None if attention_mask is None or padding is None else attention_mask.unsqueeze(-1) == 0

        def restore(each: Tensor) -> Tensor:
            """Move steps back to their positions in the input."""
            if padding is None or padded is None:
                return each
            return (each if padding.back is None else gather_steps(each, padding.back)).masked_fill(padded, 0)

        returned: list[Tensor] = []

        def record(states: Tensor) -> Tensor:
            """Record the states to return, and compute the next layer from them, so that they have gradients."""
            if not output_hidden_states:
                return states
            returned.append(restore(states))
            return states if padding is None else padding.front(returned[-1])

        states = record(self._embed(given, padding, by_columns))
        hidden_states, cells, ends = [states], [], []
        for index, layer in enumerate(self.layers):
            start = None if before is None else before.layer_state(index)
            states, layer_cells, end = layer(states, padding, output_cell_states, start)
            states = record(states)
            hidden_states.append(states)
            if layer_cells is not None:
                cells.append(layer_cells)
            if end is not None:
                ends.append(end)
        state = None
        if use_cache:
            state = final_state(hidden_states[1:], cells or ends, padding, before, given.size(1))
        if self.reads_below:  # the head also reads the input
            hidden_states[-1] = torch.cat((states, hidden_states[0]), dim=-1)
        pooled = self._pool(hidden_states[-1], padding)

        if not pooled_only:
            last = returned[-1] if returned and not self.reads_below else restore(hidden_states[-1])
            hidden_states, cells = [*returned[:-1], last], [restore(each) for each in cells]
        return hidden_states, cells, pooled, state

    def _run_natively(
        self, given: Tensor, attention_mask: Tensor | None, before: RecurrentState | None, pooled_only: bool
    ) -> tuple[list[Tensor], list[Tensor], Tensor, RecurrentState | None] | None:
        """Run the layers with the native library of seqhub if it is loaded and supports them; otherwise return None.

        The library is not imported here, since this file must work without seqhub.
        """
        kernels: Any = sys.modules.get("seqhub.native.dispatch")
        if kernels is None or (self.training and (self.dropout or self.gradient_checkpointing)):
            return None
        result = kernels.run(
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
        if result is None:
            return None
        states, hidden, cell = result
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
            raise ValueError(
                "past_key_values and use_cache are not supported with bidirectional=True: "
                "the reverse direction starts at the last step"
            )
        if state is None:
            return
        parts: dict[str, tuple[Tensor | None, int]] = {"hidden": (state.hidden, self.config.hidden_size)}
        if self.memory_size or state.cell is not None:
            parts["cell"] = (state.cell, self.memory_size)
        expected = {name: (len(self.layers), rows, width) for name, (_, width) in parts.items() if width}
        given = {name: tuple(each.shape) for name, (each, _) in parts.items() if each is not None}
        if given != expected:
            need, got = (" and ".join(f"{name} {shape}" for name, shape in each.items()) for each in (expected, given))
            raise ValueError(f"past_key_values must hold {need}, (layers, batch, width) each, got {got}")

    def resolve_mask(self, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor | None:
        """Return the mask, (B, T), by default from the padding id; None if every step is real."""
        if attention_mask is None and input_ids is not None and self.pad_token_id is not None:
            return input_ids != self.pad_token_id
        return attention_mask

    def _select_input(
        self, input_ids: Tensor | None, input_values: Tensor | None, inputs_embeds: Tensor | None
    ) -> Tensor:
        allowed = ("input_values",) if self.inputs == "values" else ("input_ids", "inputs_embeds")
        inputs = {"input_ids": input_ids, "input_values": input_values, "inputs_embeds": inputs_embeds}
        given = {name: tensor for name, tensor in inputs.items() if tensor is not None}
        if len(given) != 1 or not given.keys() <= set(allowed):
            got = " and ".join(given) or "neither"
            raise ValueError(f"a model with inputs={self.inputs!r} takes {' or '.join(allowed)}, got {got}")
        name, tensor = given.popitem()
        if is_tracing():  # sizes are tensors, and tracing would record the result of comparing them
            return tensor
        vectors = name != "input_ids"
        if tensor.dim() != 2 + vectors or 0 in tensor.shape or (vectors and tensor.size(-1) != self.input_size):
            shape = f"(batch, steps, {self.input_size})" if vectors else "(batch, steps)"
            raise ValueError(f"{name} must be {shape}, each at least 1, got {tuple(tensor.shape)}")
        return tensor

    def _embed(self, given: Tensor, padding: Padding | None, by_columns: bool = False) -> Tensor:
        """Return the input as (B, L, F), real steps at the front, or as columns of one-hot vectors, (B, L, 1)."""
        if padding is not None and padding.order is not None:
            given = given.gather(1, padding.order) if given.dim() == 2 else gather_steps(given, padding.order)
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
        # A NaN in the padding would not affect the output, but its gradient would be NaN instead of zero
        return vectors if padding is None else padding.fill(vectors, 0)

    def _columns(self, ids: Tensor, padding: Padding | None) -> Tensor:
        """Return columns of one-hot vectors, (B, L); the column of the zero vector at padded steps."""
        if padding is None:
            return one_hot_columns(ids, self.vocab_size, self.pad_token_id)
        columns = one_hot_columns(ids.masked_fill(~padding.real, 0), self.vocab_size, self.pad_token_id)
        return columns.masked_fill(~padding.real, self.input_size)

    @property
    def _float_type(self) -> torch.dtype:
        """Data type of floating-point parameters of the layers; float32 if there are none, as in quantized modules."""
        types = (parameter.dtype for parameter in self.layers.parameters())
        return next((each for each in types if each.is_floating_point), torch.float32)

    def _pool(self, states: Tensor, padding: Padding | None) -> Tensor:
        """Return one vector per sequence, (B, H), of states with real steps at the front."""
        if self.pooling == "mean":
            return states.mean(1) if padding is None else padding.fill(states, 0).sum(1) / padding.lengths.unsqueeze(1)
        if self.pooling == "max":
            return (states if padding is None else padding.fill(states, -torch.inf)).amax(1)
        last = states[:, -1] if padding is None else padding.last(states)
        if self.forward_size is None:
            return last
        return torch.cat((last[:, : self.forward_size], states[:, 0, self.forward_size :]), dim=-1)


class BaseClassifier(BasePreTrainedModel):
    """Body and readout of the classification heads."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels: int = config.num_labels or 1  # not None after __post_init__
        self.model = self.body_class(config)
        self.classifier = nn.Linear(config.output_size, self.num_labels, bias=self.has_head_bias(config))
        self.logistic_outputs = config.logistic_outputs
        self.main_input_name = self.model.main_input_name
        self.post_init()  # type: ignore[no-untyped-call]


class BaseForSequenceClassification(BaseClassifier):
    """The recurrence and a linear readout of the pooled states: classes, or regression by `config.problem_type`."""

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
            input_ids: As in `BaseModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, F).
            labels: By `config.problem_type`: `single_label_classification` (B,), class indices, loss in nats;
                `regression` (B,) or (B, num_labels), loss is the mean squared error; `multi_label_classification`
                (B, num_labels), 0 or 1, loss in nats per label. If it is None: regression for a single label, otherwise
                by the type of the labels, integer or float. With `config.logistic_outputs` these are the targets of
                `logistic_loss`, with class indices as one-hot vectors.
            num_items_in_batch: Divisor of the summed loss: the number of labels in all batches of one optimizer step,
                as Trainer counts them. By default the number of labels in this batch.
            output_hidden_states: Whether to return the states of every layer.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.
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


class BaseForTokenClassification(BaseClassifier):
    """The recurrence and a linear readout of every step."""

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
            input_ids: As in `BaseModel.forward`, and so are the other inputs.
            attention_mask: (B, T), 0 at padded steps.
            input_values: (B, T, num_features).
            inputs_embeds: (B, T, F).
            labels: (B, T), class indices; -100 and padded steps are ignored. The loss is in nats per step, or
                `logistic_loss`.
            num_items_in_batch: As in `BaseForSequenceClassification.forward`.
            output_hidden_states: Whether to return the states of every layer.
            past_key_values: As in `BaseModel.forward`.
            use_cache: Whether to return the state at the end, so that a long sequence can be split into segments.
            **extra: Other arguments of transformers, such as `token_type_ids`; ignored.
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
            attention_mask = self.model.resolve_mask(input_ids, attention_mask)
            if attention_mask is not None:
                labels = labels.masked_fill(attention_mask[:, -labels.size(1) :] == 0, -100)
            loss = step_loss(logits, labels.long(), num_items_in_batch, self.logistic_outputs)
        return RecurrentClassifierOutput(loss, logits, state, *states)


class BaseForCausalLM(BasePreTrainedModel, GenerationMixin):
    """The recurrence and a linear readout of every step that predicts the next id.

    Padding is never predicted. It has neither a row in the readout nor a column in the one-hot vectors, and its logit
    is the lowest finite number. `generate` continues from the state, with one step for each new id.

    Raises:
        ValueError: If the config is bidirectional, so that the model would read the ids to predict, or its inputs are
            real values.
    """

    _is_stateful = True  # cannot return to a previous step, as assisted generation requires

    def __init__(self, config: Any) -> None:
        if config.bidirectional:
            raise ValueError("bidirectional=True: must be False to predict next ids")
        if config.inputs == "values":
            raise ValueError("inputs='values': must be 'one_hot' or 'embedding' to predict next ids")
        super().__init__(config)
        self.model = self.body_class(config)
        self.logistic_outputs = config.logistic_outputs
        self.lm_head = nn.Linear(config.output_size, config.num_symbols, bias=self.has_head_bias(config))
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the model creates a `RecurrentState`

    def get_output_embeddings(self) -> None:
        """Return None, because the readout has no row for padding."""

    def resize_token_embeddings(self, *_: Any, **__: Any) -> nn.Embedding:
        """Raise ValueError, because the readout depends on `vocab_size`."""
        raise ValueError(f"vocab_size={self.config.vocab_size} cannot be changed: build a model with another one")

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
        """Score the next id after each step.

        Args:
            input_ids: As in `BaseModel.forward`.
            attention_mask: (B, T), 0 at padded steps.
            inputs_embeds: (B, T, F).
            labels: (B, T), the ids themselves, shifted by the model: step t predicts label t + 1. -100, the padding id,
                and pairs with a padded step are ignored. The loss is in nats per step, or `logistic_loss`.
            num_items_in_batch: As in `BaseForSequenceClassification.forward`.
            output_hidden_states: Whether to return the states of every layer.
            past_key_values: As in `BaseModel.forward`.
            use_cache: Whether to return the state at the end.
            logits_to_keep: Number of last steps to score; 0 for all.
            shift_labels: (B, T), target of each step, in place of `labels`; for a segment of a longer text, where the
                last step predicts the first id of the next segment.
            token_type_ids: Ignored. It is a named argument for `generate`, because tokenizers of BERT return it.
            **extra: Other arguments of transformers, such as `position_ids`; ignored.
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
            mask = self.model.resolve_mask(input_ids, attention_mask)
            targets = self._targets(labels, shift_labels, mask, logits.shape[:2])
            loss = step_loss(logits, targets, num_items_in_batch, self.logistic_outputs)
        return RecurrentClassifierOutput(loss, logits, state, *states)

    def _with_padding(self, scores: Tensor) -> Tensor:
        """Return logits of all ids, (B, T, vocab_size), from scores in the order of the one-hot columns."""
        pad = self.model.pad_token_id
        if pad is None:
            return scores
        return F.pad(scores, (1, 0), value=torch.finfo(scores.dtype).min).roll(pad, -1)

    def _targets(self, labels: Tensor | None, shifted: Tensor | None, mask: Tensor | None, shape: torch.Size) -> Tensor:
        """Return the target of each step, (B, T), -100 for steps without a target."""
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
    """Return the mean of a loss over the labels, or its sum divided by `count`, computed at least in float32."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return loss(logits, labels) if count is None else loss(logits, labels, reduction="sum") / count


def logistic_loss(logits: Tensor, targets: Tensor, count: Tensor | int | None, counted: Tensor | None = None) -> Tensor:
    """Return half the squared errors of logistic outputs, summed over all outputs and steps of a sequence.

    This is the error of Hochreiter & Schmidhuber (1997), appendix A.1, for which their learning rates are chosen.

    Args:
        logits: (B, ..., C), inputs of the logistic units.
        targets: Same shape.
        count: Divisor of the sum over the batch; by default its number of sequences.
        counted: (B, ...), True at steps with a target; None if all have one.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    errors = (logits.sigmoid() - targets).square().sum(-1)
    if counted is not None:
        errors = errors * counted
    return errors.sum() / (2 * (len(logits) if count is None else count))


def step_loss(logits: Tensor, labels: Tensor, count: Tensor | int | None, logistic: bool) -> Tensor:
    """Return the loss of logits, (B, T, C), for class indices, (B, T), -100 for steps without a target."""
    if not logistic:
        return mean_loss(F.cross_entropy, logits.flatten(0, 1), labels.flatten(), count)
    counted = labels != -100
    return logistic_loss(logits, F.one_hot(labels.masked_fill(~counted, 0), logits.size(-1)), count, counted)
