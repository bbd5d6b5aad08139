"""Events are for people: while jobs wait for the operator, they wait too, and none is lost."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from peft_fsdp_operator import events
from peft_fsdp_operator.decision import Notice
from peft_fsdp_operator.events import POSTERS, Recorder
from tests.controller.test_busy_api_server import cluster

JOB = {"metadata": {"name": "a", "namespace": "n", "uid": "u"}}
COUNT = 3 * POSTERS


async def posted_after(seconds: float, is_busy: bool) -> int:
    """How many of some events were posted by then, of all that are posted in the end."""
    posted = []

    async def answer(request: web.Request):
        posted.append(await request.json())
        return {"metadata": {}}, 201, {}

    async with cluster(answer) as api:
        recorder = Recorder(api, "me", lambda: datetime.now(UTC), lambda: None, lambda: is_busy)
        for number in range(COUNT):
            recorder.post(JOB, Notice("Normal", "Running", str(number)))
        running = asyncio.create_task(recorder.run())
        await asyncio.sleep(seconds)
        soon = len(posted)
        async with asyncio.timeout(20):
            while len(posted) < COUNT:
                await asyncio.sleep(0.01)
        running.cancel()
    assert sorted(int(event["message"]) for event in posted) == list(range(COUNT))
    return soon


async def test_events_are_posted_at_once_and_one_by_one_while_jobs_wait(monkeypatch):
    monkeypatch.setattr(events, "BUSY_PAUSE", 0.6)
    assert await posted_after(0.3, is_busy=True) == 0
    monkeypatch.setattr(events, "BUSY_PAUSE", 10.0)
    assert await posted_after(1, is_busy=False) == COUNT
