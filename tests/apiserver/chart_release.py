"""A control plane of its own for the chart's tests, because Helm wants to own the CRD, and Helm against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dev.chart.helm import CHART, NAMESPACE, RELEASE, run_helm
from dev.cluster.instance import Cluster, control_plane

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
IMAGES = ("--set", "image.reference=registry.example.com/operator:1,trainerImage=registry.example.com/trainer:1")


@dataclass(frozen=True)
class Release:
    """The chart on a real API server, in a namespace that enforces the restricted level."""

    cluster: Cluster

    def helm(self, *arguments: str) -> str:
        return run_helm(*arguments, "--kubeconfig", str(self.cluster.kubeconfig), "--namespace", NAMESPACE)

    def install(self, *arguments: str) -> str:
        return self.helm("upgrade", "--install", RELEASE, str(CHART), *IMAGES, *arguments)

    def namespace(self, name: str) -> str:
        """A further namespace that enforces the restricted level."""
        self.cluster.kubectl("create", "namespace", name)
        self.cluster.kubectl("label", "namespace", name, RESTRICTED)
        return name


@contextmanager
def chart_cluster(name: str) -> Iterator[Release]:
    """An empty control plane with the namespace of the release."""
    with control_plane(name) as cluster:
        release = Release(cluster)
        release.namespace(NAMESPACE)
        yield release
