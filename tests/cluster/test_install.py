"""Helm install, upgrade and uninstall: what stays and what goes, and that a running gang does not notice."""

import pytest

from dev.demo.ownership import RELEASE, SYSTEM_NAMESPACE
from dev.demo.target import Access, DemoError, Target
from dev.demo.walk import install_chart, uninstall_chart
from tests.cluster.jobs import demo_job
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

KINDS = (
    "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets"
)


@pytest.mark.alone
def test_an_upgrade_restarts_no_gang(runs: Runs) -> None:
    name = runs.apply(demo_job("upgraded", nodes=1, steps=60))
    runs.wait_for_phase(name, "Running")
    before = [pod["metadata"]["uid"] for pod in runs.pods(name)]
    install_chart(runs.target, "--set", "logFormat=text")
    ended = runs.wait_for_phase(name, "Succeeded")
    assert [pod["metadata"]["uid"] for pod in runs.pods(name)] == before
    assert ended["attempt"] == 1


@pytest.mark.alone
def test_an_install_that_does_not_get_ready_says_what_its_pods_wait_for(runs: Runs) -> None:
    try:
        with pytest.raises(DemoError, match=r"(?s)deadline exceeded.*ImagePull"):
            install_chart(runs.target, "--set-string", "image.reference=127.0.0.1:1/nowhere:1", "--timeout", "10s")
    finally:
        install_chart(runs.target)


@pytest.mark.alone
def test_uninstall_leaves_only_the_definition_the_jobs_and_the_lease(runs: Runs) -> None:
    name = runs.apply(demo_job("kept", nodes=1, steps=2))
    status = runs.wait_for_phase(name, "Succeeded")
    assert len(_of_the_release(runs.target)) > 5
    uninstall_chart(runs.target)
    try:
        assert _of_the_release(runs.target) == []
        # A pod that still ends would make the Lease anew.
        runs.target.wait_for("the end of the operator", lambda cluster: not _pods(cluster), timeout=60)
        assert _left(runs.target) == [f"lease.coordination.k8s.io/{RELEASE}"]
        runs.target.run("delete", "lease", RELEASE, "-n", SYSTEM_NAMESPACE)
        assert _left(runs.target) == []
        assert runs.status(name) == status
    finally:
        install_chart(runs.target)
    assert runs.status(name) == status


def _left(target: Target) -> list[str]:
    """Without a label, as the operator makes them: everything in the namespace but what the cluster puts into each."""
    found = target.run("get", f"{KINDS},configmaps,leases", "-n", SYSTEM_NAMESPACE, "-o", "name").split()
    return [name for name in found if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")]


def _pods(cluster: Access) -> list[str]:
    return cluster.run("get", "pods", "-n", SYSTEM_NAMESPACE, "-o", "name").split()


def _of_the_release(target: Target) -> list[str]:
    label = f"app.kubernetes.io/instance={RELEASE}"
    inside = target.run("get", KINDS, "-n", SYSTEM_NAMESPACE, "-l", label, "-o", "name")
    outside = target.run("get", "clusterroles,clusterrolebindings", "-l", label, "-o", "name")
    return (inside + outside).split()
