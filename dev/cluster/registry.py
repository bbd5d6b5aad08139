"""Debian's docker-registry on loopback: images are pushed layer by layer and pulled as in production.

Its storage is cache. containerd speaks plain http to 127.0.0.1 by itself. full.py starts it, dev/images pushes to it.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster import processes
from dev.cluster.health import answers
from dev.cluster.layout import Layout, cache_dir
from dev.cluster.lock import locked
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK

PROGRAM = "docker-registry"
# Fixed, because it is part of the images' names; 5000 is where a registry that a user runs would be.
PORT = 5117
ADDRESS = f"{LOOPBACK}:{PORT}"
# The registry of a push while no cluster runs.
_STANDING = Layout("registry")
_MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def start_registry(layout: Layout) -> None:
    """For the full cluster. Waits for a push that has a registry of its own standing at the same address."""
    if not processes.is_running(layout, PROGRAM):
        with locked(_STANDING):
            _start(layout)


@contextmanager
def standing_registry(address: str) -> Iterator[None]:
    """Somebody's registry at `address`, or the cluster's: if no cluster runs it, for the length of the block."""
    if address != ADDRESS or _answers():
        yield
        return
    with locked(_STANDING):
        try:
            _start(_STANDING)
            yield
        finally:
            processes.stop(_STANDING, PROGRAM)
            shutil.rmtree(_STANDING.root)


def has_image(repository: str, tag: str) -> bool:
    return answers(f"http://{ADDRESS}/v2/{repository}/manifests/{tag}", accept=_MANIFEST_TYPES)


def _start(layout: Layout) -> None:
    configuration = layout.configure("registry.yaml", _configuration())
    processes.start(layout, PROGRAM, ["/usr/bin/docker-registry", "serve", str(configuration)])

    def is_ready() -> bool:
        processes.must_be_running(layout, PROGRAM)
        return _answers()

    wait_until(is_ready, f"the registry answers on {ADDRESS}", 30, layout.log(PROGRAM))


def _answers() -> bool:
    return answers(f"http://{ADDRESS}/v2/")


def _configuration() -> str:
    storage = {"filesystem": {"rootdirectory": str(cache_dir() / "registry")}, "delete": {"enabled": True}}
    settings = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": storage,
        "http": {"addr": ADDRESS},
    }
    return json.dumps(settings, indent=1)
