"""Dispatch from layers of recurrent cells to compiled kernels.

The modelling files `recurrent_cell` and `modeling_wrapped` are saved with the weights and do not import seqhub. They
look up this module in `sys.modules`; `import seqhub` loads it before any model. Saved copies of these files call `run`
and `run_layers`, so the signatures must not change.
"""

import os
import warnings
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from seqhub.cells.errors import NotCompilableError
from seqhub.errors import PlainLoopWarning
from seqhub.native.eligibility import are_plain, executes_eagerly

_kernels: "weakref.WeakKeyDictionary[nn.Module, dict[Any, Any]]" = weakref.WeakKeyDictionary()

_warned: set[str] = set()


def run(
    cell: nn.Module,
    form: Any,
    inputs: Tensor,
    states: list[Tensor] | None,
    lengths: Tensor | None,
    owner: nn.Module | None = None,
) -> tuple[Tensor, list[Tensor]] | None:
    """Run a cell over time with its kernel, if it has one.

    Args:
        cell: The cell.
        form: Form of its state, a `StateForm` of the modelling file.
        inputs: (B, T, F).
        states: Initial states (B, W); None for that of the cell.
        lengths: (B,), number of real steps of each row; None if all are real.
        owner: Module for whose life the kernel is kept; by default the cell.

    Returns:
        Outputs (B, T, W) and last states; None if the cell is to be called step by step.
    """
    if os.environ.get("SEQHUB_KERNELS") == "0" or not executes_eagerly() or torch.is_autocast_enabled("cpu"):
        return None
    if not are_plain((inputs, lengths, *(states or ()))) or _has_any_global_hook():
        return None
    found = kernel_of(cell, form, inputs.size(-1), inputs.dtype, owner)
    if found is None or any(each.dtype is not inputs.dtype for each in states or ()):
        return None
    kernel, leaves = found
    loop = _loop(form)
    if states is None and not form.starts_at_zero:
        rest = None if lengths is None else lengths.sub(1).clamp(min=0)
        first, states = loop(cell, inputs[:, :1], None, None if lengths is None else lengths.clamp(max=1))
        if inputs.size(1) == 1:
            return first, states
        outputs, last = kernel.run(cell, loop, inputs[:, 1:], states, rest, leaves)
        return torch.cat((first, outputs), dim=1), last
    return kernel.run(cell, loop, inputs, states, lengths, leaves)  # type: ignore[no-any-return]


def run_layers(
    module: nn.Module, inputs: Tensor, state: Any, lengths: Tensor | None = None
) -> tuple[Tensor, Any] | None:
    """Run a layer of torchrecurrent with kernels; see `seqhub.cells.torchrecurrent.run_layers`."""
    if not type(module).__module__.startswith("torchrecurrent."):
        return None
    from seqhub.cells import torchrecurrent

    return torchrecurrent.run_layers(module, inputs, state, lengths)


def kernel_of(
    cell: nn.Module, form: Any, features: int, dtype: torch.dtype, owner: nn.Module | None = None
) -> tuple[Any, list[Tensor]] | None:
    """Return the kernel of a cell and the tensors it reads; None if the cell is to be called step by step.

    The reason is a `PlainLoopWarning`, once for each class of cells.
    """
    if any(map(is_modified, cell.modules())):
        return None
    from seqhub.cells.kernel import DTYPES, Kernel, fingerprint  # imported with the first cell

    if dtype not in DTYPES:
        return None
    known = _kernels.setdefault(cell if owner is None else owner, {})
    key = features, dtype, form, fingerprint(cell)
    if key not in known:
        try:
            with torch.inference_mode(False):
                kernel = Kernel(cell, form, features, dtype)
                kernel.check(cell, _loop(form))
            known[key] = kernel
        except Exception as error:  # of any kind, since the plain form is always right
            known[key] = None
            reason = str(error) if isinstance(error, NotCompilableError) else f"{type(error).__name__}: {error}"
            line = f"{type(cell).__name__} runs as a plain loop: {' '.join(reason.split())}"
            if line not in _warned:  # models and their copies have several objects of a cell
                _warned.add(line)
                warnings.warn(line, PlainLoopWarning, stacklevel=_STACK_LEVEL)
    found = known[key]
    if found is None:
        return None
    leaves = found.tensors_of(cell)
    if leaves is None or not are_plain(leaves) or any(
        each.is_floating_point() and each.dtype is not dtype for each in leaves
    ):  # fmt: skip
        return None
    return found, leaves


_STACK_LEVEL = 4  # the caller of the layer, as far as there are no others between
_CALL_ATTRIBUTES = frozenset(("forward", "_call_impl", "_compiled_call_impl"))  # on an instance, they change its call


def is_modified(module: nn.Module) -> bool:
    """Return whether a module has hooks, or an instance attribute that changes its call."""
    attributes = module.__dict__
    return bool(
        attributes["_forward_hooks"]
        or attributes["_forward_pre_hooks"]
        or attributes["_backward_hooks"]
        or attributes["_backward_pre_hooks"]
        or not _CALL_ATTRIBUTES.isdisjoint(attributes.keys() - {"_compiled_call_impl"})
        or attributes.get("_compiled_call_impl") is not None
    )


def _loop(form: Any) -> Any:
    """Return the plain form of the layer that a form of a state belongs to."""
    from seqhub.models.wrapped.recurrent_cell import run_loop

    def loop(
        cell: nn.Module, inputs: Tensor, states: list[Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        return run_loop(cell, form, inputs, states, lengths)

    return loop
