"""Jobs that come, fail, finish and are deleted all the time: does the operator stay as small as it was?

`python -m tests.bench soak --minutes 30`. After each round nothing of it is left in the cluster, so that what the
operator keeps shows: memory, tasks, open files (connections among them) and mirrored objects.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from peft_fsdp_api import names
from tests.bench.operator_process import OperatorProcess
from tests.bench.report import Figure
from tests.bench.scale.load import wait_until
from tests.bench.scale.objects import NAMESPACE, Object, delete_job, post_job, take_pod_away
from tests.bench.scale.sampling import jobs_in, read_metrics
from tests.bench.scale.world import World, open_world, run_jobs

JOBS, PODS = 20, 4
DATASET_INVALID = 66
"""An end that is not retried: its pods stay until the job is deleted."""
GONE = "peft_fsdp_operator_mirrored_objects"
WARM_ROUNDS = 2


@dataclass(frozen=True)
class Rest:
    """The operator after a round, when nothing is left to do."""

    minute: float
    memory_mib: float
    tasks: float
    files: int
    mirrored: float


def soak(minutes: float) -> list[Figure]:
    """The figures: what grew between the first rounds and the last ones."""
    with open_world(pods=JOBS * PODS) as world, world.operator() as operator:
        rests = run_rounds(world, operator, minutes)
        differences = compare_with_live(world, operator)
    return figures(rests, differences)


def run_rounds(world: World, operator: OperatorProcess, minutes: float) -> list[Rest]:
    """Rounds until the time is over; at least three."""
    started, rests = time.monotonic(), list[Rest]()
    while len(rests) <= WARM_ROUNDS or time.monotonic() - started < 60 * minutes:
        one_round(world, operator, f"soak-{len(rests)}")
        rests.append(_rest(operator, (time.monotonic() - started) / 60))
    return rests


def one_round(world: World, operator: OperatorProcess, prefix: str) -> None:
    """All jobs run; half lose a pod and come back, a quarter finishes and one fails; all are deleted, some while they
    start."""
    jobs = [f"{prefix}-{index}" for index in range(JOBS)]
    run_jobs(world, operator, jobs, PODS)
    restarted, finished = jobs[: JOBS // 2], jobs[JOBS // 2 : JOBS * 3 // 4]
    world.poster.send(take_pod_away(name) for name in restarted)
    failed = jobs[JOBS * 3 // 4 :]
    world.poster.send(request for name in finished for request in _end(name, 0))
    world.poster.send(request for name in failed for request in _end(name, DATASET_INVALID))
    wait_until(lambda: jobs_in(operator.port, "Succeeded") >= len(finished), "a quarter has finished")
    wait_until(lambda: jobs_in(operator.port, "Failed") >= len(failed), "a quarter has failed")
    world.poster.send(post_job(f"{prefix}-late-{index}", PODS) for index in range(JOBS // 4))
    world.poster.send(delete_job(name) for name in [*jobs, *(f"{prefix}-late-{index}" for index in range(JOBS // 4))])
    world.until_no_pods()
    wait_until(lambda: _mirrored(operator) == 0, "the operator has seen that all are gone", 120)


def compare_with_live(world: World, operator: OperatorProcess) -> float:
    """Jobs run; by how much the mirrors differ from live lists of what they mirror."""
    run_jobs(world, operator, [f"end-{index}" for index in range(JOBS)], PODS)
    selector = f"labelSelector={names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
    metrics = read_metrics(operator.port)
    difference = 0.0
    for kind in ("pods", "services", "configmaps"):
        (live,) = world.ask(f"/api/v1/namespaces/{NAMESPACE}/{kind}?{selector}")
        difference += abs(len(live["items"]) - metrics.get(f'{GONE}{{kind="{kind}"}}', 0.0))
    return difference


def figures(rests: list[Rest], differences: float) -> list[Figure]:
    """The last third against the first rounds after the warm-up."""
    third = max(1, (len(rests) - WARM_ROUNDS) // 3)
    first, last = rests[WARM_ROUNDS : WARM_ROUNDS + third], rests[-third:]
    grown = max(rest.memory_mib for rest in last) - max(rest.memory_mib for rest in first)
    minutes = rests[-1].minute
    return [
        Figure(f"soak: rounds of {JOBS} jobs in {minutes:.0f} minutes", float(len(rests)), "", None),
        Figure("soak: memory, last third over first", grown, "MiB", 10),
        Figure("soak: memory at the end", rests[-1].memory_mib, "MiB", None),
        Figure("soak: tasks more than at first", rests[-1].tasks - rests[WARM_ROUNDS].tasks, "", 2),
        Figure("soak: open files more than at first", float(rests[-1].files - rests[WARM_ROUNDS].files), "", 4),
        Figure("soak: mirrored objects that differ from live lists", differences, "", 0),
    ]


def _rest(operator: OperatorProcess, minute: float) -> Rest:
    metrics = read_metrics(operator.port)
    files = len(list(Path(f"/proc/{operator.pid}/fd").iterdir()))
    tasks = metrics["peft_fsdp_operator_tasks"]
    return Rest(minute, operator.resident_mib(), tasks, files, _mirrored(operator))


def _mirrored(operator: OperatorProcess) -> float:
    """Children of jobs; the nodes stay."""
    found = read_metrics(operator.port).items()
    return sum(value for name, value in found if name.startswith(GONE) and "nodes" not in name)


def _end(name: str, code: int) -> list[Object]:
    ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": "2026-01-01T00:00:00Z"}
    container = {"name": names.TRAINER_CONTAINER, "image": "x", "imageID": "x", "ready": False, "restartCount": 0,
                 "state": {"terminated": ended}}  # fmt: skip
    phase = "Failed" if code else "Succeeded"
    body = orjson.dumps({"status": {"phase": phase, "containerStatuses": [container]}}).decode()
    return [
        {
            "method": "PATCH",
            "path": f"/api/v1/namespaces/{NAMESPACE}/pods/{name}-1-{worker}/status",
            "body": body,
            "type": "application/merge-patch+json",
        }
        for worker in range(PODS)
    ]
