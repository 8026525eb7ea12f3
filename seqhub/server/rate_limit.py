"""Rate limit of wrong tokens by client address."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

MAX_ADDRESSES: Final = 10_000


class RateLimit:
    """Counter of wrong tokens by address, in windows that begin with the first wrong token.

    Args:
        max_wrong: Wrong tokens of one address in one window before it has to wait.
        seconds: Length of a window in seconds.
        clock: Monotonic clock in seconds.
    """

    def __init__(self, max_wrong: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_wrong, self._seconds, self._clock = max_wrong, seconds, clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()  # address -> begin, number
        self._lock = Lock()

    def record_wrong(self, address: str) -> float:
        """Count a wrong token; return the seconds that the address has to wait, 0 below the limit."""
        now = self._clock()
        with self._lock:
            begin, number = self._windows.pop(address, (now, 0))
            if now >= begin + self._seconds:
                begin, number = now, 0
            self._windows[address] = (begin, number + 1)
            if len(self._windows) > MAX_ADDRESSES:
                self._windows.popitem(last=False)
        return begin + self._seconds - now if number >= self._max_wrong else 0.0
