"""How often launchers are asked: a round over all workers takes as long as it needs, and no job is left out."""

import asyncio
from datetime import UTC, datetime

from peft_fsdp_operator.jobs import JobKey, Jobs
from peft_fsdp_operator.progress import ALL_WORKERS_PER_SECOND, ProgressPoller
from peft_fsdp_operator.seen import PodSeen

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def poller(workers: int) -> tuple[ProgressPoller, Jobs, JobKey]:
    jobs = Jobs()
    metadata = {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": "1"}
    started = "2026-11-22T11:00:00Z"
    key = jobs.keep({"metadata": metadata, "status": {"phase": "Running", "attempt": 1, "runningSince": started}})
    pods = tuple(
        PodSeen("n", f"a-1-{n}", f"p{n}", 1, "a", "u", 1, n, started, ip="127.0.0.1", trainer_running=True)
        for n in range(workers)
    )
    return ProgressPoller(jobs, lambda *_: pods, lambda _: None, lambda: NOW), jobs, key


async def test_a_job_is_not_asked_again_before_it_is_due():
    one, jobs, key = poller(workers=2)
    assert len(one._due_pods(key, jobs.get(key), share=0)) == 2
    assert one._due_pods(key, jobs.get(key), share=0) == []


async def test_where_there_are_many_workers_a_round_takes_longer():
    one, jobs, key = poller(workers=2)
    one._due_pods(key, jobs.get(key), share=8000 / ALL_WORKERS_PER_SECOND)
    assert one._looks[key].due - asyncio.get_running_loop().time() > 45


async def test_a_job_that_runs_no_more_has_no_part_in_the_round():
    one, jobs, key = poller(workers=2)
    one._due_pods(key, jobs.get(key), share=0)
    jobs.get(key).raw["status"]["phase"] = "Succeeded"
    one._due_pods(key, jobs.get(key), share=0)
    assert key not in one._looks
