"""Context managers for process-wide state during a run: Accelerate, environment, threads and signals."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from seqhub._distributions import entry_points_of, version_of

_DEVICES = ("nvidiactl", "kfd", "dxg", "dri")  # in /dev, of the accelerators of NVIDIA, AMD, WSL and Intel


class TrainingInterrupted(KeyboardInterrupt):
    """Run interrupted by Ctrl-C or SIGTERM; a checkpoint is saved, and the message says how to continue."""


def has_accelerator() -> bool:
    """Return whether torch finds an accelerator. torch is imported only if the machine may have one."""
    if "torch" not in sys.modules and sys.platform == "linux" and not entry_points_of("torch.backends"):
        if version_of("torch").endswith("+cpu") or not any(Path("/dev", name).exists() for name in _DEVICES):
            return False
    import torch

    return bool(torch.accelerator.is_available())


@contextmanager
def own_accelerate_state() -> Iterator[None]:
    """Reset the process-wide state of Accelerate afterwards, unless the caller already had an Accelerator.

    Accelerate keeps device and precision of the first `Accelerator` and rejects others, but consecutive runs in one
    process may differ in both.
    """
    from accelerate.state import AcceleratorState, is_initialized

    was_initialized = is_initialized()
    try:
        yield
    finally:
        if not was_initialized:
            AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, and restore its previous value afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set the number of CPU threads of torch, and restore the previous number afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Catch the first SIGINT or SIGTERM into the yielded list; the previous handlers get the next one."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        restore()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.getsignal(each) or signal.SIG_DFL
            signal.signal(each, catch)
    except ValueError:  # not the main thread: the handlers of the caller remain
        before.clear()
    try:
        yield caught
    finally:
        restore()
