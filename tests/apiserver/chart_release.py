"""A control plane of its own for the chart's tests, because Helm wants to own the CRD, and Helm against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import yaml

from dev.chart.helm import CHART, NAMESPACE, RELEASE, run_helm, template
from dev.cluster.instance import Cluster
from tests.fresh_plane import fresh_plane

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
    with fresh_plane(name) as cluster:
        release = Release(cluster)
        release.namespace(NAMESPACE)
        yield release


def granted(*values: str) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of all roles that the chart binds to the operator."""
    manifests = [one for one in yaml.safe_load_all(template(*IMAGES, *values)) if one]
    bound = {one["roleRef"]["name"] for one in manifests if one["kind"].endswith("RoleBinding")}
    roles = [one for one in manifests if one["kind"].endswith("Role") and one["metadata"]["name"] in bound]
    rules = [rule for role in roles for rule in role["rules"]]
    return {right for rule in rules for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])}
