"""From the API server's objects to what the operator sees of them."""

import pytest

from peft_fsdp_api.status import Phase
from peft_fsdp_operator.observe import (
    claims_of,
    newest_words,
    see_claim,
    see_node,
    see_pod,
    see_status,
    silent_by_their_pods,
)
from peft_fsdp_operator.render import render_pods
from tests.controller.builders import NOW, at, job, running


def raw(**status):
    pod = render_pods(job(), 2, [1], "image:1")[0]
    pod["metadata"] |= {"uid": "p1", "resourceVersion": "7", "creationTimestamp": "2026-11-22T12:00:00Z"}
    return {**pod, "status": status}


def trainer(state):
    return {"name": "trainer", "state": state}


def test_whose_pod_it_is():
    pod = see_pod(raw())
    assert (pod.owner_uid, pod.owner_name, pod.attempt, pod.worker) == ("u1", "tune", 2, 1)


@pytest.mark.parametrize("strip", ["ownerReferences", "labels"])
def test_a_pod_without_our_owner_or_labels_is_not_ours(strip):
    pod = raw()
    pod["metadata"] = {**pod["metadata"], strip: None}
    assert see_pod(pod) is None


def test_the_trainer_is_told_from_its_sidecars():
    sidecar = {"name": "proxy", "state": {"running": {}}}
    pod = see_pod(raw(phase="Running", containerStatuses=[sidecar, trainer({"terminated": {"exitCode": 0}})]))
    assert (pod.has_succeeded, pod.others_running, pod.holds_resources) == (True, True, True)


def test_the_end_of_a_container_that_its_kubelet_cannot_find_is_its_last_state():
    gone = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "could not be located"}
    entry = {**trainer({"waiting": {"reason": "ContainerCreating"}}), "lastState": {"terminated": gone}}
    assert see_pod(raw(phase="Failed", containerStatuses=[entry])).trainer_end.reason == "ContainerStatusUnknown"
    assert see_pod(raw(phase="Pending", containerStatuses=[entry])).trainer_end is None


@pytest.mark.parametrize(
    ("reason", "told"), [("ContainerCreating", None), ("PodInitializing", None), ("ImagePullBackOff", "no such tag")]
)
def test_ordinary_waits_are_not_worth_a_word(reason, told):
    pod = see_pod(raw(containerStatuses=[trainer({"waiting": {"reason": reason, "message": "no such tag"}})]))
    assert (pod.waiting.message if pod.waiting else None) == told


def test_conditions_of_a_pod():
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drain"}
    pod = see_pod(raw(conditions=[unscheduled, disrupted]))
    assert (pod.unscheduled.message, pod.disruption.reason) == ("0/3 nodes", "EvictionByEvictionAPI")
    fine = see_pod(raw(conditions=[{**unscheduled, "status": "True"}, {**disrupted, "status": "False"}]))
    assert (fine.unscheduled, fine.disruption) == (None, None)


def test_a_pod_that_has_a_node_is_scheduled_whatever_a_late_scheduler_writes():
    late = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    bound = raw(conditions=[late])
    bound["spec"] = {**bound["spec"], "nodeName": "n1"}
    assert see_pod(bound).unscheduled is None


def test_a_failed_init_container_is_named():
    failed = {"name": "fetch", "state": {"terminated": {"exitCode": 2, "message": "404"}}}
    assert "fetch failed: 404" in see_pod(raw(phase="Failed", initContainerStatuses=[failed])).init_failure.message


def test_a_status_of_a_newer_operator_can_be_read():
    status = see_status({"status": {"phase": "Running", "attempt": 3, "fromTheFuture": {"a": 1}}})
    assert (status.phase, status.attempt) == (Phase.RUNNING, 3)
    assert see_status({}).attempt == 0


def test_all_claims_of_a_job_are_looked_at():
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    found = claims_of(job(cache={"claim": "hub"}, workers={"volumes": [volume, {"name": "x", "emptyDir": {}}]}))
    assert found == [("models", "output.claim"), ("hub", "cache.claim"), ("data", "workers.volumes[0]")]


def test_a_pending_claim_says_what_it_asks_for():
    pending = see_claim({"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Pending"}}, "c", "f")
    assert pending.access_modes == ("ReadWriteMany",)
    assert see_claim(None, "c", "f").access_modes is None


def event(uid, message, after=0.0, reason="FailedMount", **fields):
    return {"involvedObject": {"uid": uid}, "reason": reason, "message": message, "lastTimestamp": at(after), **fields}


def test_the_last_words_about_each_pod_are_kept():
    events = [event("a", "new", after=-1), event("a", "old", after=-9), event("b", "other")]
    assert {uid: words.message for uid, words in newest_words(events, NOW).items()} == {"a": "new", "b": "other"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (event("a", "old", after=-400), False),
        (event("a", "0/3 nodes", reason="FailedScheduling"), False),
        (event("a", "series", lastTimestamp=None, eventTime=at(-400), series={"lastObservedTime": at(-5)}), True),
        (event("a", "new api", lastTimestamp=None, eventTime="2026-11-22T11:59:59.123456Z"), True),
        (event("a", "no time", lastTimestamp=None), False),
    ],
)
def test_words_that_are_old_or_stand_elsewhere_are_left_out(said, told):
    assert ("a" in newest_words([said], NOW)) is told


@pytest.mark.parametrize(
    ("ready", "containers", "unready"),
    [("True", "True", False), ("False", "True", True), ("False", None, True), ("False", "False", False)],
    ids=["ready", "marked by the cluster", "no more is known", "the kubelet says so"],
)
def test_a_running_pod_that_the_cluster_marked_as_not_ready(ready, containers, unready):
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": at(-9)}]
    conditions += [{"type": "ContainersReady", "status": containers}] if containers else []
    pod = see_pod(raw(conditions=conditions, containerStatuses=[trainer({"running": {}})]))
    assert (pod.is_unready, pod.unready_since) == (unready, at(-9) if unready else None)
    assert not see_pod(raw(conditions=conditions, containerStatuses=[trainer({"waiting": {}})])).is_unready


def test_without_a_right_to_read_nodes_running_pods_tell_of_theirs():
    silent = silent_by_their_pods([running(0), running(1, is_unready=True, unready_since=at(-9))], NOW)
    assert {node: (one.reason, one.since) for node, one in silent.items()} == {"node-1": ("NodeNotReady", at(-9))}


def node(status="True", taints=(), **condition):
    ready = {"type": "Ready", "status": status, **condition}
    metadata = {"name": "n1", "uid": "u", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"taints": list(taints)}, "status": {"conditions": [ready]}}


@pytest.mark.parametrize(
    ("raw_node", "said"),
    [
        (node(), None),
        ({**node(), "status": {}}, None),
        ({**node(), "spec": {}}, None),
        (node("Unknown", message="Kubelet stopped"), ("not ready: Kubelet stopped", False)),
        (node("False", reason="KubeletNotReady"), ("not ready: KubeletNotReady", False)),
        (node(taints=[{"key": "node.kubernetes.io/unreachable"}]), None),
        (node(taints=[{"key": "node.kubernetes.io/out-of-service"}]), ("tainted as out of service", True)),
    ],
)
def test_which_nodes_do_not_answer(raw_node, said):
    silence = see_node(raw_node).silence
    assert ((silence.message, silence.is_fenced) if silence else None) == said


def test_a_node_says_since_when_it_does_not_answer():
    silence = see_node(node("Unknown", message="Kubelet stopped", lastTransitionTime=at(-9))).silence
    assert (silence.since, silence.message) == (at(-9), f"not ready since {at(-9)}: Kubelet stopped")
