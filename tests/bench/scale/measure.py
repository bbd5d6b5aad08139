"""The figures of the part `scale`, one after the other on one control plane. Called by `python -m tests.bench`."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.bench.operator_process import OperatorProcess
from tests.bench.report import Figure
from tests.bench.scale import plots
from tests.bench.scale.audit import pods_made
from tests.bench.scale.bursts import PODS, Burst, bare_burst, burst
from tests.bench.scale.fairness import small_beside_big
from tests.bench.scale.poison import poisoned
from tests.bench.scale.relist import NEW_JOBS, relist
from tests.bench.scale.restarts import bare_replacement, restart_gangs
from tests.bench.scale.sampling import Sampler
from tests.bench.scale.steady import progress_cost, quiet_requests, restart
from tests.bench.scale.world import World, delete_jobs, open_world

FEW = 100
MANY = 1000
BIG_PODS = 1000


def measure(names: Sequence[str], jobs: int) -> Iterator[tuple[str, list[Figure]]]:
    """The groups of figures of the given names, or all, as they come; `jobs` is how many jobs "many" are."""
    with open_world(pods=max(jobs * PODS, BIG_PODS + FEW * PODS)) as world:
        for name in names or list(FIGURES):
            print(f"measuring {name}", flush=True)
            yield name, FIGURES[name](world, jobs)
            world.clear()


def _few(world: World, _: int) -> list[Figure]:
    bare = bare_burst(world, FEW)
    world.clear()
    with world.operator() as operator:
        measured = burst(world, operator, FEW, "few")
        lost = [f"few-{index}" for index in range(FEW)]
        restarted = restart_gangs(world, operator, lost)
        delete_jobs(world, lost)
    plots.draw(f"{FEW}-jobs", measured, bare)
    what = f"{FEW} jobs x {PODS} pods at once"
    again = _bare_replacement(world, FEW, PODS)
    return [
        Figure(f"{what}: apply -> all pods of a job exist, p50", measured.median, "s", 2, "JobSet 9.0 s"),
        Figure(f"{what}: p99", measured.p99, "s", 4.5, "JobSet 16.4 s"),
        Figure(f"{what}: until the last pod exists", measured.last_pod, "s", None),
        Figure(f"{what}: bare client, last pod", bare, "s", None),
        Figure(f"{what}: last pod, ratio to the bare client", measured.last_pod / bare, "x", None),
        Figure(f"{FEW} jobs lose a pod at once: until all gangs are new", restarted, "s", None),
        Figure(f"{FEW} gangs: bare client's delete + create", again, "s", None),
        Figure(f"{FEW} gangs: ratio to the bare client", restarted / again, "x", 1.5),
    ]


def _many(world: World, jobs: int) -> list[Figure]:
    bare = bare_burst(world, jobs)
    world.clear()
    with world.operator() as operator:
        measured = burst(world, operator, jobs, "many")
        figures = _creation(measured, bare, jobs) + _quiet(world, operator, jobs)
    plots.draw(f"{jobs}-jobs", measured, bare)
    again = restart(world, jobs)
    figures += [
        Figure(f"operator restarted with {jobs} jobs: until each was looked at", again["seconds"], "s", 10),
        Figure(f"operator restarted with {jobs} jobs: writes", again["writes"], "", 0),
    ]
    with world.operator() as operator:
        return figures + _progress(world, operator, jobs) + _deletion(world, operator, jobs)


def _creation(measured: Burst, bare: float, jobs: int) -> list[Figure]:
    what, peers = f"{jobs} jobs x {PODS} pods at once", "with the controller-manager's 34"
    return [
        Figure(f"{what}: until the last pod exists", measured.last_pod, "s", 45, "JobSet 183 s"),
        Figure(f"{what}: bare client, last pod", bare, "s", None),
        Figure(f"{what}: last pod, ratio to the bare client", measured.last_pod / bare, "x", 1.4),
        Figure(f"operator memory, {jobs} jobs and {jobs * PODS} running pods", measured.running_mib, "MiB", 200,
               "JobSet 288 MiB"),
        Figure("operator CPU per job from apply to Running", measured.cpu_ms_per_job, "ms", 30, "JobSet 30 to 35 ms"),
        Figure("writes per job from apply to Running, Events aside", measured.writes_per_job, "", 13, peers),
        Figure("of these to the status", measured.status_writes_per_job, "", 3),
        Figure("Events per job", measured.events_per_job, "", None),
        Figure("controller-manager's requests per job", measured.controller_requests_per_job, "", 4, "30"),
    ]  # fmt: skip


def _quiet(world: World, operator: OperatorProcess, jobs: int) -> list[Figure]:
    cost = quiet_requests(world, operator)
    return [
        Figure(f"{jobs} running jobs without news: requests per second", cost["requests_per_second"], "", 1),
        Figure(f"{jobs} running jobs without news: operator CPU", 100 * cost["cpu_share"], "% of a core", None),
    ]


def _progress(world: World, operator: OperatorProcess, jobs: int) -> list[Figure]:
    cost = progress_cost(world, operator)
    writes = 10 * cost["requests_per_second"] / jobs
    return [
        Figure(f"{jobs} running jobs reporting: status writes per job and 10 s", writes, "", 1),
        Figure(f"{jobs} running jobs reporting: operator CPU", 100 * cost["cpu_share"], "% of a core", 30),
    ]


def _deletion(world: World, operator: OperatorProcess, jobs: int) -> list[Figure]:
    with Sampler(operator) as sampler:
        seconds = _until_deleted(world, [f"many-{index}" for index in range(jobs)])
    return [
        Figure(f"{jobs} jobs deleted at once: until the last pod is gone", seconds, "s", 60, "JobSet 119 s"),
        Figure("operator memory meanwhile, highest", sampler.peak_mib, "MiB", None),
    ]


def _until_deleted(world: World, names: Iterable[str]) -> float:
    """From the first job's deletion to the end of the last pod."""
    world.log.mark()
    delete_jobs(world, names)
    asked = [one.received for one in world.log.requests("bench-poster", "peftfsdpjobs", "delete")]
    gone = [one.answered for one in world.log.requests(resource="pods", verb="delete") if one.took_effect]
    return max(gone) - min(asked)


def _bare_deletion(world: World, jobs: int) -> list[Figure]:
    """How long a deletion takes where no operator has any part in it."""
    with world.operator() as operator:
        burst(world, operator, jobs, "left")
    seconds = _until_deleted(world, [f"left-{index}" for index in range(jobs)])
    what = f"{jobs} jobs deleted at once while no operator runs"
    return [Figure(f"{what}: until the last pod is gone", seconds, "s", None)]


def _big(world: World, _: int) -> list[Figure]:
    bare = bare_burst(world, 1, BIG_PODS)
    world.clear()
    with world.operator() as operator:
        measured = burst(world, operator, 1, "big", BIG_PODS)
        restarted = restart_gangs(world, operator, ["big-0"])
        delete_jobs(world, ["big-0"])
    again = _bare_replacement(world, 1, BIG_PODS)
    what = f"one job x {BIG_PODS} pods"
    return [
        Figure(f"{what}: apply -> all pods exist", measured.last_pod, "s", None),
        Figure(f"{what}: bare client", bare, "s", None),
        Figure(f"{what}: ratio to the bare client", measured.last_pod / bare, "x", 1.3),
        Figure(f"{what}, one fails -> all replaced", restarted, "s", None),
        Figure(f"{what}: bare client's delete + create", again, "s", None),
        Figure(f"{what}, all replaced: ratio to the bare client", restarted / again, "x", 1.3),
    ]


def _bare_replacement(world: World, jobs: int, pods: int) -> float:
    """Of pods that a bare client made and that run by now."""
    bare_burst(world, jobs, pods)
    world.until_running(len(pods_made(world.log)))
    return bare_replacement(world, [f"bare-{index}" for index in range(jobs)], pods)


def _fairness(world: World, _: int) -> list[Figure]:
    with world.operator() as operator:
        seconds = small_beside_big(world, operator, BIG_PODS)
    return [
        Figure(f"a job of {PODS} pods alone", seconds["alone"], "s", None),
        Figure(f"a job of {PODS} pods while one of {BIG_PODS} is being made", seconds["beside"], "s", None),
        Figure("delay by the big job", seconds["delay"], "s", 0.5),
    ]


def _poison(world: World, _: int) -> list[Figure]:
    figures = []
    for name, seconds in poisoned(world, FEW).items():
        what = f"{FEW} jobs beside a bad one ({name})"
        figures += [
            Figure(f"{what}: p99", seconds["with"], "s", None),
            Figure(f"{what}: p99, ratio to that without it", seconds["ratio"], "x", 1.1),
        ]
    return figures


def _relist(world: World, jobs: int) -> list[Figure]:
    with world.operator() as operator:
        burst(world, operator, jobs, "listed")
        cost = relist(world, operator)
        delete_jobs(world, [*(f"listed-{index}" for index in range(jobs)), *NEW_JOBS])
    what = f"API server started anew with {jobs} jobs, {jobs * PODS} pods"
    return [
        Figure(f"{what}: pages listed", cost["lists"], "", None),
        Figure(f"{what}: from the first page asked for to the last one read", cost["seconds"], "s", None),
        Figure(f"{what}: longest wait for a page", cost["longest"], "s", None),
        Figure(f"{what}: watches asked for", cost["watches"], "", None),
        Figure(f"{what}: pages of pods read from etcd and not from the cache", cost["from_etcd"], "", None),
        Figure(f"{what}: operator's CPU time", cost["cpu"], "s", None),
        Figure(f"{what}: passes", cost["passes"], "", None),
        Figure(f"{what}: seconds in which the event loop was late by 0.1 s", cost["late_100ms"], "", None),
        Figure(f"{what}: seconds in which it was late by 1 s", cost["late_1s"], "", 0),
        Figure(f"{what}: operator's memory, highest", cost["peak_mib"], "MiB", None),
        Figure(f"{what}: a new job meanwhile, apply -> all pods exist", cost["new_job"], "s", None),
        Figure(f"{what}: a new job afterwards", cost["new_job_after"], "s", None),
    ]


FIGURES: dict[str, Callable[[World, int], list[Figure]]] = {
    "few": _few,
    "big": _big,
    "fairness": _fairness,
    "poison": _poison,
    "many": _many,
    "bare-deletion": _bare_deletion,
    "relist": _relist,
}
"""What `--figure` takes, in the order in which they are measured."""
