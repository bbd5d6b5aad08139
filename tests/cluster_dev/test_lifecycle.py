"""Starting is repeatable, a part that died is repaired with its data, and stopping leaves nothing."""

import os
import signal
from collections.abc import Iterator

import pytest

from dev.cluster import processes
from dev.cluster.instance import FULL, down, runs_partly, up_control_plane, up_full
from dev.cluster.layout import Layout
from dev.cluster.progress import wait_until
from tests.cluster.sharing import nobody_in
from tests.cluster_dev.machine import machine_state

CONTROL_PLANE = "lifecycle"


@pytest.fixture
def empty_machine() -> Iterator[None]:
    """With `pytest -n` another process may be at work in the cluster: it comes first, or waits."""
    with nobody_in():
        yield


def _pid(name: str, program: str) -> int | None:
    return processes.running_pid(Layout(name).pid_file(program))


@pytest.mark.apiserver
def test_a_control_plane_starts_once_is_repaired_and_goes() -> None:
    try:
        cluster = up_control_plane(CONTROL_PLANE)
        first = _pid(CONTROL_PLANE, "kube-apiserver")
        cluster.kubectl("create", "namespace", "kept")
        up_control_plane(CONTROL_PLANE)
        assert _pid(CONTROL_PLANE, "kube-apiserver") == first
        etcd = _pid(CONTROL_PLANE, "etcd")
        assert etcd is not None
        os.kill(etcd, signal.SIGKILL)
        wait_until(lambda: _pid(CONTROL_PLANE, "etcd") is None, "etcd is dead", 10)
        up_control_plane(CONTROL_PLANE)
        assert _pid(CONTROL_PLANE, "etcd") not in (None, etcd)
        assert "kept" in cluster.kubectl("get", "namespaces", "-o", "name")
    finally:
        down(CONTROL_PLANE)
    assert not Layout(CONTROL_PLANE).root.exists()
    assert _pid(CONTROL_PLANE, "kube-apiserver") is None


@pytest.mark.cluster
@pytest.mark.usefixtures("empty_machine")
def test_two_full_clusters_in_a_row_leave_the_machine_as_it_was() -> None:
    if runs_partly(Layout(FULL)):
        pytest.skip("a cluster of yours runs; `make cluster-down` first to have its removal tested")
    folder = Layout(FULL).root
    before = machine_state(folder)
    for _ in range(2):
        try:
            up_full(nodes=2)
            assert machine_state(folder) != before
            assert up_full().kubectl("get", "nodes", "-o", "name").split() == ["node/node-1", "node/node-2"]
            assert _pid(FULL, "kube-proxy") is not None
        finally:
            down(FULL)
        assert machine_state(folder) == before
