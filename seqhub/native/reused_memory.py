"""Memory of kernels that is reused from call to call, since new pages take longer than a small call."""

import threading
from typing import ClassVar

import torch
from torch import Tensor

_MAX_CACHED_BYTES = 1 << 24  # bytes
_EMPTY = torch.empty(0, dtype=torch.uint8, device="cpu")


class Activations:
    """Activations that forward saves for backward. Memory is reused, since new pages take longer than a small call."""

    _CACHE: ClassVar[list[Tensor]] = []  # the memory that was released last

    def __init__(self, size: int) -> None:
        self.memory = _EMPTY  # `__del__` reads it even if the next lines fail
        try:
            cached = self._CACHE.pop()
        except IndexError:
            cached = _EMPTY
        self.memory = cached if size <= cached.numel() else torch.empty(size, dtype=torch.uint8, device="cpu")

    def __del__(self) -> None:
        if not self._CACHE and 0 < self.memory.numel() <= _MAX_CACHED_BYTES:
            self._CACHE.append(self.memory)


class Scratch(threading.local):
    """Scratch memory of each thread, reused for the same reason."""

    def __init__(self) -> None:
        self.tensor = torch.empty(0, dtype=torch.uint8, device="cpu")

    def of(self, size: int) -> Tensor:
        """Return a tensor of at least `size` bytes."""
        if size <= self.tensor.numel():
            return self.tensor
        tensor = torch.empty(size, dtype=torch.uint8, device="cpu")
        if size <= _MAX_CACHED_BYTES:
            self.tensor = tensor
        return tensor


SCRATCH = Scratch()
