"""Pools of worker threads, one for each class of work, with queues that are fair to clients.

    light   reads that take milliseconds; never waits for the other pools
    write   changes, which may wait for the writer of the database
    heavy   expensive responses: packs for git, diffs, metadata of weights, long lists
    page    pages of rows of a dataset, and facts about it
    scan    searches, filters and statistics of a dataset
    bulk    bodies of many megabytes: large commits, joining the parts of an upload

Slow requests therefore delay only requests of their own class, and the requests of one client delay the requests of
another client by one request at most.
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeVar

from seqhub.server.errors import HubHTTPError

Work = Literal["light", "write", "heavy", "page", "scan", "bulk"]
T = TypeVar("T")

THREADS: Final[dict[Work, int]] = {"light": 12, "write": 4, "heavy": 2, "page": 1, "scan": 1, "bulk": 1}
MAX_WAITING: Final = 256  # requests in a queue, except `light`; further ones get 503
_END: Final = object()


class FairQueue:
    """Semaphore that serves waiting clients round-robin.

    Thread-safe across event loops, since tests run a separate loop for each request.

    Args:
        slots: Number of requests that may hold a slot at the same time.
        max_waiting: Maximum number of waiting requests.
    """

    def __init__(self, slots: int, max_waiting: int = MAX_WAITING) -> None:
        self._free = slots
        self._max_waiting = max_waiting
        self._count = 0
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Hold a slot for the duration of a block.

        Args:
            client: Key of the client; its requests are served in order, and alternate with those of other clients.

        Raises:
            HubHTTPError: 503 with `Retry-After` if too many requests are waiting.
        """
        await self._acquire(client)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, client: str) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if self._count >= self._max_waiting:
                raise HubHTTPError(
                    503, "The Hub is busy with requests of this kind; try again.", headers={"Retry-After": "1"}
                )
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(future)
            self._count += 1
        try:
            await future
        except asyncio.CancelledError:
            with self._lock:
                was_waiting = self._remove(client, future)
            if not was_waiting:  # the slot was granted in the meantime
                self._release()
            raise

    def _remove(self, client: str, future: "asyncio.Future[None]") -> bool:
        queue = self._waiting.get(client)
        if queue is None or future not in queue:
            return False
        queue.remove(future)
        self._count -= 1
        if not queue:
            del self._waiting[client]
        return True

    def _release(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                client, queue = self._waiting.popitem(last=False)
                future = queue.popleft()
                self._count -= 1
                if queue:
                    self._waiting[client] = queue  # last in the order of clients
            try:
                future.get_loop().call_soon_threadsafe(_wake, future)
            except RuntimeError:  # the event loop is closed
                continue
            return


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Workers:
    """Thread pools of one server."""

    def __init__(self) -> None:
        self._pools = {
            work: ThreadPoolExecutor(count, thread_name_prefix=f"seqhub-{work}") for work, count in THREADS.items()
        }
        self._queues = {
            work: FairQueue(count, 2**16 if work == "light" else MAX_WAITING) for work, count in THREADS.items()
        }

    async def run(self, work: Work, client: str, function: Callable[[], T]) -> T:
        """Run a blocking function in a thread of a pool.

        Args:
            work: Pool of workers.
            client: Key of the client, see `FairQueue.slot`.
            function: Function without arguments.

        Raises:
            HubHTTPError: 503 if too many requests are waiting for this pool.
        """
        async with self._queues[work].slot(client):
            return await asyncio.get_running_loop().run_in_executor(self._pools[work], function)

    async def iterate(self, work: Work, client: str, pieces: Iterator[T]) -> AsyncIterator[T]:
        """Yield the items of a blocking iterator; each item is computed in a separate slot.

        A slow client does not occupy a thread between two items.
        """
        try:
            while (piece := await self.run(work, client, lambda: next(pieces, _END))) is not _END:
                yield piece  # type: ignore[misc]  # the sentinel was excluded
        finally:
            with suppress(AttributeError, ValueError):  # not a generator, or still running in a thread
                pieces.close()  # type: ignore[attr-defined]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
