"""Control planes of tests, which find nothing that is not theirs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster.instance import Cluster, control_plane, down
from dev.cluster.layout import state_root


@contextmanager
def fresh_plane(name: str, audit_bodies: bool = False) -> Iterator[Cluster]:
    """A control plane for the length of the block. What a run that was killed left of it goes first, with its jobs and
    its audit log. Runs that live are waited for: the kernel gives the lock back when its holder dies.
    """
    state_root().mkdir(parents=True, exist_ok=True)
    with (state_root() / f".{name}.tests").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        down(name)
        with control_plane(name, audit_bodies=audit_bodies) as cluster:
            yield cluster
