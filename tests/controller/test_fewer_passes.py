"""What a pass asks for when it ends: another one at once, one later, or none."""

from datetime import UTC, datetime

from peft_fsdp_api.status import Phase
from peft_fsdp_operator.jobs import JobKey, Jobs
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_operator.reconcile import Reconciler
from tests.controller.builders import pod, running, status

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = JobKey("team", "tune")
CLAIM = {"spec": {"accessModes": ["ReadWriteMany"]}}
SPEC = {
    "model": {"source": "org/model"},
    "dataset": {"source": "org/data", "trainSplit": "train"},
    "workers": {"nodes": 2, "gpusPerNode": 8},
    "output": {"claim": "models"},
}


class World:
    """The API server and the children of one job of two pods."""

    def __init__(self, phase, *pods, attempt=1):
        self.pods, self.written, self.jobs = pods, [], Jobs()
        metadata = {"namespace": "team", "name": "tune", "uid": "u1", "generation": 1, "resourceVersion": "1"}
        kind = {"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob"}
        self.raw = {**kind, "metadata": metadata, "spec": SPEC, "status": status(phase, attempt).to_wire()}
        self.jobs.keep(self.raw)
        parts = (self, self.jobs, self, self, self, Metrics())
        self.reconciler = Reconciler(*parts, lambda: NOW)

    async def look(self):
        return await self.reconciler.reconcile(KEY)

    async def apply_status(self, _resource, _namespace, body):
        self.written.append(body["status"])
        version = str(int(body["metadata"]["resourceVersion"]) + 1)
        self.raw = {
            **self.raw,
            "metadata": {**self.raw["metadata"], "resourceVersion": version},
            "status": body["status"],
        }
        return self.raw

    async def get(self, *_):
        return CLAIM

    def pods_of(self, _):
        return self.pods

    def departed_of(self, *_):
        return ()

    async def make(self, *_):
        return None

    async def silent_among(self, _):
        return {}

    def post(self, *_):
        pass


async def test_after_pods_were_made_the_job_is_looked_at_again_at_once():
    world = World(None, attempt=0)
    assert await world.look() == 0.0
    assert [one["phase"] for one in world.written] == ["Pending"]


async def test_a_pass_that_finds_all_pods_there_or_running_needs_no_other_one():
    for phase, pods, found in (
        (Phase.PENDING, (pod(0), pod(1)), "Starting"),
        (Phase.STARTING, (running(0), running(1)), "Running"),
    ):
        world = World(phase, *pods)
        assert await world.look() is None
        assert [one["phase"] for one in world.written] == [found]


async def test_a_count_is_held_back_from_the_first_pod_that_moved_and_then_written():
    world = World(Phase.PENDING, pod(0), pod(1))
    await world.look()
    record = world.jobs.get(KEY)
    record.written_at -= 60
    world.pods = (running(0), pod(1))
    wait = await world.look()
    assert 0 < wait <= 1
    assert len(world.written) == 1
    record.news_since -= 1
    assert await world.look() is None
    assert world.written[-1]["workers"]["running"] == 1
    assert record.news_since is None
