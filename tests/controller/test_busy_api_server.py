"""429 and Retry-After: what was refused is asked again, at the moment the API server names, by the whole process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_operator.cluster import PODS, Cluster, Credentials, open_session
from peft_fsdp_operator.cluster.client import BUSY_TRIES, WRITES_AT_ONCE
from peft_fsdp_operator.election import Election, LeaseTimes
from peft_fsdp_operator.errors import Unavailable

BUSY = {"reason": "TooManyRequests", "message": "slow down"}


@asynccontextmanager
async def cluster(answer: Callable[[web.Request], object]) -> AsyncIterator[Cluster]:
    """A client of a server on loopback that answers like this: a real one cannot be made to be busy on cue."""

    async def handle(request: web.Request) -> web.Response:
        body, status, headers = await answer(request)
        return web.json_response(body, status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with open_session(Credentials(url, "default", None)) as session:
            yield Cluster(session, url)


def busy_first(refusals: int, wait: str, times: list[float]):
    async def answer(_: web.Request):
        times.append(asyncio.get_running_loop().time())
        return (BUSY, 429, {"Retry-After": wait}) if len(times) <= refusals else ({"metadata": {}}, 201, {})

    return answer


async def test_a_busy_server_is_asked_again_when_it_says():
    times: list[float] = []
    async with cluster(busy_first(1, "1", times)) as api:
        await api.create(PODS, "default", {"metadata": {"name": "one"}})
    assert len(times) == 2
    assert times[1] - times[0] >= 0.9


async def test_meanwhile_nobody_else_asks_either():
    times: list[float] = []
    async with cluster(busy_first(1, "1", times)) as api:
        first = asyncio.create_task(api.create(PODS, "default", {}))
        while not times:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await asyncio.gather(first, api.get(PODS, "default", "other"))
    assert min(times[1:]) - times[0] >= 0.9


async def test_one_that_stays_busy_is_an_error_with_its_wait():
    times: list[float] = []
    async with cluster(busy_first(99, "0", times)) as api:
        with pytest.raises(Unavailable) as caught:
            await api.create(PODS, "default", {})
    assert (len(times), caught.value.status, caught.value.retry_after) == (BUSY_TRIES, 429, 0)


async def test_writes_under_way_are_bounded():
    under_way, most, full = 0, 0, asyncio.Event()

    async def answer(_: web.Request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way >= WRITES_AT_ONCE:
            full.set()
        await full.wait()
        await asyncio.sleep(0.05)  # in which one more would come
        under_way -= 1
        return {"metadata": {}}, 201, {}

    async with cluster(answer) as api, asyncio.timeout(10):
        await asyncio.gather(*(api.create(PODS, str(number % 40), {}) for number in range(3 * WRITES_AT_ONCE)))
    assert most == WRITES_AT_ONCE


async def test_namespaces_that_are_slow_hold_up_neither_others_nor_the_lease():
    """Nor does the lease wait as long as others are told to."""
    over = asyncio.Event()

    async def answer(request: web.Request):
        if "/slow-" in request.path:
            await over.wait()
        if "/busy/" in request.path:
            return BUSY, 429, {"Retry-After": "30"}
        return {"metadata": {"resourceVersion": "1"}}, 200, {}

    async with cluster(answer) as api:
        election = Election(
            api.apart(longest_pause=0.1), "n", "lease", "me", lambda: datetime.now(UTC), LeaseTimes(period=0.05)
        )
        slow = [api.create(PODS, f"slow-{number % 3}", {}) for number in range(3 * 60)]
        tasks = [asyncio.create_task(one) for one in slow]
        async with asyncio.timeout(10):
            await asyncio.gather(*(api.create(PODS, "quick", {}) for _ in range(100)))
            tasks.append(asyncio.create_task(api.create(PODS, "busy", {})))
            while not api._paused_until:
                await asyncio.sleep(0.01)
            assert await election._create()
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        over.set()


async def test_the_watches_of_many_namespaces_leave_connections_for_writes():
    watched, over = asyncio.Event(), asyncio.Event()
    begun = 0

    async def answer(request: web.Request):
        nonlocal begun
        if "watch" in request.query:
            begun += 1
            if begun == 200:
                watched.set()
            await over.wait()
        return {"metadata": {}}, 201, {}

    async def watch(api: Cluster, number: int):
        async for _ in api.watch(PODS, str(number), "", "1"):
            raise AssertionError("it tells nothing")

    async with cluster(answer) as api:
        watches = [asyncio.create_task(watch(api, number)) for number in range(200)]
        async with asyncio.timeout(10):
            await watched.wait()
            await api.create(PODS, "default", {})
        for one in watches:
            one.cancel()
        over.set()
