"""From a launcher's answer over HTTP to the job's status."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_api.names import PROGRESS_PATH
from peft_fsdp_api.progress import Progress
from peft_fsdp_operator import progress
from peft_fsdp_operator.jobs import Jobs
from peft_fsdp_operator.progress import BYTES_MAX, ProgressPoller, fetch_progress, seconds_between_looks, summarize
from tests.controller.builders import NOW, at, running
from tests.ports import free_port

RANKS = [
    {"rank": 0, "stage": "train", "heartbeat": "2026-11-22T12:00:05Z"},
    {"rank": 1, "stage": "train", "heartbeat": "2026-11-22T12:00:01Z"},
]
TRAINING = {
    "step": 120,
    "totalSteps": 500,
    "epoch": 0.24,
    "loss": 1.5,
    "tokensPerSecond": 900.0,
    "remainingSeconds": 70,
}


async def ask(answer, status=200):
    async def handle(_):
        return web.json_response(answer, status=status)

    return await ask_for(handle)


async def ask_for(handle):
    app = web.Application()
    app.router.add_get(PROGRESS_PATH, handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        return await fetch_progress(session, "127.0.0.1", server.port)


def answers(*told):
    return [Progress.model_validate({"attempt": 1, **one}, strict=False) for one in told]


async def test_a_launchers_answer():
    told = await ask({"attempt": 3, "nodeRank": 0, "ranks": RANKS, "training": TRAINING})
    assert (told.attempt, [rank.rank for rank in told.ranks]) == (3, [0, 1])


def test_figures_come_from_the_training_and_the_pulse_from_the_slowest_rank_of_all_workers():
    other = {"rank": 5, "stage": "train", "heartbeat": "2026-11-22T11:59:59Z"}
    shown = summarize(answers({"nodeRank": 0, "ranks": RANKS, "training": TRAINING}, {"nodeRank": 1, "ranks": [other]}))
    assert (shown.stage, shown.summary) == ("train", "120/500")
    assert (shown.slowest_rank, shown.heartbeat) == (5, "2026-11-22T11:59:59Z")
    assert (shown.loss, shown.remaining) == (1.5, "1m10s")


def test_a_stopped_rank_is_the_slowest_where_heartbeats_tie():
    ranks = [{**RANKS[0], "rank": rank} for rank in (0, 1)]
    ranks[1]["processState"] = "T"
    assert summarize(answers({"nodeRank": 0, "ranks": ranks})).slowest_rank == 1


def test_of_two_ranks_with_one_heartbeat_the_one_that_came_less_far_is_the_slower():
    ranks = [{**RANKS[0], "stage": "save"}, {**RANKS[0], "rank": 1, "done": 4}, {**RANKS[0], "rank": 2, "done": 3}]
    assert summarize(answers({"nodeRank": 0, "ranks": ranks})).slowest_rank == 2


def test_before_the_training_the_stage_is_told():
    rank = {**RANKS[0], "stage": "load", "done": 3, "total": 32}
    assert summarize(answers({"nodeRank": 0, "ranks": [rank]})).summary == "load 3/32"


@pytest.mark.parametrize(("answer", "status"), [({"attempt": "x"}, 200), ({}, 503), ([], 200)])
async def test_nonsense_is_no_report(answer, status):
    assert await ask(answer, status) is None


@pytest.mark.parametrize(
    "figures",
    [
        '"remainingSeconds": 1e300',
        '"tokensPerSecond": 1e300',
        '"tokensPerSecond": -1.0',
        '"epoch": NaN',
        '"step": 9007199254740993',
        '"step": -1',
    ],
)
async def test_figures_that_nobody_can_measure_are_no_report(figures):
    assert await ask_for(raw(f'"totalSteps": 9, {figures}')) is None


async def test_what_is_not_a_number_is_absent_and_what_is_large_is_shown():
    figures = '"totalSteps": 9, "loss": 1e300, "evalLoss": NaN, "learningRate": Infinity, "remainingSeconds": NaN'
    shown = summarize([await ask_for(raw(figures))])
    assert (shown.loss, shown.eval_loss, shown.learning_rate, shown.remaining) == (1e300, None, None, None)


def raw(training):
    """A launcher that says so, letter by letter."""
    rank = '{"rank": 0, "stage": "train", "heartbeat": "2026-11-22T12:00:05Z"}'
    text = f'{{"attempt": 1, "nodeRank": 0, "ranks": [{rank}], "training": {{{training}}}}}'

    async def handle(_):
        return web.Response(text=text)

    return handle


async def test_an_answer_in_pieces_is_read_to_its_end():
    async def handle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"attempt": 1, ', b'"nodeRank": 3}'):
            await response.write(piece)
            await asyncio.sleep(0.05)
        return response

    assert (await ask_for(handle)).node_rank == 3


async def test_of_an_answer_without_end_no_more_is_read_than_can_make_sense():
    async def handle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * BYTES_MAX)

    assert await asyncio.wait_for(ask_for(handle), 2) is None


async def test_nobody_there_is_no_report():
    async with aiohttp.ClientSession() as session:
        assert await fetch_progress(session, "127.0.0.1", free_port()) is None


@pytest.mark.parametrize(
    ("workers", "answered", "minutes", "seconds"),
    [(2, False, 0, 2), (2, True, 0, 10), (2, False, 5, 10), (80, True, 5, 10), (256, True, 5, 32)],
)
def test_how_often_launchers_are_asked(workers, answered, minutes, seconds):
    assert seconds_between_looks(workers, answered, timedelta(minutes=minutes)) == seconds


async def test_an_error_over_one_jobs_answers_ends_neither_the_poller_nor_its_looks_at_others(monkeypatch, caplog):
    jobs, marked = Jobs(), []
    for name in ("broken", "healthy"):
        metadata = {"namespace": "team", "name": name, "uid": name, "resourceVersion": "1"}
        jobs.keep({"metadata": metadata, "status": {"phase": "Running", "attempt": 1, "runningSince": at(0)}})
    (answer,) = answers({"nodeRank": 0, "ranks": RANKS})

    async def answer_at_once(*_):
        return answer

    def mark(key):
        if key.name == "broken":
            raise OverflowError("a number that nobody expected")
        marked.append(key.name)

    monkeypatch.setattr(progress, "fetch_progress", answer_at_once)
    poller = asyncio.create_task(ProgressPoller(jobs, lambda *_: (running(ip="10.0.0.1"),), mark, lambda: NOW).run())
    await asyncio.sleep(0.1)
    assert (marked, poller.done()) == (["healthy"], False)
    assert [record.job for record in caplog.records] == ["team/broken"]
    poller.cancel()
