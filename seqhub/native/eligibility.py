"""Checks that torch executes operations eagerly on plain tensors, whose memory the library may read."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

_PLAIN = (Tensor, nn.Parameter)


def executes_eagerly() -> bool:
    """Return whether no compiler, tracer, functorch transform, forward-mode AD or mode intercepts operations."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or forward_ad._current_level >= 0
        or (torch._C._len_torch_function_stack() and _has_function_mode())
    )


def are_plain(tensors: Iterable[Tensor | None]) -> bool:
    """Return whether all tensors are dense with memory on the CPU, and not fake, meta or of a subclass."""
    for tensor in tensors:  # a loop, because `all` with a generator takes 1 us longer, much for a small call
        if tensor is not None and not (
            type(tensor) in _PLAIN
            and tensor.is_cpu
            and tensor.layout is torch.strided
            and torch._C._has_storage(tensor)
            and not tensor.is_neg()
        ):
            return False
    return True


def _has_function_mode() -> bool:
    """Return whether a mode is active other than a default device, which affects only new tensors."""
    return any(type(mode) is not DeviceContext for mode in _get_current_function_mode_stack())
