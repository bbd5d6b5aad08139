"""Kubernetes Events for `kubectl describe pfj`, posted in the background: they never hold up a pass.

`reconcile` hands them over after the status was written; `handlers` runs the recorder.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from peft_fsdp_api import names

from .cluster import EVENTS, Cluster
from .decision import Notice
from .errors import ApiError
from .times import stamp

WAITING_MAX: Final = 4000
POSTERS: Final = 4
"""A request that is not answered for half a minute must not hold up the events of all jobs."""
BUSY_PAUSE: Final = 0.5
"""Seconds between two events of a poster while jobs wait: two thousand of them at once keep an API server busy for as
long as a hundred gangs of pods."""
MESSAGE_MAX: Final = 1024

log = logging.getLogger(__name__)


class Recorder:
    """A bounded line of events. Where it is full, or the API server refuses one, it is logged and left out."""

    def __init__(
        self,
        cluster: Cluster,
        instance: str,
        clock: Callable[[], datetime],
        left_out: Callable[[], None],
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_busy`: whether jobs wait for the operator."""
        self._cluster, self._instance, self._clock, self._left_out = cluster, instance, clock, left_out
        self._is_busy = is_busy
        self._line: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(WAITING_MAX)

    def post(self, job: Mapping[str, Any], notice: Notice) -> None:
        """Say something about a job."""
        namespace = job["metadata"]["namespace"]
        try:
            self._line.put_nowait((namespace, self._render(job["metadata"], notice)))
        except asyncio.QueueFull:
            self._left_out()
            log.warning("event left out, too many wait: %s: %s", notice.reason, notice.message)

    async def run(self) -> None:
        """Post until cancelled."""
        async with asyncio.TaskGroup() as posters:
            for _ in range(POSTERS):
                posters.create_task(self._post_one_by_one())

    async def _post_one_by_one(self) -> None:
        while True:
            namespace, body = await self._line.get()
            if self._is_busy():
                await asyncio.sleep(BUSY_PAUSE)
            try:
                await self._cluster.create(EVENTS, namespace, body)
            except ApiError as error:
                self._left_out()
                log.warning("event left out: %s: %s", body["reason"], error)

    def _render(self, metadata: Mapping[str, Any], notice: Notice) -> dict[str, Any]:
        now = stamp(self._clock())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": notice.type,
            "reason": notice.reason,
            "message": notice.message[:MESSAGE_MAX],
            "source": {"component": names.FIELD_MANAGER},
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
