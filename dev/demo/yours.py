"""The cluster that KUBECONFIG and IMAGE_REGISTRY name. Standard library only: `needs` asks before an installation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.demo.target import DemoError


@dataclass(frozen=True)
class Yours:
    """A cluster that is not the demo's own, and the registry that it pulls from."""

    kubeconfig: Path
    registry: str


def named_cluster(environment: Mapping[str, str]) -> Yours | None:
    """None means the one-machine cluster. Raises DemoError where only one of the two is set: a KUBECONFIG that happens
    to be there must not bring the demo into a cluster, and even less its removal."""
    kubeconfig, registry = environment.get("KUBECONFIG"), environment.get("IMAGE_REGISTRY")
    if kubeconfig and registry:
        return Yours(Path(kubeconfig), registry)
    if kubeconfig or registry:
        missing = "IMAGE_REGISTRY" if kubeconfig else "KUBECONFIG"
        raise DemoError(
            f"KUBECONFIG and IMAGE_REGISTRY go together, and {missing} is not set: set both for a cluster of yours, "
            "or neither for one on this machine"
        )
    return None
