"""`make demo-down` in a cluster that is not the demo's own. Called by `__main__`."""

from dev.demo.ownership import (
    CRD,
    DEMO_NAMESPACE,
    SYSTEM_NAMESPACE,
    is_our_namespace,
    other_releases,
    reasons_to_keep,
)
from dev.demo.target import Access
from dev.demo.walk import uninstall_chart


def remove(target: Access) -> list[str]:
    """What the demo made in a cluster that is not its own, and nothing else. Returns what stays, and why."""
    stays = []
    ours = {name: is_our_namespace(target.get("namespace", name)) for name in (DEMO_NAMESPACE, SYSTEM_NAMESPACE)}
    if ours[DEMO_NAMESPACE]:
        target.run("delete", "namespace", DEMO_NAMESPACE, "--wait=true")
    if ours[SYSTEM_NAMESPACE]:
        uninstall_chart(target)
        target.run("delete", "namespace", SYSTEM_NAMESPACE, "--wait=true")
    if crd := target.get("crd", CRD):
        kept = reasons_to_keep(crd, target.get("pfj", "-A").get("items", []), other_releases(target))
        if kept:
            stays.append(f"the CRD {CRD} and all jobs stay: {'; '.join(kept)}")
        else:
            target.run("delete", "crd", CRD)
    return stays
