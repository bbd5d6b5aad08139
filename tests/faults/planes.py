"""The control plane of the tests with faults."""

from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster.instance import Cluster
from peft_fsdp_api.crd import crd, crd_yaml
from tests.fresh_plane import fresh_plane

NAME = "faults-tests"


@contextmanager
def faults_plane(name: str = NAME) -> Iterator[Cluster]:
    """A running control plane in which PeftFsdpJob is known and every write is in the audit log."""
    with fresh_plane(name, audit_bodies=True) as instance:
        instance.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
        instance.wait_until_served(crd()["metadata"]["name"])
        yield instance
