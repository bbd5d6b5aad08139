"""Faults on real pods, and what status says the cause was."""

import json
import os
import signal
from typing import Any

import pytest

from tests.cluster.jobs import demo_job
from tests.cluster.pod_processes import processes_of
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

STEPS = 60


def test_a_killed_launcher_costs_one_attempt(runs: Runs) -> None:
    name = runs.apply(demo_job("launcher", steps=STEPS))
    uid = runs.running_pods(name)[f"{name}-1-1"]
    last_line = runs.kubectl("logs", f"{name}-1-1").strip().splitlines()[-1]
    for pid in processes_of(uid, "launch"):
        os.kill(pid, signal.SIGKILL)
    failure = runs.wait(name, lambda status: status.get("attempt") == 2)["lastFailure"]
    assert (failure["pod"], failure["exitCode"]) == (f"{name}-1-1", 137)
    assert last_line in failure["message"]  # it left no word: the kubelet takes the end of its log
    ended = runs.wait_for_phase(name, "Succeeded")
    assert sum(ended["restarts"].values()) == 1
    assert ended["progress"]["step"] == STEPS


def test_a_container_that_dies_before_the_launcher_is_quoted_from_its_log(runs: Runs) -> None:
    """A Python without its library: nothing of ours ever runs that could leave an Outcome."""
    broken = {"env": [{"name": "PYTHONHOME", "value": "/not-there"}]}
    name = runs.apply(demo_job("broken", nodes=1, workers=broken, restart={"application": {"limit": 0}}))
    failure = runs.wait_for_phase(name, "Failed")["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == ("ApplicationError", 1)
    assert "No module named 'encodings'" in failure["message"]


def test_a_container_that_cannot_be_started_is_charged_to_the_node(runs: Runs) -> None:
    """A path that no container runtime mounts anything on stands for a driver that refuses."""
    odd = {"volumes": [{"name": "odd", "emptyDir": {}}], "volumeMounts": [{"name": "odd", "mountPath": "/proc/odd"}]}
    name = runs.apply(demo_job("unstarted", nodes=1, workers=odd, restart={"infrastructure": {"limit": 0}}))
    failure = runs.wait_for_phase(name, "Failed")["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == ("KubeletRejected", 128)
    assert "/proc/odd" in failure["message"]


def test_an_image_without_our_program_is_an_error_of_the_application(runs: Runs) -> None:
    nowhere = {"env": [{"name": "PATH", "value": "/not-there"}]}
    name = runs.apply(demo_job("foreign", nodes=1, workers=nowhere, restart={"application": {"limit": 0}}))
    failure = runs.wait_for_phase(name, "Failed")["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == ("ApplicationError", 128)
    assert "peft-fsdp" in failure["message"]


def test_memory_over_the_limit_is_named_and_not_retried(runs: Runs) -> None:
    limits = {"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "200Mi"}}}
    name = runs.apply(demo_job("hungry", nodes=1, workers=limits))
    failed = runs.wait_for_phase(name, "Failed")
    failure = failed["lastFailure"]
    assert (failure["reason"], failed["attempt"]) == ("OutOfMemory", 1)
    assert "workers.resources.limits.memory" in failure["hint"]


def test_a_pod_over_its_limit_on_the_nodes_disk_is_told_in_the_kubelets_words(runs: Runs) -> None:
    """The kubelet gives it two seconds, in which the launcher says that it was asked to stop, or not even that."""
    limits = {"resources": {"limits": {"ephemeral-storage": "64Ki"}}}
    seldom = {"every": {"steps": 1000}}
    job = demo_job("spacious", steps=1000, workers=limits, restart={"application": {"limit": 0}}, checkpoint=seldom)
    failed = runs.wait_for_phase(runs.apply(job), "Failed")
    failure = failed["lastFailure"]
    assert (failure["reason"], failed["attempt"]) == ("DiskFull", 1)
    assert "exceeds the total limit of containers 64Ki" in failure["message"]
    assert "cache.claim" in failure["hint"]


def test_a_rank_that_hangs_is_reported_until_it_goes_on(runs: Runs) -> None:
    # No saves: a stage of its own, which may take half an hour, and which the signal could hit.
    seldom = {"every": {"steps": 1000}}
    name = runs.apply(demo_job("hanging", steps=STEPS, stallTimeout="15s", checkpoint=seldom))
    runs.wait_for_training(name)
    uid = next(pod["metadata"]["uid"] for pod in runs.pods(name) if pod["metadata"]["name"] == f"{name}-1-1")
    ranks = list(processes_of(uid, "peft_fsdp_trainer.rank"))
    try:
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        hung = runs.wait(name, lambda status: _stalled(status)["status"] == "True")
        assert "rank 1" in _stalled(hung)["message"]
    finally:
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
    ended = runs.wait_for_phase(name, "Succeeded")
    assert _stalled(ended)["status"] == "False"
    assert ended["attempt"] == 1


def _stalled(status: dict[str, Any]) -> dict[str, str]:
    conditions: list[dict[str, str]] = status["conditions"]
    return next(condition for condition in conditions if condition["type"] == "Stalled")


def test_an_evicted_pod_is_charged_to_preemption(runs: Runs) -> None:
    name = runs.apply(demo_job("evicted", steps=STEPS))
    runs.running_pods(name)
    pod = f"{name}-1-1"
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": runs.namespace},
    }
    path = f"/api/v1/namespaces/{runs.namespace}/pods/{pod}/eviction"
    runs.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))
    failure = runs.wait(name, lambda status: status.get("attempt") == 2)["lastFailure"]
    assert (failure["pod"], failure["reason"]) == (pod, "Disrupted")
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 0, "infrastructure": 0, "preemption": 1}


def test_a_deleted_service_and_configmap_come_back_and_nothing_restarts(runs: Runs) -> None:
    name = runs.apply(demo_job("repaired", nodes=1, steps=STEPS))
    pods = runs.running_pods(name)
    runs.kubectl("delete", "service,configmap", "-l", f"training.peft-fsdp.io/job={name}", "--wait=true")
    ended = runs.wait_for_phase(name, "Succeeded")
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in runs.pods(name)} == pods
    assert ended["attempt"] == 1
    assert f"service/{name}" in runs.kubectl("get", "service,configmap", "-o", "name")
