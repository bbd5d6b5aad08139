"""What the tests see of jobs: their newest version, by one watch for all, so that waiting costs no requests."""

import asyncio
from collections.abc import Callable
from typing import Any

from peft_fsdp_operator.cluster import JOBS, Cluster
from peft_fsdp_operator.errors import ApiError

Status = dict[str, Any]


async def until(ready: Callable[[], object], seconds: float = 90) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(seconds):
        while not ready():
            await asyncio.sleep(0.1)


class Eyes:
    """The jobs of all namespaces."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._jobs: dict[str, dict[str, Any]] = {}
        """By uid."""
        self._news = asyncio.Event()

    def status(self, uid: str) -> Status:
        return (self._jobs.get(uid) or {}).get("status") or {}

    def exists(self, uid: str) -> bool:
        return uid in self._jobs

    async def wait(self, uid: str, ready: Callable[[Status], bool], seconds: float = 120) -> Status:
        """The status once it is as wanted."""
        async with asyncio.timeout(seconds):
            while not ready(self.status(uid)):
                news = self._news
                await news.wait()
        return self.status(uid)

    async def run(self) -> None:
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                async for event in self._cluster.watch(JOBS, None, "", version):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._take(event)
            except ApiError:
                version = ""
                await asyncio.sleep(0.3)

    async def _list(self) -> str:
        found, version = {}, ""
        async for page in self._cluster.list(JOBS, None):
            version = page["metadata"]["resourceVersion"]
            found |= {job["metadata"]["uid"]: job for job in page["items"]}
        self._jobs = found
        self._tell()
        return version

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "BOOKMARK":
            return
        job = event["object"]
        if event["type"] == "DELETED":
            self._jobs.pop(job["metadata"]["uid"], None)
        else:
            self._jobs[job["metadata"]["uid"]] = job
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
