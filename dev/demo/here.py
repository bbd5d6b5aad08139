"""Where the demo and the cluster tests run: the one-machine cluster, or the one of KUBECONFIG and IMAGE_REGISTRY."""

import os
from collections.abc import Mapping
from pathlib import Path

from dev.cluster.build import build
from dev.cluster.instance import Cluster, up_full
from dev.cluster.packages import install_packages
from dev.cluster.preflight import check_full
from dev.cluster.registry import ADDRESS, standing_registry
from dev.demo.ownership import check_free
from dev.demo.target import Access, Target, program
from dev.demo.yours import Yours, named_cluster
from dev.images.build import push_image
from dev.images.sources import IMAGES


def target_from_environment(environment: Mapping[str, str] = os.environ) -> Target:
    """The cluster of the environment, or the one-machine cluster, which is started if it does not run."""
    yours = named_cluster(environment)
    return target_of(up_full()) if yours is None else _target_of_yours(yours)


def target_of(cluster: Cluster) -> Target:
    """A running one-machine cluster with the images of this checkout in its registry."""
    return _target(access(cluster.kubeconfig), ADDRESS, "ReadWriteMany")


def access(kubeconfig: Path) -> Access:
    """A cluster that is only spoken to; no image is built or pushed for it."""
    build(("helm",))
    return Access(kubeconfig, kubectl=program("kubectl"), helm=program("helm"))


def _target_of_yours(yours: Yours) -> Target:
    """Whether there is room for the demo is asked before the images are built; that takes minutes."""
    check_full()
    known = access(yours.kubeconfig)
    check_free(known)
    install_packages()
    # The demo's job has one pod, and hardly a default storage class has volumes for several nodes.
    return _target(known, yours.registry, "ReadWriteOnce")


def _target(known: Access, registry: str, access_mode: str) -> Target:
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
