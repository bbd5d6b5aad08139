"""What happens to a gang of real pods when a part of it goes away."""

import time

import pytest

from tests.cluster.jobs import demo_job
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

STEPS = 60
# The image has no pgrep, and the shell must not find itself.
KILL_A_RANK = (
    "for process in /proc/[0-9]*; do "
    "grep -q peft_fsdp_trainer[.]rank $process/cmdline && kill -9 ${process#/proc/}; done; true"
)


def test_a_killed_rank_leads_to_a_new_attempt_that_goes_on_from_the_checkpoint(runs: Runs) -> None:
    name = runs.apply(demo_job("killed", steps=STEPS))
    runs.running_pods(name)
    runs.shell(f"{name}-1-1", KILL_A_RANK)
    failed = runs.wait(name, lambda status: status.get("attempt") == 2)
    assert failed["lastFailure"].get("rank") == 1, failed["lastFailure"]
    assert failed["lastFailure"]["pod"] == f"{name}-1-1"
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 1, "infrastructure": 0, "preemption": 0}, ended["failures"]
    assert ended["progress"]["step"] == STEPS


def test_a_deleted_pod_ends_the_attempt(runs: Runs) -> None:
    name = runs.apply(demo_job("deleted", steps=STEPS))
    runs.wait_for_phase(name, "Running")
    first = {pod["metadata"]["uid"] for pod in runs.pods(name)}
    runs.kubectl("delete", "pod", f"{name}-1-1", "--wait=false")
    # In its first second, when a signal is easily lost: the kubelet would wait for its two minutes.
    runs.wait(name, lambda status: status.get("attempt") == 2 and status.get("phase") == "Running", timeout=110)
    assert not first & {pod["metadata"]["uid"] for pod in runs.pods(name)}
    assert runs.wait_for_phase(name, "Succeeded")["restarts"]["infrastructure"] == 1


def test_suspend_saves_and_resume_goes_on(runs: Runs) -> None:
    name = runs.apply(demo_job("paused", steps=STEPS, checkpoint={"every": {"steps": 1000}}))
    runs.wait_for_training(name, step=5)
    runs.kubectl("patch", "pfj", name, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    suspended = runs.wait_for_phase(name, "Suspended")
    assert runs.pods(name) == []
    saved = suspended["checkpoint"]
    assert saved["step"] >= 5
    runs.kubectl("patch", "pfj", name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 0, "infrastructure": 0, "preemption": 0}
    logs = runs.kubectl("logs", f"{name}-{ended['attempt']}-0")
    assert f"resumed from {saved['path']}," in logs


def test_deleting_the_job_leaves_the_checkpoints_and_nothing_else(runs: Runs) -> None:
    name = runs.apply(demo_job("removed", steps=STEPS))
    runs.running_pods(name)
    runs.kubectl("delete", "pfj", name)
    end = time.monotonic() + 60
    while left := runs.kubectl(
        "get", "pods,services,configmaps", "-o", "name", "-l", f"training.peft-fsdp.io/job={name}"
    ):
        assert time.monotonic() < end, left
        time.sleep(0.5)
    assert list((runs.output / name / "checkpoints").iterdir())
