"""Reads what the kubelet and the volume controllers say of pods that do not start, beside the passes.

A pod whose volume cannot be mounted shows in its own status that a container is being created, and nothing else: the
reason stands in Events alone. `engine` runs the reader. One list per namespace and round, however many pods wait.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.status import Phase

from .cluster import EVENTS, Cluster
from .errors import ApiError
from .jobs import JobKey, JobRecord, Jobs
from .observe import newest_words
from .seen import PodSeen, Words
from .times import read_time

INTERVAL: Final = 4.0
PATIENCE: Final = timedelta(seconds=3)
"""Pods normally start; only those that have waited for a moment are asked about."""
ABOUT_PODS: Final = "involvedObject.kind=Pod,type=Warning"
PAGES_MAX: Final = 20

log = logging.getLogger(__name__)


class PodEventReader:
    """Asks for the Warning events of pods that wait without a word."""

    def __init__(
        self,
        cluster: Cluster,
        jobs: Jobs,
        pods_of: Callable[[JobKey, JobRecord], tuple[PodSeen, ...]],
        mark: Callable[[JobKey], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster, self._jobs, self._pods_of, self._mark, self._clock = cluster, jobs, pods_of, mark, clock

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.gather(*(self._read(namespace, jobs) for namespace, jobs in self._quiet_jobs().items()))
            await asyncio.sleep(INTERVAL)

    def _quiet_jobs(self) -> dict[str, dict[JobKey, tuple[JobRecord, set[str]]]]:
        """By namespace: the jobs with pods that wait and do not say why, and the uids of those pods."""
        now = self._clock()
        found: dict[str, dict[JobKey, tuple[JobRecord, set[str]]]] = defaultdict(dict)
        for key, record in self._jobs.items():
            status = record.raw.get("status") or {}
            quiet: set[str] = set()
            if status.get("phase") in (Phase.PENDING, Phase.STARTING):
                pods = self._pods_of(key, record)
                quiet = {pod.uid for pod in pods if pod.attempt == status.get("attempt") and waits_silently(pod, now)}
            if quiet:
                found[key.namespace][key] = record, quiet
            elif record.pod_words:
                record.pod_words = {}
                self._mark(key)
        return found

    async def _read(self, namespace: str, jobs: Mapping[JobKey, tuple[JobRecord, set[str]]]) -> None:
        events, pages = [], 0
        try:
            async for page in self._cluster.list(EVENTS, namespace, fields=ABOUT_PODS):
                events += page["items"]
                pages += 1
                if pages == PAGES_MAX:
                    break
        except ApiError as error:
            log.warning("cannot read what is said of the pods in %s: %s", namespace, error)
            return
        words = newest_words(events, self._clock())
        for key, (record, quiet) in jobs.items():
            told: dict[str, Words] = {uid: words[uid] for uid in quiet if uid in words}
            if told != record.pod_words:
                record.pod_words = told
                self._mark(key)


def waits_silently(pod: PodSeen, now: datetime) -> bool:
    """Whether a pod that has a node neither starts nor says why."""
    if pod.node is None or pod.is_stopping or pod.has_started or pod.trainer_end or pod.unscheduled or pod.waiting:
        return False
    return now - read_time(pod.created) >= PATIENCE
