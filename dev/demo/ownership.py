"""Whose things are: the demo installs beside nothing that it did not make, and `make demo-down` deletes nothing else.

The demo's namespaces carry a label, the CRD carries Helm's note of its release. Asked of a cluster that KUBECONFIG
names; the one-machine cluster is the demo's as a whole.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dev.demo.target import Access, DemoError

# The README's names are those of a real installation; none of these is.
RELEASE = "demo-peft-fsdp-operator"
SYSTEM_NAMESPACE = "peft-fsdp-demo-system"
DEMO_NAMESPACE = "peft-fsdp-demo"
CRD = "peftfsdpjobs.training.peft-fsdp.io"
LABEL = {"training.peft-fsdp.io/made-by": "demo"}

Object = dict[str, Any]


def check_free(cluster: Access) -> None:
    """Raises DemoError where something is in the way that the demo did not make; nothing is changed."""
    namespaces = [cluster.get("namespace", name) for name in (SYSTEM_NAMESPACE, DEMO_NAMESPACE)]
    if found := obstacles(cluster.get("crd", CRD), namespaces, other_releases(cluster)):
        raise DemoError(
            "this cluster is not free for the demo, and nothing was changed:\n"
            + "\n".join(f"  {line}" for line in found)
            + "\nAn operator that is there runs the demo's job too: docs/getting-started.md. Or use another cluster."
        )


def obstacles(crd: Object, namespaces: Sequence[Object], releases: Sequence[str]) -> list[str]:
    """What the demo would take over, one sentence each. Objects that do not exist are empty."""
    found = [f"the Helm release {name} is installed" for name in releases]
    if crd and not is_our_crd(crd):
        found.append(f"the CRD {CRD} is there, {origin(crd)}")
    found += [
        f"the namespace {one['metadata']['name']} is there, and the demo did not make it"
        for one in namespaces
        if one and not is_our_namespace(one)
    ]
    return found


def reasons_to_keep(crd: Object, jobs: Iterable[Object], releases: Sequence[str]) -> list[str]:
    """Why the CRD stays: with it every job of the cluster would be deleted."""
    if not is_our_crd(crd):
        return [f"it is {origin(crd)}"]
    kept = [f"the Helm release {name} uses it" for name in releases]
    others = [_name(job) for job in jobs if job["metadata"]["namespace"] != DEMO_NAMESPACE]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        kept.append(f"there are jobs that the demo did not make: {', '.join(others[:3])}{more}")
    return kept


def is_our_crd(crd: Object) -> bool:
    return _release_of(crd) == f"{SYSTEM_NAMESPACE}/{RELEASE}"


def is_our_namespace(namespace: Object) -> bool:
    labels: dict[str, str] = namespace.get("metadata", {}).get("labels", {})
    return labels.items() >= LABEL.items()


def origin(crd: Object) -> str:
    release = _release_of(crd)
    return f"installed by the Helm release {release}" if release else "installed without Helm"


def other_releases(cluster: Access) -> list[str]:
    """Releases of the chart that are not the demo's, as namespace/name."""
    listed = json.loads(cluster.run_helm("list", "--all-namespaces", "--all", "--output", "json"))
    names = [f"{one['namespace']}/{one['name']}" for one in listed if one["chart"].startswith("peft-fsdp-operator-")]
    return [name for name in names if name != f"{SYSTEM_NAMESPACE}/{RELEASE}"]


def _release_of(crd: Object) -> str:
    noted = crd.get("metadata", {}).get("annotations", {})
    namespace, name = (noted.get(f"meta.helm.sh/release-{part}", "") for part in ("namespace", "name"))
    return f"{namespace}/{name}" if name else ""


def _name(job: Object) -> str:
    return f"{job['metadata']['namespace']}/{job['metadata']['name']}"
