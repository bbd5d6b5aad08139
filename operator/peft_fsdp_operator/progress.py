"""Reads how far running jobs are from their launchers, over HTTP, beside the passes and never inside one.

`handlers` runs the poller. A report that differs from the last one marks the job dirty; when that is written is up to
`status_writes`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
from pydantic import ValidationError

from peft_fsdp_api import names
from peft_fsdp_api.progress import Progress
from peft_fsdp_api.status import Phase, ProgressStatus

from .figures import shown_figures
from .jobs import JobKey, JobRecord, Jobs
from .seen import LauncherReport, PodSeen

INTERVAL: Final = 10.0
FIRST_INTERVAL: Final = 2.0
AT_ONCE: Final = 32
TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
BYTES_MAX: Final = 1 << 20

log = logging.getLogger(__name__)


class ProgressPoller:
    """Asks worker 0 of every running job in turn."""

    def __init__(
        self, jobs: Jobs, pods_of: Callable[[JobKey, JobRecord], tuple[PodSeen, ...]], mark: Callable[[JobKey], None]
    ) -> None:
        self._jobs, self._pods_of, self._mark = jobs, pods_of, mark
        self._asked_at: dict[JobKey, float] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while True:
                due = [(key, record) for key, record in self._jobs.items() if self._is_due(key, record)]
                await asyncio.gather(*(self._ask(session, slots, key, record) for key, record in due))
                running = dict(self._jobs.items())
                self._asked_at = {key: at for key, at in self._asked_at.items() if key in running}
                await asyncio.sleep(FIRST_INTERVAL / 2)

    def _is_due(self, key: JobKey, record: JobRecord) -> bool:
        """Running jobs every ten seconds; sooner while nothing is known, so that `kubectl get` says something."""
        if (record.raw.get("status") or {}).get("phase") not in (Phase.RUNNING, Phase.STARTING):
            return False
        interval = INTERVAL if record.report else FIRST_INTERVAL
        now = asyncio.get_running_loop().time()
        if now - self._asked_at.get(key, float("-inf")) < interval:
            return False
        self._asked_at[key] = now
        return True

    async def _ask(
        self, session: aiohttp.ClientSession, slots: asyncio.Semaphore, key: JobKey, record: JobRecord
    ) -> None:
        attempt = int(record.raw["status"].get("attempt") or 0)
        pods = self._pods_of(key, record)
        pod = next((one for one in pods if one.worker == 0 and one.attempt == attempt and one.trainer_running), None)
        if pod is None or pod.ip is None:
            return
        async with slots:
            report = await fetch_report(session, pod.ip)
        if report is not None and report.attempt == attempt and report != record.report:
            record.report = report
            self._mark(key)


async def fetch_report(
    session: aiohttp.ClientSession, ip: str, port: int = names.LAUNCHER_PORT
) -> LauncherReport | None:
    """What one launcher tells, or None where it does not answer or does not make sense."""
    host = f"[{ip}]" if ":" in ip else ip
    try:
        async with session.get(f"http://{host}:{port}{names.PROGRESS_PATH}") as response:
            if response.status != 200:
                return None
            body = await response.content.read(BYTES_MAX)
        progress = Progress.model_validate_json(body)
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
        log.debug("no progress from %s: %s", ip, error)
        return None
    return LauncherReport(progress.attempt, summarize(progress), progress.checkpoint)


def summarize(progress: Progress) -> ProgressStatus | None:
    """The launcher's answer as the job's status shows it; None before any rank has reported."""
    if not progress.ranks:
        return None
    slowest = min(progress.ranks, key=lambda rank: (rank.heartbeat, rank.rank))
    training = progress.training
    status = ProgressStatus(stage=slowest.stage, slowest_rank=slowest.rank, heartbeat=slowest.heartbeat)
    if training is None:
        share = f"{slowest.done}/{slowest.total}" if slowest.total else None
        return status.model_copy(update={"summary": f"{slowest.stage} {share}" if share else str(slowest.stage)})
    return status.model_copy(update=shown_figures(training))
