"""An upgrade brings a rule that jobs of before break: here, with the checks of the schema taken out for a moment."""

import pytest
import yaml

from peft_fsdp_api.crd import crd_yaml
from peft_fsdp_operator.cluster import JOBS
from tests.apiserver.operator.test_robustness import apply_crd
from tests.apiserver.operator.world import condition, until

pytestmark = pytest.mark.apiserver


def loose_crd():
    loose = yaml.safe_load(crd_yaml())
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations", None)
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return yaml.safe_dump(loose)


async def breaks_a_rule(world, name, **spec):
    """Whether the API server has taken it, and not only the old schema's checks away."""
    try:
        await world.patch(JOBS, name, {"spec": {"training": {"batchSize": -1}, **spec}})
    except AssertionError:
        return False
    return True


async def test_ended_jobs_stay_as_they_are_and_running_ones_can_be_suspended(alone, start, api_server):
    with start("--no-election"):
        for name in ("done", "busy", "stopped"):
            await alone.submit(name, nodes=1)
            await alone.until_pods(f"{name}-1-0", name=name)
            await alone.run_all(name)
            await alone.until_phase("Running", name)
        await alone.end_pod("done-1-0", 0)
        before = await alone.until_phase("Succeeded", "done")
    apply_crd(api_server, loose_crd())
    try:
        for name, spec in {"done": {}, "busy": {}, "stopped": {"suspend": True}}.items():
            await until(lambda name=name, spec=spec: breaks_a_rule(alone, name, **spec))
    finally:
        apply_crd(api_server, crd_yaml())
    with start("--no-election"):
        told = await until(lambda: is_told(alone, "busy"))
        assert "spec.training.batchSize" in condition(told, "Stalled")["message"]
        assert set(await alone.pods("busy")) == {"busy-1-0"}
        stopped = await alone.until_phase("Suspended", "stopped")
        assert condition(stopped, "Stalled")["reason"] == "SpecInvalid"
        assert await alone.pods("stopped") == {}
        done = await until(lambda: has_seen(alone, "done"))
        assert facts(done) == facts(before)


async def is_told(world, name):
    status = await world.status(name)
    return status if condition(status, "Stalled")["status"] == "True" else None


async def has_seen(world, name):
    job = await world.job(name)
    return job["status"] if job["status"]["observedGeneration"] == job["metadata"]["generation"] else None


def facts(status):
    kept = {key: value for key, value in status.items() if key not in ("observedGeneration", "conditions")}
    return kept, [(one["type"], one["status"], one["reason"], one["message"]) for one in status["conditions"]]
