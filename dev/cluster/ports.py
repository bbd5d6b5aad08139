"""Free TCP ports for an instance, chosen once and recorded, so that a restarted part finds its peers."""

import random
import socket
from collections.abc import Iterator, Sequence

# Below the kernel's ephemeral range, so that no outgoing connection takes one in the meantime, and outside NodePorts.
_RANGE = range(20000, 30000)


def choose_ports(names: Sequence[str]) -> dict[str, int]:
    """One free port per name. All stay bound until all are chosen, so no two names get the same one."""
    bound: list[socket.socket] = []
    candidates = iter(random.sample(_RANGE, len(_RANGE)))
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
