"""How long ago the API server said something on the jobs' own watches, which are kopf's."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_operator.cluster import JOBS, Cluster, Credentials, keep_sound, open_session, read_shallow
from peft_fsdp_operator.engine import Engine
from peft_fsdp_operator.hearing import Hearing
from peft_fsdp_operator.metrics import Metrics
from tests.controller.test_engine import SETTINGS
from tests.controller.test_jobs import raw

BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}
ECHO = {"type": "MODIFIED", "object": raw("a", 5)}
LIST = {"metadata": {"resourceVersion": "7"}, "items": []}


async def test_the_most_silent_namespace_counts_from_when_kopf_begins(leap):
    hearing = Hearing(("a", "b"))
    assert hearing.age == 0
    hearing.begin()
    leap(60)
    hearing.hear("a")
    assert hearing.age >= 60
    hearing.hear("b")
    assert hearing.age < 60


@pytest.mark.parametrize(
    ("query", "body", "status", "heard"),
    [
        ({}, LIST, 200, 1),
        ({"watch": "true"}, None, 200, 0),
        ({"watch": "true"}, BOOKMARK, 200, 1),
        ({"watch": "true"}, ECHO, 200, 1),
        ({"watch": "true"}, {"kind": "Status"}, 500, 0),
    ],
)
@pytest.mark.parametrize("namespace", ["n", None])
async def test_lists_and_every_line_of_a_watch_are_heard(query, body, status, heard, namespace):
    told = []

    async def answer(_):
        text = "" if body is None else json.dumps(body) + "\n"
        return web.Response(text=text, status=status, content_type="application/json")

    app = web.Application()
    app.router.add_get(JOBS.path(namespace), answer)
    async with TestServer(app) as server:
        credentials = Credentials(str(server.make_url("")), "default", None)
        wrappers = [keep_sound(JOBS, lambda _: True, told.append), read_shallow]
        async with open_session(credentials, middlewares=wrappers) as session:
            response = await session.get(server.make_url(JOBS.path(namespace)), params=query)
            async for _ in response.content.iter_chunked(1 << 16):
                pass
    assert told == [namespace] * heard


async def test_the_health_of_the_operator_includes_it():
    metrics = Metrics()
    engine = Engine(SETTINGS, "n", Cluster(None, ""), metrics)
    assert engine.watch_age() == 0
    engine.hearing.begin()
    await asyncio.sleep(0.02)
    assert engine.watch_age() >= 0.02
    age = metrics.registry.get_sample_value("peft_fsdp_operator_watch_age_seconds", {"kind": JOBS.plural})
    assert age >= 0.02
