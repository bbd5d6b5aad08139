"""Each invariant tells a story that breaks it from one that does not."""

from dataclasses import replace

from tests.faults.invariants import STATUS, asked_twice, complaints, made_twice
from tests.faults.trail import Write

LABEL = "training.peft-fsdp.io/attempt"
JOB = "peftfsdpjobs"


def pod(version, attempt, verb="create", resource="pods", grace=None, node="node-1", uid=None):
    metadata = {"name": f"tune-{attempt}-0", "uid": uid or f"pod-{attempt}", "labels": {LABEL: str(attempt)}}
    if grace is not None:
        metadata |= {"deletionTimestamp": "soon", "deletionGracePeriodSeconds": grace}
    return write(version, verb, resource, {"metadata": metadata, "spec": {"nodeName": node}})


def status(version, phase, attempt=1, restarts=0, generation=1, before=None):
    told = {"phase": phase, "attempt": attempt, "observedGeneration": generation}
    told["restarts"] = {"application": restarts, "infrastructure": 0, "preemption": 0}
    spec = {"restart": {"application": {"limit": 1}}}
    metadata = {"name": "tune", "uid": "job", "generation": 2}
    return write(version, "patch", STATUS, {"metadata": metadata, "spec": spec, "status": told}, before)


def write(version, verb, resource, content, before=None, time=None):
    time = f"2026-11-25T10:{version // 60:02}:{version % 60:02}Z" if time is None else time
    return Write(version, time, verb, resource, True, before, content)


FIRST = [status(1, "Pending"), pod(2, 1), status(3, "Running")]
STOPPED = [*FIRST, status(4, "Restarting", restarts=1), pod(5, 1, "delete", grace=120)]
SECOND = [status(7, "Pending", 2, restarts=1), pod(8, 2)]
GONE = pod(6, 1, "delete", grace=0)


def test_a_restart_that_waits_for_the_old_pods_is_fine():
    assert complaints([*STOPPED, GONE, *SECOND], {}) == []


def test_two_attempts_at_once_are_told():
    assert "while tune-1-0 was there" in complaints([*STOPPED, *SECOND], {})[0]
    assert "while tune-1-0 was there" in complaints([*STOPPED, *SECOND], {"node-1": "2026-11-25T11"})[0]


def test_a_pod_on_a_node_that_is_gone_does_not_count_once_it_was_told_to_stop():
    assert complaints([*STOPPED, *SECOND], {"node-1": "2026-11-25T10:00:06Z"}) == []
    running = [*FIRST, status(4, "Restarting", restarts=1), *SECOND]
    assert len(complaints(running, {"node-1": "2026-11-25T10:00:06Z"})) == 1


def test_attempts_that_nobody_paid_for_are_told():
    assert "after 0 restarts" in complaints([*FIRST, GONE, status(7, "Pending", 2)], {})[0]
    assert "was followed by" in complaints([*FIRST, GONE, status(7, "Pending", 3, restarts=1)], {})[0]
    assert "which allows 1" in complaints([status(1, "Pending"), status(2, "Restarting", restarts=2)], {})[-1]
    assert "before attempt 1 was announced" in complaints([pod(2, 1)], {})[0]


def test_a_resume_pays_for_an_attempt():
    assert complaints([*FIRST, GONE, status(7, "Suspended"), status(8, "Pending", 2)], {}) == []


def test_a_terminal_phase_that_is_left_is_told():
    assert complaints([*FIRST, status(4, "Succeeded"), status(5, "Running")], {}) == [
        "the terminal phase Succeeded became Running"
    ]
    assert "after the job had ended" in complaints([status(1, "Pending"), status(2, "Failed"), pod(3, 1)], {})[0]


ENDED = [status(1, "Pending"), status(2, "Succeeded")]
LATE = pod(9, 1, uid="late")


def test_a_pod_that_came_late_is_fine_where_it_is_told_to_stop_at_once():
    stopped = [*ENDED, LATE, pod(12, 1, "delete", grace=30, uid="late")]
    assert complaints(stopped, {}, {LATE.uid}) == []
    assert "made after" in complaints(stopped, {})[0]
    assert "was left alone" in complaints([*ENDED, LATE], {}, {LATE.uid})[0]
    assert "was left alone" in complaints([*ENDED, LATE, pod(80, 1, "delete", grace=30, uid="late")], {}, {LATE.uid})[0]


def test_a_pod_of_an_older_attempt_that_came_late_is_no_second_attempt():
    stops = pod(10, 1, "delete", grace=0, uid="late")
    assert complaints([*STOPPED, GONE, *SECOND, LATE, stops], {}, {LATE.uid}) == []
    assert "was left alone" in complaints([*STOPPED, GONE, *SECOND, LATE], {}, {LATE.uid})[0]


def test_a_request_that_the_api_server_had_before_the_end_came_late():
    overtaken = replace(LATE, time=status(1, "Pending").time)
    assert complaints([*ENDED, overtaken, pod(12, 1, "delete", grace=30, uid="late")], {}) == []
    assert "was left alone" in complaints([*ENDED, overtaken], {})[0]


def test_a_generation_that_goes_back_is_told():
    back = [status(1, "Pending", generation=2), status(2, "Starting", generation=1)]
    assert complaints(back, {}) == ["observedGeneration 2 became 1"]
    assert complaints([status(1, "Pending", generation=3)], {}) == [
        "observedGeneration 3 is none that the job ever had"
    ]


def test_writes_that_change_nothing_are_told():
    assert "changed nothing" in complaints([status(1, "Pending"), status(1, "Pending")], {})[0]
    assert "changed nothing" in complaints([status(1, "Pending", before=1)], {})[0]
    assert asked_twice([*STOPPED, STOPPED[-1]]) == ["tune-1-0"]
    assert made_twice([*FIRST, pod(9, 1)]) == ["tune-1-0"]
