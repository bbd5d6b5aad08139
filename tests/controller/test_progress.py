"""From a launcher's answer over HTTP to the job's status."""

from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from peft_fsdp_api.names import PROGRESS_PATH
from peft_fsdp_api.progress import Progress
from peft_fsdp_operator.progress import fetch_progress, seconds_between_looks, summarize

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
    async def progress(_):
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_get(PROGRESS_PATH, progress)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        return await fetch_progress(session, "127.0.0.1", server.port)


def answers(*told):
    return [Progress.model_validate({"attempt": 1, **one}, strict=False) for one in told]


async def test_a_launchers_answer():
    progress = await ask({"attempt": 3, "nodeRank": 0, "ranks": RANKS, "training": TRAINING})
    assert (progress.attempt, [rank.rank for rank in progress.ranks]) == (3, [0, 1])


def test_figures_come_from_the_training_and_the_pulse_from_the_slowest_rank_of_all_workers():
    other = {"rank": 5, "stage": "train", "heartbeat": "2026-11-22T11:59:59Z"}
    progress = summarize(
        answers({"nodeRank": 0, "ranks": RANKS, "training": TRAINING}, {"nodeRank": 1, "ranks": [other]})
    )
    assert (progress.stage, progress.summary) == ("train", "120/500")
    assert (progress.slowest_rank, progress.heartbeat) == (5, "2026-11-22T11:59:59Z")
    assert (progress.loss, progress.remaining) == (1.5, "1m10s")


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


async def test_nobody_there_is_no_report(unused_tcp_port):
    async with aiohttp.ClientSession() as session:
        assert await fetch_progress(session, "127.0.0.1", unused_tcp_port) is None


@pytest.mark.parametrize(
    ("workers", "answered", "minutes", "seconds"),
    [(2, False, 0, 2), (2, True, 0, 10), (2, False, 5, 10), (80, True, 5, 10), (256, True, 5, 32)],
)
def test_how_often_launchers_are_asked(workers, answered, minutes, seconds):
    assert seconds_between_looks(workers, answered, timedelta(minutes=minutes)) == seconds
