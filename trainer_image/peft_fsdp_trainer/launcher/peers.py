"""Notices within seconds that a launcher on another node is gone; a collective's time-out would take half an hour.

Only worker 0 has an address, so every other launcher keeps a connection to worker 0's server. Both sides say that
they are alive, and how they ended. A slow network is no loss: a connection may be silent for long, and a broken one is
made anew before its peer counts as lost. Used by `launch` and `server`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import REASONS, Reason

from .settings import LaunchSettings

PATH: Final = "/gang"
ALIVE: Final = b"alive\n"
END: Final = b"end "
BEAT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
GOODBYE_SECONDS: Final = 2.0
# What the ranks of this node say of themselves when the cause is elsewhere.
CONSEQUENCES: Final = (Reason.PREEMPTED, Reason.LOST_PEER, Reason.COLLECTIVE_TIMEOUT)

log = logging.getLogger(__name__)


class Peers:
    """The launchers of the other nodes, as far as this one can see them: worker 0 sees all, the others see worker 0."""

    def __init__(self, settings: LaunchSettings) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._ends: dict[int, Reason] = {}
        self._heard: dict[int, float] = {}
        """When each peer last said something. A kernel also accepts connections for a process that hangs."""
        self._leaving = False
        self.gone = asyncio.Event()
        """A peer ended before its work was done, or is lost."""
        self.reason: Reason | None = None
        self.message = ""

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch worker 0 while the block runs; on worker 0 itself the others come by themselves."""
        placement = self._settings.placement
        watching = asyncio.create_task(self._watch_first()) if placement.node_rank else None
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()

    async def accept(self, query: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the connection of another worker's launcher to its end."""
        placement = self._settings.placement
        attempt, _, node_text = query.partition("/")
        node = int(node_text) if node_text.isdecimal() else 0
        if attempt != str(placement.attempt) or placement.node_rank or not 0 < node < placement.nodes:
            return  # nobody of this gang
        await self._exchange(node, reader, writer)
        if not self._leaving:
            asyncio.get_running_loop().call_later(self._limits.reconnect, self._lose_unless_back, node)

    async def say_goodbye(self, reason: Reason) -> None:
        """Tell every peer that is connected how this launcher's part ended; they close the connection."""
        self._leaving = True
        for writer in list(self._writers.values()):
            with contextlib.suppress(OSError):
                writer.write(END + reason.encode() + b"\n")
                writer.write_eof()
                await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while self._writers:
                    await asyncio.sleep(0.01)

    def explain(self, outcome: Outcome) -> Outcome:
        """The outcome of this node, which is a lost peer where the ranks only ended because one was gone."""
        if self.reason is Reason.PREEMPTED or outcome.reason not in CONSEQUENCES:
            return outcome
        message = self.message
        if self.reason is None and outcome.reason is Reason.LOST_PEER:
            message = self._unconnected()  # its ranks broke off before it counts as lost
        if not message:
            return outcome
        told = {"reason": Reason.LOST_PEER, "message": message, "hint": REASONS[Reason.LOST_PEER].hint}
        return outcome.model_copy(update=told | {"rank": None, "traceback": ""})

    def _unconnected(self) -> str:
        """Whose launcher was heard before and has no connection now."""
        missing = sorted(set(self._heard) - set(self._writers) - set(self._ends))
        return " and ".join(f"worker {node} is gone: the connection to its launcher broke" for node in missing)

    async def _watch_first(self) -> None:
        """Stay connected to worker 0. Where its server was never reached, its absence means nothing."""
        loop = asyncio.get_running_loop()
        while 0 not in self._ends and self.reason is None:
            with contextlib.suppress(OSError):
                await self._visit_first()
            heard = self._heard.get(0)
            if 0 not in self._ends and heard is not None and loop.time() - heard > self._limits.reconnect:
                self._lose(0)
            await asyncio.sleep(RETRY_SECONDS)

    async def _visit_first(self) -> None:
        """One connection to worker 0, to its end. Raises OSError where there is none."""
        settings, placement = self._settings, self._settings.placement
        async with asyncio.timeout(self._limits.silence):
            reader, writer = await asyncio.open_connection(placement.master_addr, settings.port)
        try:
            writer.write(f"GET {PATH}?{placement.attempt}/{placement.node_rank} HTTP/1.1\r\n\r\n".encode())
            await self._exchange(0, reader, writer)
        finally:
            writer.close()

    async def _exchange(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say and hear that both are alive until the connection breaks, is silent for too long, or the peer ends."""
        self._writers[node] = writer
        beating = asyncio.create_task(self._beat(writer))
        try:
            while True:
                async with asyncio.timeout(self._limits.silence):
                    line = await reader.readline()
                if line.startswith(END):
                    self._on_end(node, Reason(line.removeprefix(END).decode().strip()))
                if line != ALIVE:
                    break
                self._heard[node] = asyncio.get_running_loop().time()
        except (OSError, ValueError):
            pass  # broken, silent for too long (TimeoutError is an OSError), or it talks something else
        finally:
            beating.cancel()
            if self._writers.get(node) is writer:
                del self._writers[node]

    def _on_end(self, node: int, reason: Reason) -> None:
        self._ends[node] = reason
        if reason is not Reason.SUCCEEDED:
            self._give_up(reason, f"worker {node} ended with {reason}")

    def _lose_unless_back(self, node: int) -> None:
        if node not in self._writers and node not in self._ends:
            self._lose(node)

    def _lose(self, node: int) -> None:
        self._give_up(Reason.LOST_PEER, f"worker {node} is gone: its launcher does not answer any more")

    def _give_up(self, reason: Reason, message: str) -> None:
        if self.reason is None:
            log.info("%s; the ranks of this node stop too", message)
            self.reason, self.message = reason, message
            self.gone.set()

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while not self._leaving:
                writer.write(ALIVE)
                await writer.drain()
                await asyncio.sleep(BEAT_SECONDS)
