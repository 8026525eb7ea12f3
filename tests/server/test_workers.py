"""Pools of workers: classes of work are independent, clients alternate, and queues are limited."""

import asyncio
import threading

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.workers import FairQueue, Workers

LIMIT = 20


def test_light_work_is_not_delayed_by_heavy_work() -> None:
    go_on = threading.Event()

    async def run() -> list[str]:
        workers = Workers()
        heavy = [asyncio.create_task(workers.run("heavy", "a", lambda: go_on.wait(LIMIT))) for _ in range(60)]
        light = [await workers.run("light", "b", lambda: "here") for _ in range(3)]
        assert not any(task.done() for task in heavy)
        go_on.set()
        assert all(await asyncio.gather(*heavy))
        workers.close()
        return light

    assert asyncio.run(asyncio.wait_for(run(), LIMIT)) == ["here"] * 3


def test_clients_take_turns() -> None:
    async def run() -> list[str]:
        queue, order, first = FairQueue(1), [], asyncio.Event()

        async def work(client: str) -> None:
            async with queue.slot(client):
                order.append(client)
                await first.wait()

        tasks = [asyncio.create_task(work(client)) for client in "aaaaaabc"]
        while not order:
            await asyncio.sleep(0)
        first.set()
        await asyncio.gather(*tasks)
        return order

    assert "".join(asyncio.run(asyncio.wait_for(run(), LIMIT))) == "aabcaaaa"


def test_queues_are_limited_and_drop_cancelled_requests() -> None:
    async def run() -> None:
        queue = FairQueue(1, max_waiting=1)

        async def hold() -> None:
            async with queue.slot("a"):
                pass

        async with queue.slot("a"):
            waiting = asyncio.create_task(hold())
            await asyncio.sleep(0)
            with pytest.raises(HubHTTPError) as caught:
                await hold()
            assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            after = asyncio.create_task(hold())
            await asyncio.sleep(0)
        await after
        await hold()

    asyncio.run(asyncio.wait_for(run(), LIMIT))


def test_slots_are_shared_across_event_loops() -> None:
    queue, entered, leave = FairQueue(1), threading.Event(), threading.Event()

    async def first() -> None:
        async with queue.slot("a"):
            entered.set()
            await asyncio.get_running_loop().run_in_executor(None, leave.wait, LIMIT)

    async def second() -> None:
        async with queue.slot("b"):
            pass

    thread = threading.Thread(target=lambda: asyncio.run(first()))
    thread.start()
    assert entered.wait(LIMIT)
    other = threading.Thread(target=lambda: asyncio.run(second()))
    other.start()
    while not queue._count:
        pass
    leave.set()
    thread.join(LIMIT)
    other.join(LIMIT)
    assert not thread.is_alive()
    assert not other.is_alive()


def test_an_iterator_is_closed_when_its_reader_stops() -> None:
    closed = []

    def numbers():  # type: ignore[no-untyped-def]
        try:
            yield from range(10)
        finally:
            closed.append(True)

    async def run() -> list[int]:
        workers, found = Workers(), []
        pieces = workers.iterate("heavy", "a", numbers())
        async for number in pieces:
            found.append(number)
            if number == 2:
                await pieces.aclose()  # type: ignore[attr-defined]
                break
        workers.close()
        return found

    assert asyncio.run(asyncio.wait_for(run(), LIMIT)) == [0, 1, 2]
    assert closed == [True]
