"""Waits until worker 0 can be reached, so that the ranks of a late pod do not fail in the first second.

DNS of a fresh headless Service answers late (pytorch#73682), and names often resolve before anything listens.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from ..errors import RendezvousFailed
from .settings import Limits, Placement

RETRY_SECONDS: Final = 0.5
CONNECT_SECONDS: Final = 3.0


async def wait_for_master(placement: Placement, limits: Limits) -> None:
    """Return when MASTER_ADDR resolves and, on all nodes but the first, when its port accepts connections.

    Raises RendezvousFailed that says which of the two did not happen.
    """
    if placement.nodes == 1:
        return
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.rendezvous
    addr, port = placement.master_addr, placement.master_port
    error = await _retry(lambda: _resolve(addr, port), deadline)
    if error is not None:
        raise RendezvousFailed(
            f"the name of worker 0, {addr}, did not resolve within {limits.rendezvous:.0f} s (DNS): {error}"
        )
    if placement.node_rank == 0:
        return  # its own rank 0 opens the port
    error = await _retry(lambda: _connect(addr, port), deadline)
    if error is not None:
        raise RendezvousFailed(
            f"worker 0, {addr}, has an address, but nothing accepted a connection on TCP port {port} within "
            f"{limits.rendezvous:.0f} s: {error}"
        )


async def _retry(attempt: Callable[[], Awaitable[None]], deadline: float) -> OSError | None:
    """None once the attempt succeeds, or its last error when the time is over."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await attempt()
        except OSError as error:
            if loop.time() + RETRY_SECONDS > deadline:
                return error
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return None


async def _resolve(addr: str, port: int) -> None:
    await asyncio.get_running_loop().getaddrinfo(addr, port, type=socket.SOCK_STREAM)


async def _connect(addr: str, port: int) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(addr, port)
    writer.close()
    await writer.wait_closed()
