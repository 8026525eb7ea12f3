"""How many wrong tokens one address may try: no guessing at the server's expense, and no flood in its log."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

MOST_ADDRESSES: Final = 10_000


class RateLimit:
    """Wrong tokens by address, in windows that begin with the first of them.

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
        """Note a wrong token; how many seconds the address must wait, 0 while it may go on."""
        now = self._clock()
        with self._lock:
            begin, number = self._windows.pop(address, (now, 0))
            if now >= begin + self._seconds:
                begin, number = now, 0
            self._windows[address] = (begin, number + 1)
            if len(self._windows) > MOST_ADDRESSES:
                self._windows.popitem(last=False)
        return begin + self._seconds - now if number >= self._most else 0.0
