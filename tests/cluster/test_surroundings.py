"""Faults around the pods: a full volume, a cut network, an operator that dies at the worst moment."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.command import run
from dev.demo.ownership import RELEASE, SYSTEM_NAMESPACE
from dev.demo.walk import install_chart
from tests.cluster.jobs import demo_job
from tests.cluster.pod_processes import processes_of
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

STEPS = 60
CLIENT = "peft-fsdp-operator"


@pytest.fixture
def small_output(runs: Runs) -> Iterator[Path]:
    """The output claim as a volume of 48 MiB, away after the test whatever still uses it."""
    run("mount", "-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs", str(runs.output))
    try:
        yield runs.output
    finally:
        run("umount", "-l", str(runs.output))


def test_a_full_volume_is_named_and_the_run_goes_on_when_there_is_room(runs: Runs, small_output: Path) -> None:
    name = runs.apply(demo_job("full", steps=STEPS))
    runs.running_pods(name)
    filler = _fill(small_output)
    failure = runs.wait(name, lambda status: bool(status.get("lastFailure")))["lastFailure"]
    filler.unlink()
    assert (failure["reason"], failure["exitCode"]) == ("DiskFull", 72)
    assert "/output" in failure["message"]
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"]["application"] >= 1
    assert ended["restarts"]["infrastructure"] == ended["restarts"]["preemption"] == 0


def _fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def test_a_cut_network_is_a_lost_peer(runs: Runs) -> None:
    name = runs.apply(demo_job("cut", steps=STEPS))
    uid = runs.running_pods(name)[f"{name}-1-1"]
    address = next(pod["status"]["podIP"] for pod in runs.pods(name) if pod["metadata"]["name"] == f"{name}-1-0")
    launcher = next(processes_of(uid, "launch"))
    # Within the pod's own network: the rules cannot outlive it.
    for chain, side in (("INPUT", "--source"), ("OUTPUT", "--destination")):
        run("nsenter", f"--net=/proc/{launcher}/ns/net", "iptables", "-I", chain, side, address, "-j", "DROP")
    failure = runs.wait(name, lambda status: bool(status.get("lastFailure")))["lastFailure"]
    assert failure["reason"] == "LostPeer"
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 0}


@pytest.mark.alone
def test_an_operator_killed_during_a_restart_is_replaced_and_makes_one_attempt(runs: Runs) -> None:
    install_chart(runs.target, "--set", "replicas=2")
    try:
        name = runs.apply(demo_job("orphaned", steps=STEPS))
        uid = runs.running_pods(name)[f"{name}-1-1"]
        holder, leader = _leader(runs)
        for pid in processes_of(uid, "peft_fsdp_trainer.rank"):
            os.kill(pid, signal.SIGKILL)
        runs.wait(name, lambda status: bool(status.get("lastFailure")))  # the phase may last for a moment only
        killed = list(processes_of(leader, CLIENT))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert killed
        # Or the kubelet starts the container again, and the same pod leads on before its lease ends.
        runs.target.run("-n", SYSTEM_NAMESPACE, "delete", "pod", holder, "--grace-period=0", "--force")
        ended = runs.wait_for_phase(name, "Succeeded")
        assert (ended["attempt"], sum(ended["restarts"].values())) == (2, 1), ended["failures"]
        assert _leader(runs)[0] != holder
    finally:
        install_chart(runs.target)


def _leader(runs: Runs) -> tuple[str, str]:
    """Identity of the operator that leads, and the uid of its pod."""
    lease = runs.target.get("-n", SYSTEM_NAMESPACE, "lease", RELEASE)
    holder = str(lease["spec"]["holderIdentity"])
    pods = runs.target.get("-n", SYSTEM_NAMESPACE, "pods")["items"]
    return holder, next(pod["metadata"]["uid"] for pod in pods if pod["metadata"]["name"] in holder)
