"""A decision is written over the version of the job that it was made from, and over no later one."""

from datetime import UTC, datetime

from peft_fsdp_api.job import parse_job
from peft_fsdp_api.status import JobStatus
from peft_fsdp_operator.cluster import JOBS
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.errors import Conflict, NotFound
from peft_fsdp_operator.jobs import JobKey, Jobs
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_operator.reconcile import Reconciler
from peft_fsdp_operator.seen import ClaimSeen, Observed

KEY = JobKey("here", "tune")
SPEC = {
    "model": {"source": "/claims/model"},
    "dataset": {"source": "/claims/data", "trainSplit": "train"},
    "workers": {"nodes": 1, "gpusPerNode": 1},
    "output": {"claim": "models"},
}
CLAIMS = (ClaimSeen("models", "output.claim", ("ReadWriteMany",)),)


def job(version, generation):
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "u", "resourceVersion": version}
    kind = {"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob"}
    return {**kind, "metadata": {**metadata, "generation": generation}, "spec": SPEC}


class ChangesMeanwhile:
    """The API server of a job whose spec is changed while a pass looks at the claims."""

    def __init__(self, jobs):
        self.jobs, self.written = jobs, []

    async def get(self, resource, *_):
        if resource is JOBS:
            return job("6", 2)
        self.jobs.keep(job("6", 2))
        raise NotFound(404, "NotFound", "no claim")

    async def apply_status(self, _resource, _namespace, body):
        self.written.append(body)
        raise Conflict(409, "Conflict", "changed")


class NoChildren:
    def pods_of(self, _):
        return ()

    def departed_of(self, *_):
        return ()


class NoNodes:
    async def silent_among(self, _):
        return {}


async def test_a_version_that_comes_in_during_a_pass_is_not_overwritten():
    jobs = Jobs()
    jobs.keep(job("5", 1))
    cluster = ChangesMeanwhile(jobs)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    reconciler = Reconciler(cluster, jobs, NoChildren(), NoNodes(), None, Metrics(), lambda: now)
    assert await reconciler.reconcile(KEY) == 0.0
    assert cluster.written[0]["metadata"]["resourceVersion"] == "5"
    assert cluster.written[0]["status"]["observedGeneration"] == 1


class Over:
    """The API server of a job that ended and was removed; the operator has an old version of it."""

    async def get(self, resource, *_):
        if resource is JOBS:
            raise NotFound(404, "NotFound", "removed")
        return {"spec": {"accessModes": ["ReadWriteMany"]}}


async def test_no_pod_is_made_for_a_job_of_which_only_an_old_version_is_known():
    jobs, now = Jobs(), datetime(2026, 1, 1, tzinfo=UTC)
    status = decide(Observed(parse_job(job("5", 1)), JobStatus(), claims=CLAIMS), now)
    told = with_conditions(status, [], now).to_wire()
    jobs.keep({**job("5", 1), "status": told})
    reconciler = Reconciler(Over(), jobs, NoChildren(), NoNodes(), None, Metrics(), lambda: now)
    assert await reconciler.reconcile(KEY) == 0.0
    assert jobs.get(KEY) is None


class OverMeanwhile:
    """The API server of a job that has ended; the operator is told while it looks at the claims."""

    def __init__(self, jobs, newest):
        self.jobs, self.newest = jobs, newest

    async def get(self, resource, *_):
        if resource is JOBS:
            return self.newest
        self.jobs.keep(self.newest)
        return {"spec": {"accessModes": ["ReadWriteMany"]}}


async def test_no_pod_is_made_from_an_old_version_when_a_newer_one_comes_in_during_the_pass():
    jobs, now = Jobs(), datetime(2026, 1, 1, tzinfo=UTC)
    status = decide(Observed(parse_job(job("5", 1)), JobStatus(), claims=CLAIMS), now)
    jobs.keep({**job("5", 1), "status": with_conditions(status, [], now).to_wire()})
    over = OverMeanwhile(jobs, {**job("6", 1), "status": {"phase": "Succeeded", "attempt": 1}})
    reconciler = Reconciler(over, jobs, NoChildren(), NoNodes(), None, Metrics(), lambda: now)
    assert await reconciler.reconcile(KEY) == 0.0
