"""Why an attempt ended: the earliest failure, the weightiest kind first."""

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_operator.decide.cause import find_cause
from peft_fsdp_operator.seen import Words
from tests.controller.builders import NOW, at, ended, failed, pod, running

R = Reason
PREEMPTED = Words("PreemptionByScheduler", "made room for another pod")
NODE_GONE = Words("DeletionByPodGC", "node is gone")
LOW_ON_DISK = Words("Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi")
HAD_PRESSURE = Words("Evicted", "The node had condition: [DiskPressure]. ")
OVER_ITS_LIMIT = Words("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ")


def cause(*pods, missing=None):
    return find_cause(1, pods, missing or {}, NOW)


@pytest.mark.parametrize(
    ("pods", "reason", "worker"),
    [
        ([failed(0, R.LOST_PEER, 9), failed(1, R.APPLICATION_ERROR, 5)], R.APPLICATION_ERROR, 1),
        ([failed(0, R.APPLICATION_ERROR, 5), failed(1, R.DATASET_INVALID, 4)], R.DATASET_INVALID, 1),
        ([failed(0, R.LOST_PEER, 1), failed(1, R.OUT_OF_MEMORY, 9)], R.OUT_OF_MEMORY, 1),
        ([failed(0, R.COLLECTIVE_TIMEOUT, 1), failed(1, R.APPLICATION_ERROR, 9)], R.APPLICATION_ERROR, 1),
        ([failed(0, R.APPLICATION_ERROR, 1), ended(1, 137, reason="OOMKilled", after=9)], R.OUT_OF_MEMORY, 1),
        ([failed(0, R.APPLICATION_ERROR, 1), running(1, disruption=PREEMPTED)], R.DISRUPTED, 1),
        ([running(0, disruption=PREEMPTED), running(1, disruption=NODE_GONE)], R.NODE_LOST, 1),
        ([pod(0, phase="Failed", failure=Words("UnexpectedAdmissionError", "no"))], R.KUBELET_REJECTED, 0),
        ([failed(0, R.PREEMPTED, 3, failure=LOW_ON_DISK), failed(1, R.LOST_PEER, 2)], R.EVICTED, 0),
        ([pod(0, phase="Failed", failure=HAD_PRESSURE), failed(1, R.LOST_PEER, 2)], R.EVICTED, 0),
        ([ended(0, 137, failure=OVER_ITS_LIMIT), failed(1, R.LOST_PEER, 2)], R.DISK_FULL, 0),
        ([running(0, deleted_at=at(120)), failed(1, R.LOST_PEER, 2)], R.POD_DELETED, 0),
        ([failed(0, R.PREEMPTED, 2, deleted_at=at(120)), failed(1, R.PREEMPTED, 1)], R.POD_DELETED, 0),
        ([ended(0, 143), failed(1, R.LOST_PEER, 5)], R.LOST_PEER, 1),
        ([failed(0, R.SUPERSEDED, 1), failed(1, R.APPLICATION_ERROR, 9)], R.APPLICATION_ERROR, 1),
        ([failed(0, R.LOST_PEER, 5), ended(1, 137, after=5)], R.APPLICATION_ERROR, 1),
        ([failed(0, R.LOST_PEER, 5), ended(1, 137, after=6)], R.APPLICATION_ERROR, 1),
        ([failed(0, R.APPLICATION_ERROR, 5), failed(1, R.DATASET_INVALID, 5)], R.DATASET_INVALID, 1),
        ([failed(0, R.APPLICATION_ERROR, 5), failed(1, R.DATASET_INVALID, 7)], R.DATASET_INVALID, 1),
        ([failed(0, R.APPLICATION_ERROR, 5), failed(1, R.DATASET_INVALID, 8)], R.APPLICATION_ERROR, 0),
        ([failed(0, R.DATASET_INVALID, 5), running(1, disruption=PREEMPTED)], R.DISRUPTED, 1),
        ([failed(0, R.LOST_PEER, 5), ended(1, 255, "", "Unknown", 60)], R.NODE_LOST, 1),
        ([failed(0, R.LOST_PEER, 5), ended(1, 137, "not there", "ContainerStatusUnknown", 60)], R.NODE_LOST, 1),
        ([failed(0, R.APPLICATION_ERROR, 5), ended(1, 128, "no GPU", "StartError", 9)], R.KUBELET_REJECTED, 1),
        ([ended(0, 128, 'exec: "peft-fsdp": not found', "StartError")], R.APPLICATION_ERROR, 0),
        ([ended(0, 1, "boom")], R.APPLICATION_ERROR, 0),
        ([ended(0, 66)], R.DATASET_INVALID, 0),
        ([ended(0, 99, "who knows")], R.APPLICATION_ERROR, 0),
        ([pod(0, phase="Failed")], R.APPLICATION_ERROR, 0),
    ],
)
def test_the_cause_among_several_ends(pods, reason, worker):
    found = cause(*pods)
    assert (found.reason, found.pod) == (reason, f"tune-1-{worker}")


@pytest.mark.parametrize("pods", [[running(0)], [ended(0, 0)], [pod(0)], [ended(0, 0, others_running=True)]])
def test_no_failure_no_cause(pods):
    assert cause(*pods) is None


def test_a_pod_that_vanished_is_a_deleted_pod():
    found = cause(running(0), missing={1: "tune-1-1"})
    assert (found.reason, found.pod) == (R.POD_DELETED, "tune-1-1")


def test_a_worker_that_ended_well_may_be_taken_away():
    assert cause(ended(0, 0, deleted_at=at(0)), running(1)) is None


def test_the_outcome_gives_rank_and_words():
    found = cause(failed(1, R.APPLICATION_ERROR))
    assert (found.rank, found.exit_code, found.node) == (8, 1, "node-1")
    assert "worker 1 says" in found.message


def test_a_kernel_kill_speaks_of_the_memory_limit():
    assert "workers.resources.limits.memory" in cause(ended(0, 137, reason="OOMKilled")).hint


def test_without_an_outcome_the_last_lines_of_the_log_are_kept():
    assert cause(ended(0, 1, "ImportError: no module\n")).message == "ImportError: no module"


@pytest.mark.parametrize(
    ("code", "after", "reason"),
    [
        (137, 5, R.APPLICATION_ERROR),
        (137, 27, R.APPLICATION_ERROR),
        (137, 30, R.POD_DELETED),
        (143, 5, R.PREEMPTED),
        (143, 11, R.POD_DELETED),
    ],
    ids=[
        "killed before",
        "killed while it may still stop",
        "killed when it had to be gone",
        "stopped before",
        "stopped",
    ],
)
def test_a_deletion_explains_only_the_signals_that_it_sends(code, after, reason):
    told_to_stop = {"deleted_at": at(30), "grace_seconds": 20}
    assert cause(ended(0, code, after=after, **told_to_stop)).reason == reason
