"""Finds the jobs that were deleted while kopf's watch was blind: what is known is compared with a list.

kopf tells of every job in a new list, and not of those that are missing in it; they would be counted, and their
launchers asked, until the process ends. `engine` runs it, `handlers` calls for it whenever kopf began anew.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .backoff import wait_after
from .cluster import JOBS, Cluster
from .errors import ApiError, is_forbidden
from .jobs import Jobs

log = logging.getLogger(__name__)


class Headcount:
    """`gone` is told of each job that is missing, with its last version."""

    def __init__(
        self,
        cluster: Cluster,
        namespaces: Iterable[str | None],
        jobs: Jobs,
        gone: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._cluster, self._namespaces, self._jobs, self._gone = cluster, tuple(namespaces), jobs, gone
        self._due = asyncio.Event()

    def call_for(self) -> None:
        """kopf's list or watch began anew. Before the first list is taken in there is nobody to miss."""
        if len(self._jobs):
            self._due.set()

    async def run(self) -> None:
        """Count when called for. Ends only by cancellation."""
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                for namespace in self._namespaces:
                    await self._count_unless_closed(namespace)
                failures = 0
            except ApiError as error:
                failures += 1
                log.warning("jobs cannot be counted, trying again: %s", error)
                await asyncio.sleep(wait_after(failures))
                self._due.set()

    async def _count_unless_closed(self, namespace: str | None) -> None:
        """Of a namespace that may not be read the jobs' own watch tells."""
        try:
            await self._count(namespace)
        except ApiError as error:
            if namespace is None or not is_forbidden(error):
                raise

    async def _count(self, namespace: str | None) -> None:
        """A job is gone if the list is as new as the last word of it, and does not hold it."""
        there: set[str] = set()
        version = 0
        async for page in self._cluster.list(JOBS, namespace):
            version = version or int(page["metadata"]["resourceVersion"])
            there |= {job["metadata"]["uid"] for job in page["items"]}
        for key, record in self._jobs.items():
            known = int(record.raw["metadata"]["resourceVersion"])
            if namespace in (None, key.namespace) and record.uid not in there and known <= version:
                log.info("the job was deleted unnoticed", extra={"job": str(key)})
                self._gone(record.raw)
