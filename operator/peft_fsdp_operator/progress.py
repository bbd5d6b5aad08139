"""Reads how far running jobs are from the launchers of all workers, over HTTP, beside the passes and never inside one.

`engine` runs the poller. A look at the launchers marks the job dirty; when what is new is written is up to
`status_writes`, and whether the gang hangs is up to `decide.stall`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
from pydantic import ValidationError

from peft_fsdp_api import names
from peft_fsdp_api.progress import Progress
from peft_fsdp_api.status import Phase, ProgressStatus

from .figures import shown_figures
from .jobs import JobKey, JobRecord, Jobs
from .pulse import GangMemory, slowness
from .seen import LauncherReport, PodSeen
from .times import read_time

INTERVAL: Final = 10.0
FIRST_INTERVAL: Final = 2.0
FIRST_ANSWER_WITHIN: Final = timedelta(minutes=2)
"""Launchers answer at once; those that never do are out of reach, and asked as seldom as the others."""
WORKERS_PER_SECOND: Final = 8
"""Of one job: a gang of more than eighty workers is asked less often than every ten seconds."""
ALL_WORKERS_PER_SECOND: Final = 160
"""Of all jobs together: with more than 1,600 running workers each is asked less often than every ten seconds, so that
neither this process nor the network of a large cluster is busy with it."""
AT_ONCE: Final = 64
TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
BYTES_MAX: Final = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    """When a job is to be asked again, and how many workers it had last time."""

    due: float
    workers: int


class ProgressPoller:
    """Asks the launchers of every running job; a job whose launchers are slow delays no other."""

    def __init__(
        self,
        jobs: Jobs,
        pods_of: Callable[[JobKey, JobRecord], tuple[PodSeen, ...]],
        mark: Callable[[JobKey], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._jobs, self._pods_of, self._mark, self._clock = jobs, pods_of, mark, clock
        self._looks: dict[JobKey, _Look] = {}
        self._asking: set[JobKey] = set()

    async def run(self) -> None:
        """Poll until cancelled."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.TaskGroup() as rounds:
            while True:
                known = dict(self._jobs.items())
                self._looks = {key: look for key, look in self._looks.items() if key in known}
                share = sum(look.workers for look in self._looks.values()) / ALL_WORKERS_PER_SECOND
                for key, record in known.items():
                    if key not in self._asking and (pods := self._due_pods(key, record, share)):
                        self._asking.add(key)
                        rounds.create_task(self._ask(session, slots, key, record, pods))
                await asyncio.sleep(FIRST_INTERVAL / 2)

    def _due_pods(self, key: JobKey, record: JobRecord, share: float) -> list[PodSeen]:
        """Whom to ask now: every ten seconds, sooner while nothing is known and `kubectl get` has nothing to say, later
        where `share` says that a round over all jobs takes longer."""
        status = record.raw.get("status") or {}
        if status.get("phase") not in (Phase.RUNNING, Phase.STARTING):
            self._looks.pop(key, None)
            return []
        now = asyncio.get_running_loop().time()
        if key in self._looks and now < self._looks[key].due:
            return []
        attempt = int(status.get("attempt") or 0)
        pods = [pod for pod in self._pods_of(key, record) if pod.attempt == attempt and pod.trainer_running and pod.ip]
        interval = seconds_between_looks(len(pods), record.report is not None, self._age(status))
        self._looks[key] = _Look(now + max(interval, share) if pods else now, len(pods))
        return pods

    def _age(self, status: Mapping[str, Any]) -> timedelta:
        """How long the attempt has been running or, before that, starting."""
        since = status.get("runningSince") or status.get("attemptTime")
        return self._clock() - read_time(since) if since else timedelta()

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        slots: asyncio.Semaphore,
        key: JobKey,
        record: JobRecord,
        pods: Sequence[PodSeen],
    ) -> None:
        async def ask(pod: PodSeen) -> Progress | None:
            async with slots:
                return await fetch_progress(session, pod.ip or "")

        try:
            self._take(key, record, pods, await asyncio.gather(*(ask(pod) for pod in pods)))
        except Exception as error:  # the wall between jobs: what a pod says must not end the process
            log.error("the launchers' answers cannot be read", extra={"job": str(key)}, exc_info=error)
        finally:
            self._asking.discard(key)

    def _take(
        self, key: JobKey, record: JobRecord, pods: Sequence[PodSeen], answers: Sequence[Progress | None]
    ) -> None:
        attempt, now = pods[0].attempt, self._clock()
        if record.gang is None or record.gang.attempt != attempt:
            record.gang = GangMemory(attempt)
        told = [
            (pod, answer) for pod, answer in zip(pods, answers, strict=True) if answer and answer.attempt == attempt
        ]
        record.gang.retain({pod.worker for pod in pods})
        for pod, answer in told:
            record.gang.take(pod.worker, answer, now)
        if told:
            record.report = make_report(record.gang, now)
            self._mark(key)


def seconds_between_looks(workers: int, has_answered: bool, age: timedelta) -> float:
    """Often while the first answer is expected, less the longer none comes, and no more often than needed after it."""
    if not has_answered and age < FIRST_ANSWER_WITHIN:
        return min(INTERVAL, max(FIRST_INTERVAL, age.total_seconds() / 4))
    return max(INTERVAL, workers / WORKERS_PER_SECOND)


async def fetch_progress(session: aiohttp.ClientSession, ip: str, port: int = names.LAUNCHER_PORT) -> Progress | None:
    """What one launcher tells, or None where it does not answer or does not make sense."""
    host = f"[{ip}]" if ":" in ip else ip
    try:
        async with session.get(f"http://{host}:{port}{names.PROGRESS_PATH}") as response:
            if response.status != 200:
                return None
            body = await _read(response.content)
        return Progress.model_validate_json(body)
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
        log.debug("no progress from %s: %s", ip, error)
        return None


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body, which comes in pieces, or more of it than can make sense."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > BYTES_MAX:
            break
    return bytes(body)


def make_report(gang: GangMemory, now: datetime) -> LauncherReport:
    """What all launchers together tell, from their last answers."""
    answers = gang.answers
    checkpoint = next((answer.checkpoint for answer in answers if answer.checkpoint), None)
    return LauncherReport(gang.attempt, summarize(answers), checkpoint, gang.pulse(now))


def summarize(answers: Sequence[Progress]) -> ProgressStatus | None:
    """The launchers' answers as the job's status shows them; None before any rank has reported."""
    ranks = [rank for answer in answers for rank in answer.ranks]
    if not ranks:
        return None
    slowest = min(ranks, key=slowness)
    training = next((answer.training for answer in answers if answer.training), None)
    status = ProgressStatus(stage=slowest.stage, slowest_rank=slowest.rank, heartbeat=slowest.heartbeat)
    if training is None:
        share = f"{slowest.done}/{slowest.total}" if slowest.total else None
        return status.model_copy(update={"summary": f"{slowest.stage} {share}" if share else str(slowest.stage)})
    return status.model_copy(update=shown_figures(training))
