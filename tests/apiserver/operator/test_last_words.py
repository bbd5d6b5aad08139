"""A pod is deleted as it was seen: what it said since then is read before it goes.

The API server removes a pod that has ended at once. An operator that is killed right after has nothing else to know
the cause from.
"""

from datetime import UTC, datetime

import pytest

from peft_fsdp_api.job import parse_job
from peft_fsdp_operator.children import Children, Mirrors
from peft_fsdp_operator.cluster import PODS
from peft_fsdp_operator.observe import see_pod
from peft_fsdp_operator.reflector import ChildReflector
from peft_fsdp_operator.render import render_pods
from tests.apiserver.operator.world import IMAGE

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def gang(alone):
    """Two pods that run, the parts of an operator that delete them, and what these have heard."""
    job = parse_job(await alone.submit())
    for body in render_pods(job, 1, (0, 1), IMAGE, ()):
        await alone.cluster.create(PODS, alone.namespace, body)
    for name in ("tune-1-0", "tune-1-1"):
        await alone.bind(name)
        await alone.run_pod(name)
    mirrors, heard = Mirrors(), []
    mirrors.pods[None] = ChildReflector(alone.cluster, PODS, None, see_pod, lambda pod: heard.append(pod.name))
    for raw in (await alone.pods()).values():
        mirrors.pods[None].remember(raw)
    heard.clear()
    return Children(alone.cluster, mirrors, IMAGE), lambda: mirrors.pods[None].owned_by(job.metadata.uid), heard


async def test_a_pod_that_ended_since_it_was_seen_is_left_for_the_next_pass_to_read(alone, gang):
    children, known, heard = gang
    await alone.end_pod("tune-1-1", 66, "the dataset has no split january")
    await children.delete_pods(known(), (), datetime.now(UTC))
    pods = await alone.pods()
    assert "deletionTimestamp" in pods["tune-1-0"]["metadata"]
    assert pods["tune-1-1"]["status"]["phase"] == "Failed"
    read = next(pod for pod in known() if pod.worker == 1)
    assert (read.trainer_end.exit_code, heard.count("tune-1-1")) == (66, 1)
    await children.delete_pods([read], (), datetime.now(UTC))
    assert set(await alone.pods()) == {"tune-1-0"}


async def test_a_pod_that_changed_otherwise_is_told_to_stop_at_once(alone, gang):
    children, known, _ = gang
    await alone.patch(PODS, "tune-1-1", {"metadata": {"annotations": {"somebody": "was here"}}})
    await children.delete_pods(known(), (), datetime.now(UTC))
    assert all("deletionTimestamp" in pod["metadata"] for pod in (await alone.pods()).values())
    assert all(pod.is_stopping for pod in known())


async def test_a_pod_that_was_made_anew_under_its_name_is_not_touched(alone, gang):
    children, known, _ = gang
    seen = known()
    raw = (await alone.pods())["tune-1-1"]
    await alone.remove_by_force("tune-1-1")
    kept = ("name", "labels", "ownerReferences")
    metadata = {key: raw["metadata"][key] for key in kept}
    await alone.cluster.create(PODS, alone.namespace, {"metadata": metadata, "spec": raw["spec"]})
    await children.delete_pods(seen, (), datetime.now(UTC))
    assert "deletionTimestamp" not in (await alone.pods())["tune-1-1"]["metadata"]
