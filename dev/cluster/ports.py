"""Free TCP ports for an instance, chosen once and recorded, so that a restarted part finds its peers."""

import random
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

_CANDIDATES = range(20000, 30000)
"""Below the range of NodePorts."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def candidate_ports() -> list[int]:
    """Ports in random order that the kernel does not give to outgoing connections in the meantime."""
    first, last = map(int, _EPHEMERAL.read_text().split())
    candidates = [port for port in _CANDIDATES if not first <= port <= last] or list(_CANDIDATES)
    random.shuffle(candidates)
    return candidates


def choose_ports(names: Sequence[str]) -> dict[str, int]:
    """One free port per name. All stay bound until all are chosen, so no two names get the same one."""
    bound: list[socket.socket] = []
    candidates = iter(candidate_ports())
    chosen: dict[str, int] = {}
    try:
        for name in names:
            chosen[name] = _bind_first_free(candidates, bound)
    finally:
        for listener in bound:
            listener.close()
    return chosen


def _bind_first_free(candidates: Iterator[int], bound: list[socket.socket]) -> int:
    for port in candidates:
        listener = socket.socket()
        bound.append(listener)
        try:
            listener.bind(("", port))
        except OSError:
            continue
        return port
    raise RuntimeError("no free TCP port between 20000 and 30000")
