"""TCP ports for what tests start, each given out once."""

import contextlib
import socket

from dev.cluster.ports import candidate_ports

_kept: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that no other test of this run, in this process or another, gets as well.

    Between this call and the listener may lie seconds of imports. The kernel keeps the claim, an abstract socket's
    name, as long as this process lives.
    """
    for port in candidate_ports():
        claim, probe = socket.socket(socket.AF_UNIX), socket.socket()
        with contextlib.suppress(OSError), probe:
            claim.bind(f"\0peft-fsdp-test-port-{port}")
            probe.bind(("", port))
            _kept.append(claim)
            return port
        claim.close()
    raise RuntimeError("no free TCP port between 20000 and 30000")
