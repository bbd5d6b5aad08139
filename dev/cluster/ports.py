"""Free TCP ports for an instance, chosen once and recorded, so that a restarted part finds its peers."""

import contextlib
import random
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

_CANDIDATES = range(20000, 30000)
"""Below the range of NodePorts."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

_claims: list[socket.socket] = []
"""Abstract sockets with the ports' numbers as names, which the kernel keeps to each as long as this process lives."""


def candidate_ports() -> list[int]:
    """Ports in random order that the kernel does not give to outgoing connections in the meantime."""
    first, last = map(int, _EPHEMERAL.read_text().split())
    candidates = [port for port in _CANDIDATES if not first <= port <= last] or list(_CANDIDATES)
    random.shuffle(candidates)
    return candidates


def choose_ports(names: Sequence[str]) -> dict[str, int]:
    """One free port per name, each given out once to all processes of this machine that ask here and still live.

    Between this call and the listener may lie seconds of imports.
    """
    candidates = iter(candidate_ports())
    return {name: _claim_first_free(candidates) for name in names}


def _claim_first_free(candidates: Iterator[int]) -> int:
    for port in candidates:
        claim, probe = socket.socket(socket.AF_UNIX), socket.socket()
        with contextlib.suppress(OSError), probe:
            claim.bind(f"\0peft-fsdp-port-{port}")
            probe.bind(("", port))
            _claims.append(claim)
            return port
        claim.close()
    raise RuntimeError("no free TCP port between 20000 and 30000")
