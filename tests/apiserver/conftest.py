"""A real API server for these tests: one control plane and the CRD for the session, one namespace for each test."""

import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

from dev.cluster.instance import Cluster
from peft_fsdp_api.crd import crd, crd_yaml
from tests.fresh_plane import fresh_plane


@pytest.fixture(scope="session")
def api_server(worker_id: str) -> Iterator[Cluster]:
    """A running control plane without nodes, in which PeftFsdpJob is known; one for each process of tests."""
    with fresh_plane(f"apiserver-tests-{worker_id}") as cluster:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
        cluster.wait_until_served(crd()["metadata"]["name"])
        yield cluster


@pytest.fixture(scope="module")
def dry_kubectl(api_server: Cluster) -> "Kubectl":
    """kubectl for tests that leave nothing behind: server-side dry runs and refusals."""
    return Kubectl(api_server, "default")


@pytest.fixture
def namespace(api_server: Cluster) -> Iterator[str]:
    """A namespace of its own for a test."""
    name = f"test-{uuid4().hex[:10]}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


class Kubectl:
    """kubectl in one namespace; unlike `Cluster.kubectl` it hands back a refusal instead of raising."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._command = [
            str(cluster.bin_dir / "kubectl"),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--cache-dir={cluster.kubeconfig.parent / 'kubectl-cache'}",
            f"--namespace={namespace}",
        ]

    def __call__(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command, *arguments], input=input, capture_output=True, text=True)


@pytest.fixture
def kubectl(api_server: Cluster, namespace: str) -> Kubectl:
    """kubectl in the namespace of the test."""
    return Kubectl(api_server, namespace)
