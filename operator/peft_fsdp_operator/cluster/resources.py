"""The kinds of objects the operator touches, and what it does to each: the source of the chart's Role."""

from dataclasses import dataclass
from typing import Final

from peft_fsdp_api import names


@dataclass(frozen=True)
class Resource:
    """One kind of object at the API server."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection or of one object; without a namespace the collection of the whole cluster."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def namespace_in(self, path: str) -> str | None:
        """The namespace whose objects of this kind a path asks for; None for all others."""
        *_, kind, namespace, plural = ("", "", *path.split("/"))
        return namespace if (kind, plural) == ("namespaces", self.plural) else None


JOBS: Final = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS: Final = Resource("", "v1", "events", "Event")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

RIGHTS: Final[dict[tuple[str, str], frozenset[str]]] = {
    (names.GROUP, names.PLURAL): frozenset({"get", "list", "watch"}),
    (names.GROUP, f"{names.PLURAL}/status"): frozenset({"patch"}),
    ("", "pods"): frozenset({"get", "list", "watch", "create", "delete"}),
    ("", "services"): frozenset({"get", "list", "watch", "create", "patch", "delete"}),
    ("", "configmaps"): frozenset({"get", "list", "watch", "create", "patch", "delete"}),
    ("", "persistentvolumeclaims"): frozenset({"get"}),
    ("", "events"): frozenset({"create", "list"}),
    ("", "nodes"): frozenset({"get", "list", "watch"}),
    ("coordination.k8s.io", "leases"): frozenset({"get", "create", "update"}),
}
"""(API group, resource) -> verbs. Nodes are cluster-scoped; Leases are needed in the operator's own namespace only.

Setting an owner reference that blocks deletion needs `update` on `<plural>/finalizers` where the admission plugin
OwnerReferencesPermissionEnforcement is on (OpenShift); ours never blocks, so no such right is needed.
"""
