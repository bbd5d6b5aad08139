"""A namespace that may not be read keeps nobody else waiting, and is asked for again."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_operator import reflector
from peft_fsdp_operator.cluster import (
    JOBS,
    PODS,
    Credentials,
    begin_anew,
    closed,
    keep_sound,
    leave_closed_ones,
    open_session,
    read_shallow,
)
from peft_fsdp_operator.errors import Refused, Unavailable
from peft_fsdp_operator.reflector import Reflector
from peft_fsdp_operator.seen import NodeSeen

FORBIDDEN = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right"}


class ListsOnly:
    """An API server whose lists answer with an error, or with nothing and a watch that never tells."""

    def __init__(self, error):
        self.error, self.lists = error, 0

    async def list(self, *_):
        self.lists += 1
        if self.error is not None:
            raise self.error
        yield {"metadata": {"resourceVersion": "9"}, "items": []}

    async def watch(self, *_):
        await asyncio.Event().wait()
        yield {}


@asynccontextmanager
async def running(mirror):
    task = asyncio.create_task(mirror.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_mirror_of_a_closed_namespace_is_empty_and_in_time(monkeypatch, caplog):
    monkeypatch.setattr(reflector, "FORBIDDEN_WAIT", 0.01)
    gone = []
    api = ListsOnly(Refused(403, "Forbidden", "no right"))
    mirror = Reflector(api, PODS, "n", lambda raw: None, gone.append)
    mirror._objects["n", "tune-1-0"] = known = NodeSeen("n", "tune-1-0", "u", 7)
    caplog.set_level(logging.INFO)
    async with running(mirror), asyncio.timeout(10):
        await mirror.synced.wait()
        while api.lists < 3:
            await asyncio.sleep(0.01)
        assert (len(mirror), gone, mirror.age < 1) == (0, [known], True)
        api.error = None
        while mirror._version != "9":
            await asyncio.sleep(0.01)
    told = [record.levelname for record in caplog.records if "namespace n" in record.message]
    assert told == ["WARNING", "INFO"]


@pytest.mark.parametrize(
    ("namespace", "error"),
    [
        (None, Refused(403, "Forbidden", "")),
        ("n", Refused(422, "Invalid", "")),
        ("n", Unavailable(500, "Forbidden", "")),
    ],
)
async def test_any_other_error_is_no_word_of_a_closed_namespace(namespace, error):
    mirror = Reflector(ListsOnly(error), PODS, namespace, lambda raw: None, lambda seen: None)
    async with running(mirror):
        await asyncio.sleep(0.05)
        assert not mirror.synced.is_set()


@asynccontextmanager
async def kopfs_session(answer, told):
    """One like kopf's, at a server on loopback that answers like this."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        credentials = Credentials(str(server.make_url("")), "default", None)
        wrappers = [
            leave_closed_ones(JOBS, told.append),
            begin_anew(JOBS, lambda: told.append("began")),
            keep_sound(JOBS, lambda _: False, lambda _: None),
            read_shallow,
        ]
        async with open_session(credentials, middlewares=wrappers) as session:
            yield session, server.make_url("")


async def test_the_watch_of_a_closed_namespace_begins_with_everything_once_it_is_open(monkeypatch):
    monkeypatch.setattr(closed, "FORBIDDEN_WAIT", 0.01)
    asked, told = [], []

    async def answer(request):
        asked.append(dict(request.query))
        if len(asked) < 4:
            return web.json_response(FORBIDDEN, status=403)
        return web.Response(text="", content_type="application/json")

    async with kopfs_session(answer, told) as (session, url):
        query = {"watch": "true", "resourceVersion": "7"}
        async with session.get(url.with_path(JOBS.path("n")), params=query) as response:
            assert response.status == 200
    assert asked == [query, *[{"watch": "true"}] * 3]
    assert told == ["n"] * 3


@pytest.mark.parametrize(
    ("namespace", "body", "told"),
    [("n", FORBIDDEN, ["n"]), (None, FORBIDDEN, []), ("n", {"message": "a proxy's own"}, [])],
)
async def test_a_list_that_is_forbidden_is_left_to_kopf(namespace, body, told):
    heard = []

    async def answer(_):
        return web.json_response(body, status=403)

    async with kopfs_session(answer, heard) as (session, url):
        response = await session.get(url.with_path(JOBS.path(namespace)))
        assert (response.status, await response.json()) == (403, body)
    assert heard == told


async def test_kopf_that_gave_up_waiting_begins_with_everything_too(monkeypatch):
    """It waits for 70 s, and asks again with the place that it had; what was there then is forgotten."""
    monkeypatch.setattr(closed, "FORBIDDEN_WAIT", 60)
    asked, told, rights = [], [], []

    async def answer(request):
        asked.append("resourceVersion" in request.query)
        if not rights:
            return web.json_response(FORBIDDEN, status=403)
        return web.Response(text="", content_type="application/json")

    async with kopfs_session(answer, told) as (session, url), asyncio.timeout(10):

        async def watch():
            query = {"watch": "true", "resourceVersion": "7"}
            return await session.get(url.with_path(JOBS.path("n")), params=query)

        first = asyncio.create_task(watch())
        while not told:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        rights.append("all")
        await watch()
    assert asked == [True, False]
