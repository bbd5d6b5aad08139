"""Waits for the ranks of this node and stops all of them when one fails or when the pod is asked to stop."""

import asyncio
import logging
import signal
from collections.abc import Callable

from peft_fsdp_api.reasons import Reason, exit_code

from .peers import Peers
from .ranks import RankExit, RankProcess
from .settings import Limits

log = logging.getLogger(__name__)


class StopSignals:
    """SIGTERM (kubelet) or Ctrl-C asks the ranks to save and stop; Ctrl-C once more kills them."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.insisted = asyncio.Event()

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.requested.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # one may wait since `entry`

    def close(self) -> None:
        """Give the signals back."""
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        (self.insisted if self.requested.is_set() else self.requested).set()


class Gang:
    """The ranks of this node: they end together."""

    def __init__(self, ranks: list[RankProcess], limits: Limits, has_begun: Callable[[], bool]) -> None:
        """`has_begun` tells whether a rank has begun to train, so that a stop has something to save."""
        self._ranks = ranks
        self._limits = limits
        self._has_begun = has_begun
        self._deadline: float | None = None

    async def wait(self, signals: StopSignals, peers: Peers) -> list[RankExit]:
        """The ends of all ranks, in the order in which they happened."""
        loop = asyncio.get_running_loop()
        running = {asyncio.create_task(rank.wait()) for rank in self._ranks}
        requested = asyncio.create_task(signals.requested.wait())
        insisted = asyncio.create_task(signals.insisted.wait())
        lost = asyncio.create_task(peers.gone.wait())
        requests = {requested, insisted, lost}
        exits: list[RankExit] = []
        while running:
            timeout = None if self._deadline is None else max(0.0, self._deadline - loop.time())
            done, _ = await asyncio.wait(running | requests, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            requests -= done
            ended = [task.result() for task in running & done]
            running -= done
            exits += sorted(ended, key=lambda end: end.time)
            if requested in done:
                log.info("asked to stop")
                self._stop_to_save()
            if lost in done:
                self._on_lost(peers)
            for end in ended:
                self._on_exit(end)
            if insisted in done or (self._deadline is not None and loop.time() >= self._deadline):
                self._kill()
        for request in requests:
            request.cancel()
        return exits

    def _on_exit(self, end: RankExit) -> None:
        if end.code == exit_code(Reason.PREEMPTED):
            # All ranks have agreed to stop and have saved together; the others are about to exit too.
            self._stop(self._limits.grace)
        elif end.code != 0:
            log.info(
                "rank %d ended with code %d; its peers have %.0f s to stop", end.rank, end.code, self._limits.peers
            )
            self._stop(self._limits.peers)

    def _on_lost(self, peers: Peers) -> None:
        if peers.reason is Reason.PREEMPTED:
            # Ranks that were preempted elsewhere have saved together with those of this node.
            self._stop_to_save()
        else:
            self._stop(self._limits.peers)

    def _stop_to_save(self) -> None:
        # Before the training a rank may wait for peers that were stopped before it: nothing would end that.
        self._stop(self._limits.grace if self._has_begun() else self._limits.peers)

    def _stop(self, seconds: float) -> None:
        """Ask every rank to stop now and kill what is left after `seconds`; an earlier deadline stays."""
        deadline = asyncio.get_running_loop().time() + seconds
        if self._deadline is None:
            for rank in self._ranks:
                rank.stop()
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _kill(self) -> None:
        log.info("killing the ranks that did not stop")
        for rank in self._ranks:
            rank.kill()
        self._deadline = None
