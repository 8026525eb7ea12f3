"""Cache of computed answers, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V", bytes, str)


class AnswerCache(Generic[V]):
    """Least-recently-used cache with a limit on its total size.

    Args:
        max_size: Maximum total length of the values, in bytes or characters.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], V]) -> V:
        """Return the value of a key, and compute it if it is not cached. A value above the limit is not cached."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = compute()
        with self._lock:
            if len(value) <= self._max_size // 4 and key not in self._values:
                self._values[key] = value
                self._size += len(value)
                while self._size > self._max_size:
                    _, old = self._values.popitem(last=False)
                    self._size -= len(old)
        return value
