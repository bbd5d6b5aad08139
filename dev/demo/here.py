"""Where the demo and the cluster tests run: the one-machine cluster, or the one of KUBECONFIG and IMAGE_REGISTRY."""

import os
from pathlib import Path

from dev.cluster.build import build
from dev.cluster.instance import Cluster, up_full
from dev.cluster.packages import install_packages
from dev.cluster.preflight import check_full
from dev.cluster.registry import ADDRESS, standing_registry
from dev.demo.target import Access, DemoError, Target, program
from dev.images.build import push_image
from dev.images.sources import IMAGES


def target_from_environment() -> Target:
    """The cluster of the environment, or the one-machine cluster, which is started if it does not run."""
    kubeconfig, registry = os.environ.get("KUBECONFIG"), os.environ.get("IMAGE_REGISTRY")
    if bool(kubeconfig) != bool(registry):
        raise DemoError("KUBECONFIG and IMAGE_REGISTRY go together: set both for a cluster of yours, or neither")
    if kubeconfig and registry:
        check_full()
        install_packages()
        # The demo's job has one pod, and hardly a default storage class has volumes for several nodes.
        return _target(Path(kubeconfig), registry, "ReadWriteOnce")
    return target_of(up_full())


def target_of(cluster: Cluster) -> Target:
    """A running one-machine cluster with the images of this checkout in its registry."""
    return _target(cluster.kubeconfig, ADDRESS, "ReadWriteMany")


def access(kubeconfig: Path) -> Access:
    """A cluster that is only spoken to; no image is built or pushed for it."""
    build(("helm",))
    return Access(kubeconfig, kubectl=program("kubectl"), helm=program("helm"))


def _target(kubeconfig: Path, registry: str, access_mode: str) -> Target:
    known = access(kubeconfig)
    with standing_registry(registry):
        images = {name: push_image(image, registry) for name, image in IMAGES.items()}
    return Target(
        kubeconfig=known.kubeconfig,
        kubectl=known.kubectl,
        helm=known.helm,
        operator_image=images["peft-fsdp-operator"],
        trainer_image=images["peft-fsdp-trainer"],
        access_mode=access_mode,
    )
