"""Which lines of the watch of jobs kopf gets to see: no echoes of what the operator knows, but now and then."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_operator.cluster import JOBS, keep_sound, read_shallow, sound
from peft_fsdp_operator.jobs import Jobs
from tests.controller.test_jobs import raw

PATH = f"/apis/training.peft-fsdp.io/v1alpha1/namespaces/n/{JOBS.plural}"


async def seen_by_kopf(jobs: Jobs, *events: tuple[str, dict]) -> list[str]:
    """The versions that come through the middlewares of kopf's session."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for kind, job in events:
            await response.write(json.dumps({"type": kind, "object": job}).encode() + b"\n")
        return response

    app = web.Application()
    app.router.add_get(PATH, stream)
    wrappers = (keep_sound(JOBS, jobs.knows, lambda _: None), read_shallow)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(middlewares=wrappers) as session,
        session.get(server.make_url(PATH), params={"watch": "true"}) as response,
    ):
        return [json.loads(line)["object"]["metadata"]["resourceVersion"] async for line in lines(response)]


async def lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for line in response.content.iter_chunked(1 << 16):
        if line.strip():
            yield line


@pytest.fixture
def jobs() -> Jobs:
    known = Jobs()
    known.keep(raw("a", 5))
    return known


async def test_what_is_known_is_left_out_and_news_comes_through(jobs):
    first = ("ADDED", raw("b", 1))
    told = await seen_by_kopf(
        jobs, first, ("MODIFIED", raw("a", 4)), ("MODIFIED", raw("a", 5)), ("MODIFIED", raw("a", 6))
    )
    assert told == ["1", "6"]


@pytest.mark.parametrize(
    "event", [("DELETED", raw("a", 5)), ("ADDED", raw("a", 5)), ("MODIFIED", raw("a", 5, uid="v"))]
)
async def test_what_is_no_echo_comes_through_whatever_its_version(jobs, event):
    assert await seen_by_kopf(jobs, ("ADDED", raw("b", 1)), event) == ["1", "5"]


async def test_an_echo_comes_through_where_kopf_was_told_nothing_for_long(jobs, monkeypatch):
    monkeypatch.setattr(sound, "ECHO_INTERVAL", 0.0)
    assert await seen_by_kopf(jobs, ("MODIFIED", raw("a", 4)), ("MODIFIED", raw("a", 5))) == ["4", "5"]
