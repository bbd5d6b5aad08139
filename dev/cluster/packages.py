"""Programs that come from Debian: installed if missing, with their services kept from starting."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.cluster.layout import cache_dir
from dev.cluster.progress import run_logged, step

# Each package with a program of it, whose presence says that the package is there (whoever installed it).
PACKAGES = {
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "buildah": "/usr/bin/buildah",
    "debootstrap": "/usr/sbin/debootstrap",
    "iptables": "/usr/sbin/iptables",
    "iproute2": "/bin/ip",
    "conntrack": "/usr/sbin/conntrack",
    "socat": "/usr/bin/socat",
    "docker-registry": "/usr/bin/docker-registry",
}
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing_packages() -> list[str]:
    return [name for name, program in PACKAGES.items() if not Path(program).exists()]


def install_packages() -> None:
    missing = missing_packages()
    if not missing:
        return
    log = cache_dir() / "logs" / "apt.log"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {' '.join(missing)} from Debian"), _no_services():
        run_logged(["apt-get", "update"], log, "apt-get update", env=environment)
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        run_logged(command, log, "apt-get install", env=environment)


@contextmanager
def _no_services() -> Iterator[None]:
    """On a machine with an init system Debian would start a containerd and a registry of its own."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
