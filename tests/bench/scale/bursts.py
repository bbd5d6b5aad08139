"""Many jobs at once: from the apply of each to its last pod, and what it cost, beside a bare client's same objects."""

import statistics
from collections import defaultdict
from dataclasses import dataclass

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.audit import CONTROLLERS, OPERATOR, AuditLog, job_of, pods_made
from tests.bench.scale.objects import NAMESPACE, post_children
from tests.bench.scale.sampling import Sample, Sampler
from tests.bench.scale.world import World, run_jobs

PODS = 8


@dataclass(frozen=True)
class Burst:
    """What a burst of jobs took; seconds unless named otherwise."""

    latencies: list[float]
    """Of each job: from its apply to its last pod, in ascending order."""
    last_pod: float
    """From the first apply to the last pod of all."""
    running_mib: float
    """The operator's memory when all jobs run."""
    cpu_ms_per_job: float
    writes_per_job: float
    status_writes_per_job: float
    events_per_job: float
    controller_requests_per_job: float
    samples: list[Sample]

    @property
    def median(self) -> float:
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        return percentile(self.latencies, 99)


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def bare_burst(world: World, jobs: int, pods: int = PODS) -> float:
    """The same objects from a bare client: seconds from the first request to the last pod."""
    requests = [request for index in range(jobs) for request in post_children(f"bare-{index}", pods)]
    world.log.mark()
    world.poster.send(requests)
    made = [request for request in world.log.requests("bench-poster", verb="create") if request.resource == "pods"]
    return max(request.answered for request in made) - min(request.received for request in made)


def burst(world: World, operator: OperatorProcess, jobs: int, prefix: str, pods: int = PODS) -> Burst:
    """Jobs from a separate process, until all run. They stay."""
    world.log.mark()
    before = operator.cpu_seconds()
    with Sampler(operator) as sampler:
        run_jobs(world, operator, [f"{prefix}-{index}" for index in range(jobs)], pods)
        used = operator.cpu_seconds() - before
        memory = operator.resident_mib()
    return _read(world.log, jobs, used, memory, sampler.samples)


def _read(log: AuditLog, jobs: int, used: float, memory: float, samples: list[Sample]) -> Burst:
    applied = applied_at(log)
    last: dict[str, float] = defaultdict(float)
    for pod, at in pods_made(log).items():
        last[job_of(pod)] = max(last[job_of(pod)], at)
    written = [request for request in log.requests(OPERATOR) if request.is_write and request.resource != "leases"]
    ours = [request for request in written if request.resource != "events"]
    theirs = [request for request in log.requests(CONTROLLERS) if request.namespace == NAMESPACE]
    return Burst(
        latencies=sorted(last[job] - at for job, at in applied.items()),
        last_pod=max(last.values()) - min(applied.values()),
        running_mib=memory,
        cpu_ms_per_job=1000 * used / jobs,
        writes_per_job=len(ours) / jobs,
        status_writes_per_job=sum(request.resource.endswith("/status") for request in ours) / jobs,
        events_per_job=(len(written) - len(ours)) / jobs,
        controller_requests_per_job=len(theirs) / jobs,
        samples=samples,
    )


def applied_at(log: AuditLog) -> dict[str, float]:
    """When the API server received each job."""
    applied = log.requests("bench-poster", resource="peftfsdpjobs", verb="create")
    return {request.name: request.received for request in applied if request.took_effect}
