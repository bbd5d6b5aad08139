"""One operator at a time, by a Lease: the others stand by. Losing the lease ends the process.

Times are measured on this machine's own monotonic clock from when a record was last seen to change, never by
comparing wall clocks. Called by `handlers` before kopf starts.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .cluster import LEASES, Cluster
from .errors import AlreadyExists, ApiError, Conflict, LeaseLost, NotFound
from .times import stamp

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds: how long a lease is good for, until when it must be renewed, how often that is tried."""

    duration: float = 15.0
    deadline: float = 10.0
    period: float = 2.0


class Election:
    """This process as a candidate."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], datetime],
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name
        self._identity, self._clock, self._times = identity, clock, times
        self._lease: dict[str, Any] | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed = float("-inf")

    async def acquire(self) -> None:
        """Return once this process leads."""
        told = ""
        while not await self._hold():
            holder = str((self._lease or {}).get("spec", {}).get("holderIdentity"))
            if holder != told:
                log.info("standing by; %s leads", holder)
                told = holder
            await asyncio.sleep(self._times.period)
        log.info("leading as %s", self._identity)

    async def keep(self) -> None:
        """Renew for ever. Raises LeaseLost in time: before another one can believe to lead."""
        while True:
            await asyncio.sleep(self._times.period)
            left = self._renewed + self._times.deadline - _now()
            try:
                async with asyncio.timeout(max(0.1, left)):
                    held = await self._hold()
            except TimeoutError:
                held = False
            if not held and self._is_taken():
                raise LeaseLost(f"{self._identity} no longer holds the lease {self._name}")
            self.check()

    def check(self) -> None:
        """Asked right before a write leaves: a process that was frozen for a while must not act on what it knew before.

        Raises LeaseLost where the lease was not renewed in time.
        """
        if _now() - self._renewed >= self._times.deadline:
            raise LeaseLost(f"{self._identity} could not renew the lease {self._name} in time")

    async def release(self) -> None:
        """Let the next one lead at once. Failing is harmless: the lease runs out by itself."""
        if self._lease is None or self._is_taken():
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._cluster.replace(LEASES, self._namespace, {**self._lease, "spec": spec})
        except ApiError as error:
            log.warning("lease not released: %s", error)

    def _is_taken(self) -> bool:
        """Whether somebody else is named in the lease as last read."""
        holder = (self._lease or {}).get("spec", {}).get("holderIdentity")
        return bool(holder) and holder != self._identity

    async def _hold(self) -> bool:
        """Try, and know until when it holds: counted from before it was asked for, since the answer may have been long
        on its way, or waited here while the process was frozen."""
        asked = _now()
        held = await self._try()
        if held:
            self._renewed = asked
        return held

    async def _try(self) -> bool:
        """Take or renew the lease. Whoever reads an old version loses the write, so there is never a second one."""
        try:
            self._lease = await self._cluster.get(LEASES, self._namespace, self._name)
            if not self._may_take():
                return False
            body = {**self._lease, "spec": self._spec(self._lease["spec"])}
            self._lease = await self._cluster.replace(LEASES, self._namespace, body)
        except NotFound:
            return await self._create()
        except Conflict:
            return False
        except ApiError as error:
            log.warning("lease: %s", error)
            return False
        return True

    async def _create(self) -> bool:
        metadata = {"name": self._name, "namespace": self._namespace}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": self._spec({})}
        try:
            self._lease = await self._cluster.create(LEASES, self._namespace, body)
        except AlreadyExists:
            return False
        except ApiError as error:
            log.warning("lease: %s", error)
            return False
        return True

    def _may_take(self) -> bool:
        """It is ours, nobody's, or was not renewed while we watched it for its whole duration."""
        assert self._lease is not None
        spec, version = self._lease["spec"], self._lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = version, _now()
        if spec.get("holderIdentity") in (self._identity, "", None):
            return True
        return _now() - self._seen[1] > float(spec.get("leaseDurationSeconds") or self._times.duration)

    def _spec(self, old: dict[str, Any]) -> dict[str, Any]:
        now = stamp(self._clock()).replace("Z", ".000000Z")
        ours = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._times.duration),
            "acquireTime": old.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if ours else 1),
        }


def _now() -> float:
    return asyncio.get_running_loop().time()
