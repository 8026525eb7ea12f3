"""Dispatch from layers of recurrent cells to compiled kernels.

The modelling files `recurrent_cell` and `modeling_wrapped` are saved with the weights and do not import seqhub. They
look up this module in `sys.modules`; `import seqhub` loads it before any model. Saved copies of these files call `run`
and `run_layers`, so the signatures must not change.
"""

import os
import warnings
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from seqhub.cells.errors import NotCompilableError
from seqhub.cells.snapshot import Snapshot, fingerprint, is_modified
from seqhub.errors import PlainLoopWarning
from seqhub.native.eligibility import are_plain, executes_eagerly


class _Bound:
    """A kernel with the tensors of a cell, as long as a snapshot of the cell holds.

    Args:
        kernel: The kernel.
        leaves: The tensors.
        cell: The cell.
        key: Form of its state, width and type of its inputs.
    """

    def __init__(self, kernel: Any, leaves: list[Tensor], cell: nn.Module, key: tuple[Any, int, torch.dtype]) -> None:
        self.kernel, self.leaves, self._snapshot = kernel, leaves, Snapshot(cell)
        self._form, self._features, self._dtype = key
        self._tensors = [(each, each.shape, each.dtype) for each in leaves]
        self.has_type = all(each.dtype is self._dtype or not each.is_floating_point() for each in leaves)

    def holds(self, cell: nn.Module, form: Any, features: int, dtype: torch.dtype) -> bool:
        """Return whether the call is of the same kind, and cell and tensors are as they were."""
        if features != self._features or dtype is not self._dtype or (form is not self._form and form != self._form):
            return False
        for tensor, shape, own in self._tensors:
            if tensor.dtype is not own or tensor.shape != shape:
                return False
        return self._snapshot.holds(cell) and self.kernel.is_current(self.leaves)


_bound: "weakref.WeakKeyDictionary[nn.Module, _Bound]" = weakref.WeakKeyDictionary()  # the one used last
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
    if found is None or (states and any(each.dtype is not inputs.dtype for each in states)):
        return None
    kernel, leaves = found
    run_kernel = _run_kernel()
    if states is None and not form.starts_at_zero:
        rest = None if lengths is None else lengths.sub(1).clamp(min=0)
        first, states = _loop(form)(cell, inputs[:, :1], None, None if lengths is None else lengths.clamp(max=1))
        if any(each.dtype is not inputs.dtype for each in states):
            _warn(cell, f"a state of {', '.join(str(each.dtype) for each in states)} with inputs of {inputs.dtype}")
            return None
        if inputs.size(1) == 1:
            return first, states
        outputs, last = run_kernel(kernel, cell, inputs[:, 1:], states, rest, leaves)
        return torch.cat((first, outputs), dim=1), last
    return run_kernel(kernel, cell, inputs, states, lengths, leaves)


def run_layers(
    module: nn.Module, inputs: Tensor, state: Any, lengths: Tensor | None = None
) -> tuple[Tensor, Any] | None:
    """Run a layer of torchrecurrent or ncps with kernels; see `seqhub.cells.torchrecurrent.run_layers`."""
    package = type(module).__module__.partition(".")[0]
    if package == "torchrecurrent":
        from seqhub.cells import torchrecurrent

        return torchrecurrent.run_layers(module, inputs, state, lengths)
    if package == "ncps":
        from seqhub.cells import ncps

        return ncps.run_layers(module, inputs, state, lengths)
    return None


def kernel_of(
    cell: nn.Module, form: Any, features: int, dtype: torch.dtype, owner: nn.Module | None = None
) -> tuple[Any, list[Tensor]] | None:
    """Return the kernel of a cell and the tensors it reads; None if the cell is to be called step by step.

    The reason is a `PlainLoopWarning`, once for each class of cells.
    """
    key = cell if owner is None else owner
    found = _bound.get(key)
    if found is None or not found.holds(cell, form, features, dtype):
        if any(map(is_modified, cell.modules())):
            return None
        kernel = _find_kernel(cell, form, features, dtype, owner)
        leaves = None if kernel is None else kernel.tensors_of(cell)
        if leaves is None:
            return None
        found = _bound[key] = _Bound(kernel, leaves, cell, (form, features, dtype))
    if not (found.has_type and are_plain(found.leaves)):
        return None
    return found.kernel, found.leaves


def _find_kernel(cell: nn.Module, form: Any, features: int, dtype: torch.dtype, owner: nn.Module | None) -> Any:
    """Return the kernel of a cell, made if it is new; None without one."""
    from seqhub.cells.check import check_kernel  # imported with the first cell
    from seqhub.cells.kernel import DTYPES, Kernel

    if dtype not in DTYPES:
        return None
    known = _kernels.setdefault(cell if owner is None else owner, {})
    key = features, dtype, form, fingerprint(cell)
    if key not in known:
        try:
            with torch.inference_mode(False):
                kernel = Kernel(cell, form, features, dtype)
                check_kernel(kernel, cell, _loop(form))
            known[key] = kernel
        except Exception as error:  # of any kind, since the plain form is always right
            known[key] = None
            _warn(cell, str(error) if isinstance(error, NotCompilableError) else f"{type(error).__name__}: {error}")
    return known[key]


def _warn(cell: nn.Module, reason: str) -> None:
    line = f"{type(cell).__name__} runs as a plain loop: {' '.join(reason.split())}"
    if line not in _warned:  # models and their copies have several objects of a cell
        _warned.add(line)
        warnings.warn(line, PlainLoopWarning, stacklevel=_STACK_LEVEL)


_STACK_LEVEL = 6  # the caller of the layer, as far as there are no others between


@cache
def _run_kernel() -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """Return `operator.run_kernel`, imported with the first cell."""
    from seqhub.cells.operator import run_kernel

    return run_kernel


@cache
def _loop(form: Any) -> Any:
    """Return the plain form of the layer that a form of a state belongs to."""
    from seqhub.models.wrapped.recurrent_cell import run_loop

    def loop(
        cell: nn.Module, inputs: Tensor, states: list[Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        return run_loop(cell, form, inputs, states, lengths)

    return loop
