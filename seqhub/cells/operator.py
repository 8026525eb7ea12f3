"""Calls of a kernel with tensors, with gradients.

Shapes: B sequences of T steps, F features, W units of an output or state.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqhub.cells.kernel import Kernel
from seqhub.models.wrapped.recurrent_cell import run_loop
from seqhub.native import derivatives
from seqhub.native.eligibility import are_plain, executes_eagerly
from seqhub.native.reused_memory import SCRATCH, Activations


def run_kernel(
    kernel: Kernel,
    cell: nn.Module,
    inputs: Tensor,
    states: Sequence[Tensor] | None,
    lengths: Tensor | None,
    leaves: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Return outputs (B, T, W) and last states (B, W).

    Args:
        kernel: The kernel.
        cell: The cell, whose plain form provides derivatives that the kernel does not.
        inputs: (B, T, F), of the type of the kernel, on the CPU.
        states: Initial states; None for zero.
        lengths: (B,), or None.
        leaves: The result of `Kernel.tensors_of`.
    """
    given: Sequence[Tensor | None] = (None,) * len(kernel.form.widths) if states is None else states
    outputs, *last = _APPLY(kernel, cell, lengths, inputs, *given, *leaves)
    return outputs, last


class _Run(torch.autograd.Function):
    """Forward and backward pass of a kernel. Tensors that may need gradients are separate arguments of `forward`.

    For small networks, Python takes most of the time of a call, so that there are no helpers and few objects.
    """

    @staticmethod
    def forward(
        ctx: Any, kernel: Kernel, cell: nn.Module, lengths: Tensor | None, inputs: Tensor, *tensors: Any
    ) -> Any:
        widths = kernel.form.widths
        leaves = tensors[len(widths) :]
        batch, steps, _ = inputs.shape
        prelude = None
        if kernel.has_prelude:
            with torch.enable_grad():
                own = [each.detach().requires_grad_(each.requires_grad) for each in leaves]
                prelude = own, kernel.weights_of(own)
            weights = [each.detach().contiguous() for each in prelude[1]]
        else:
            weights = [each.contiguous() for each in kernel.weights_of(leaves)]
        given = inputs.contiguous()
        length = order = 0
        if lengths is None:
            outputs = given.new_empty((batch, steps, kernel.source.output))
        else:
            outputs = given.new_zeros((batch, steps, kernel.source.output))
            ctx.lengths = lengths.to(torch.int64).contiguous()
            ctx.order = ctx.lengths.argsort(descending=True, stable=True)
            length, order = ctx.lengths.data_ptr(), ctx.order.data_ptr()
        needs = ctx.needs_input_grad
        saved = kernel.saved_bytes(batch, steps) if True in needs else 0
        scratch = SCRATCH.of(kernel.forward_scratch)
        numbers = [batch, steps, given.data_ptr(), outputs.data_ptr(), 0, scratch.data_ptr(), length, order, 0, 0]
        if saved:
            ctx.activations = Activations(saved)  # live as long as what backward needs
            numbers[4] = ctx.activations.memory.data_ptr()
        results, held = [outputs], []
        for state, width in zip(tensors, widths, strict=False):
            end = given.new_empty((batch, width))
            results.append(end)
            if state is not None:
                held.append(state.contiguous())
            numbers += 0 if state is None else held[-1].data_ptr(), end.data_ptr(), 0, 0
        numbers += [each.data_ptr() for each in weights]
        kernel.forward(kernel.pack(*numbers, *kernel.no_gradients))
        if saved:
            ctx.kernel, ctx.cell, ctx.has_lengths = kernel, cell, lengths is not None
            ctx.prelude, ctx.weights = prelude, weights
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(inputs, *tensors)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor | None, *d_last: Tensor | None) -> Any:
        kernel: Kernel = ctx.kernel
        inputs, *tensors = ctx.saved_tensors
        needs = ctx.needs_input_grad[3:]
        widths = kernel.form.widths
        if torch.is_grad_enabled() or not are_plain((d_outputs, *d_last)) or not executes_eagerly():
            plain = _plain(kernel, ctx.cell, ctx.lengths if ctx.has_lengths else None)
            found = derivatives.differentiate(plain, (inputs, *tensors), needs, (d_outputs, *d_last))
            return None, None, None, *found
        batch, steps, _ = inputs.shape
        given = inputs.contiguous()
        scratch = SCRATCH.of(kernel.backward_scratch)
        held = []
        numbers = [batch, steps, given.data_ptr(), 0, ctx.activations.memory.data_ptr(), scratch.data_ptr()]
        numbers += (ctx.lengths.data_ptr(), ctx.order.data_ptr()) if ctx.has_lengths else (0, 0)
        d_inputs = None
        if needs[0]:
            d_inputs = given.new_zeros(given.shape) if ctx.has_lengths else given.new_empty(given.shape)
        if d_outputs is not None:
            d_outputs = d_outputs.contiguous()
        numbers += 0 if d_outputs is None else d_outputs.data_ptr(), 0 if d_inputs is None else d_inputs.data_ptr()
        d_states: list[Tensor | None] = []
        for number, width in enumerate(widths):
            before, after = given.new_empty((batch, width)) if needs[1 + number] else None, d_last[number]
            d_states.append(before)
            if after is not None:
                held.append(after.contiguous())
            numbers += 0, 0, 0 if after is None else held[-1].data_ptr(), 0 if before is None else before.data_ptr()
        needed = needs[1 + len(widths) :]
        wanted = kernel.weights_that_need(needed) if ctx.prelude is None else [w.requires_grad for w in ctx.prelude[1]]
        d_weights = [
            torch.empty_like(weight) if want else None for weight, want in zip(ctx.weights, wanted, strict=True)
        ]
        numbers += [each.data_ptr() for each in ctx.weights]
        kernel.backward(kernel.pack(*numbers, *[0 if each is None else each.data_ptr() for each in d_weights]))
        if ctx.prelude is None:
            d_leaves = kernel.gradients_of_leaves(d_weights)
        else:
            own, computed = ctx.prelude
            d_leaves = _through_prelude(own, computed, needed, d_weights)
        return None, None, None, d_inputs, *d_states, *d_leaves


# without the wrapper for functorch, whose transforms have no kernels (`executes_eagerly`); it takes several us
_APPLY: Any = super(torch.autograd.Function, _Run).apply


def _through_prelude(
    leaves: list[Tensor], weights: list[Tensor], needed: Sequence[bool], d_weights: list[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients of the tensors of a cell from those of the weights that torch computed from them."""
    pairs = [(weight, d) for weight, d in zip(weights, d_weights, strict=True) if d is not None]
    sources = [leaf for leaf, need in zip(leaves, needed, strict=True) if need]
    if not pairs or not sources:
        return [None] * len(leaves)
    found = iter(
        torch.autograd.grad(
            [weight for weight, _ in pairs], sources, [d for _, d in pairs], allow_unused=True, retain_graph=True
        )
    )
    return [next(found) if need else None for need in needed]


def _plain(kernel: Kernel, cell: nn.Module, lengths: Tensor | None) -> Callable[..., tuple[Tensor, ...]]:
    """Return the plain form as a function of inputs, states and the tensors of the cell."""
    count = len(kernel.form.widths)

    def run(inputs: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        leaves = kernel.tensors_of(cell)
        if leaves is None:
            raise RuntimeError("the tensors of the cell were replaced between forward and backward")
        # the copy has the given tensors in place of its own
        copied = copy.deepcopy(cell, {id(own): given for own, given in zip(leaves, tensors[count:], strict=True)})
        widths = kernel.form.widths
        zeros = [inputs.new_zeros(inputs.size(0), width) for width in widths]
        states = [zero if each is None else each for each, zero in zip(tensors[:count], zeros, strict=True)]
        outputs, last = run_loop(copied, kernel.form, inputs, states, lengths)
        return outputs, *last

    return run
