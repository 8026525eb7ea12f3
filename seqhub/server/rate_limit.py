"""Rate limit of wrong tokens by client address."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

MOST_ADDRESSES: Final = 10_000


class RateLimit:
    """Number of wrong tokens by address, in windows that begin with the first one.

    Args:
        most: Wrong tokens of one address in one window that are answered as such.
        seconds: Length of a window.
        clock: Seconds that never go back.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()  # address -> begin, number
        self._lock = Lock()

    def wrong(self, address: str) -> float:
        """Count a wrong token; return the seconds that the address must wait, 0 below the limit."""
        now = self._clock()
        with self._lock:
            begin, number = self._windows.pop(address, (now, 0))
            if now >= begin + self._seconds:
                begin, number = now, 0
            self._windows[address] = (begin, number + 1)
            if len(self._windows) > MOST_ADDRESSES:
                self._windows.popitem(last=False)
        return begin + self._seconds - now if number >= self._most else 0.0
