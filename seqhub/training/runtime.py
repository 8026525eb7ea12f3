"""What a run changes of its process while it lasts: threads and signals."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from accelerate.state import AcceleratorState, is_initialized


@contextmanager
def own_accelerate_state() -> Iterator[None]:
    """Forget what accelerate keeps for the whole process, unless the caller has an Accelerator of its own.

    It remembers device and precision of the first `Accelerator` and refuses another; runs that follow each other in
    one process may differ in both.
    """
    was_there = is_initialized()
    try:
        yield
    finally:
        if not was_there:
            AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment, and give back what was set before."""
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
    """Let torch use `count` CPU threads, and give back what was set before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """A list that holds the first SIGINT or SIGTERM; the second one acts as it always did."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        restore()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.getsignal(each) or signal.SIG_DFL
            signal.signal(each, remember)
    except ValueError:  # not the main thread: the caller's own handling stays
        before.clear()
    try:
        yield caught
    finally:
        restore()
