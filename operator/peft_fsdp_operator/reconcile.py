"""One pass over one job: observe, decide, write the status, act. Called by the queue, one job at a time per key.

The status is written before anything is done: it holds the attempt number, the counters and the phase, so whatever
happens in between, the next pass, or the next operator, comes to the same conclusion and repeats what is missing.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import InvalidJob, PeftFsdpJob
from peft_fsdp_api.status import JobStatus, Phase

from .children import Children
from .cluster import CLAIMS, JOBS, Cluster, Resource
from .conditions import with_conditions
from .decide import decide, report_invalid, with_gpu_time
from .decision import Decision, Shared
from .errors import Conflict, NotFound, Refused
from .events import Recorder
from .job_metrics import CREATED
from .jobs import JobKey, JobRecord, Jobs
from .metrics import Metrics
from .nodes import Nodes
from .observe import claims_of, see_claim, see_suspend
from .seen import ClaimSeen, Observed
from .status_writes import seconds_to_wait

STOPPING: Final = (Phase.RESTARTING, Phase.SUSPENDING, Phase.SUSPENDED)
WATCHED: Final = (Phase.STARTING, Phase.RUNNING)
"""Phases in which a pass leaves nothing to do: whatever follows is in the news of a pod, or in `look_again`. In others
what was written is what the next decision begins with: the verdict first, then what the end of the gang waits for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconciler:
    """Everything a pass needs."""

    cluster: Cluster
    jobs: Jobs
    children: Children
    nodes: Nodes
    recorder: Recorder
    metrics: Metrics
    clock: Callable[[], datetime]

    async def reconcile(self, key: JobKey) -> float | None:
        """One pass. Returns the seconds after which time alone may change something, or None."""
        record = self.jobs.get(key)
        if record is None or record.raw["metadata"].get("deletionTimestamp"):
            return None  # garbage collection takes the children
        now, raw, job, before = self.clock(), record.raw, record.parsed, record.status
        if isinstance(job, InvalidJob):
            pods, suspend = self.children.pods_of_uid(key.namespace, record.uid), see_suspend(raw)
            decision = report_invalid(before, record.generation, job.problems, pods, suspend, now)
            return await self._report(key, record, before, decision, now)
        seen = await self._observe(job, before, record)
        decision = decide(seen, now)
        if decision.from_absence and not seen.is_live:
            decision = decide(replace(seen, pods=await self.children.live_pods_of(job)), now)
        written_at = record.written_at
        try:
            wait = await self._write(key, record, raw, before, decision, now)
        except Conflict:
            self.jobs.keep(await self.cluster.get(JOBS, *key))
            return 0.0
        except NotFound:
            log.info("the job was deleted meanwhile", extra={"job": str(key)})
            self.jobs.drop(key)
            return None
        if decision.create and record.written_at == written_at and not await self._is_newest(key, raw):
            return 0.0
        changed = await self._act(job, decision, record, now)
        if changed or (record.written_at != written_at and decision.status.phase not in WATCHED):
            return 0.0
        return _soonest(wait, decision, now)

    async def _is_newest(self, key: JobKey, raw: Mapping[str, Any]) -> bool:
        """Asked before a pass that wrote nothing makes pods: a write would have told that the job is gone or over."""
        newest = await self._get_or_none(JOBS, *key)
        if newest is None:
            self.jobs.drop(key)
            return False
        self.jobs.keep(newest)
        return bool(newest["metadata"]["resourceVersion"] == raw["metadata"]["resourceVersion"])

    async def _report(
        self, key: JobKey, record: JobRecord, before: JobStatus, decision: Decision, now: datetime
    ) -> float | None:
        """Say that a job is invalid: in its status, or, where the API server takes no status for such an object
        either (a section that is no object breaks every rule about it), in an event."""
        try:
            wait = await self._write(key, record, record.raw, before, decision, now)
        except Conflict:
            self.jobs.keep(await self.cluster.get(JOBS, *key))
            return 0.0
        except Refused as error:
            if decision.notice is not None and record.told != record.generation:
                record.told = record.generation
                self.recorder.post(record.raw, decision.notice)
                log.warning("%s; no status can be written: %s", decision.message, error, extra={"job": str(key)})
            return None
        await self._delete(decision, record, now)  # pods that are not let go are asked again at `look_again`
        return _soonest(wait, decision, now)

    async def _observe(self, job: PeftFsdpJob, status: JobStatus, record: JobRecord) -> Observed:
        """What the mirrors know, and what only the API server can tell where the decision needs it."""
        pods = self.children.pods_of(job)
        departed = self.children.departed_of(job, status)
        seen = Observed(job, status, pods, departed=departed, refusal=record.refusal, report=record.report)
        seen = replace(seen, pod_words=record.pod_words, undeleted=record.undeleted)
        if pods and not status.has_ended:
            seen = replace(seen, silent_nodes=await self.nodes.silent_among(pods))
        if not _may_make_pods(seen):
            return seen
        if status.attempt == 0 or status.phase is Phase.PENDING:
            return replace(seen, claims=await self._look_at_claims(job))
        # The next attempt: that nothing is left of the last one has to be confirmed, which takes no longer beside it.
        claims, live = await asyncio.gather(self._look_at_claims(job), self.children.live_pods_of(job))
        return replace(seen, claims=claims, pods=live, is_live=True)

    async def _look_at_claims(self, job: PeftFsdpJob) -> tuple[ClaimSeen, ...]:
        namespace, wanted = job.metadata.namespace, claims_of(job)
        raws = await asyncio.gather(*(self._get_or_none(CLAIMS, namespace, name) for name, _ in wanted))
        return tuple(see_claim(raw, name, field) for raw, (name, field) in zip(raws, wanted, strict=True))

    async def _get_or_none(self, resource: Resource, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        try:
            return await self.cluster.get(resource, namespace, name)
        except NotFound:
            return None

    async def _write(
        self,
        key: JobKey,
        record: JobRecord,
        raw: Mapping[str, Any],
        before: JobStatus,
        decision: Decision,
        now: datetime,
    ) -> float | None:
        """The status, if there is news in it, and the event that goes with it.

        `raw`, with the status `before`, is what the decision was made from: a version that came in since then must not
        lend it its number.
        Returns the seconds to wait where small news is held back. Raises Conflict where the job has changed.
        """
        after = with_conditions(decision, before.conditions, now)
        if after == before:
            record.news_since = None
            return None
        loop_time = asyncio.get_running_loop().time()
        record.news_since = loop_time if record.news_since is None else record.news_since
        alike = self.jobs.alike(after.phase)
        if wait := seconds_to_wait(before, after, loop_time - record.written_at, loop_time - record.news_since, alike):
            return wait
        if isinstance(record.parsed, PeftFsdpJob):
            after = with_gpu_time(after, record.parsed, now)
        metadata = raw["metadata"]
        identity = {part: metadata[part] for part in ("name", "namespace", "uid", "resourceVersion")}
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": identity, "status": after.to_wire()}
        valid = isinstance(record.parsed, PeftFsdpJob)
        write = self.cluster.apply_status if valid else self.cluster.merge_status
        self.jobs.keep(await write(JOBS, key.namespace, body))
        record.written_at, record.news_since = loop_time, None
        self._tell(key, record, decision, before, after)
        return None

    def _tell(self, key: JobKey, record: JobRecord, decision: Decision, before: JobStatus, after: JobStatus) -> None:
        """Log, count and post what has just been written."""
        self.metrics.jobs.saw_status(record, decision.reason, before, after, self.clock())
        if after.phase is not before.phase or decision.notice is not None:
            facts = {"job": str(key), "attempt": after.attempt, "phase": after.phase, "reason": decision.reason}
            log.info("%s", decision.message, extra=facts)
        if decision.notice is not None and _is_news(before, after):
            self.recorder.post(record.raw, decision.notice)

    async def _act(self, job: PeftFsdpJob, decision: Decision, record: JobRecord, now: datetime) -> bool:
        """Do what was decided. Returns whether the next pass has something new to say at once."""
        changed = await self._delete(decision, record, now)
        if decision.status.has_ended:
            self.children.forget_departed(job)
        if decision.shared is Shared.REMOVE:
            await self.children.remove_shared(job)
        if not decision.create and decision.shared is not Shared.ENSURE:
            return changed
        had = record.refusal
        record.refusal = await self.children.make(
            job, decision.status, decision.create, decision.shared is Shared.ENSURE, now, had
        )
        if decision.create and record.refusal is None and self._is_complete(job, decision.status):
            self.metrics.jobs.saw_gang(record, CREATED, self.clock())
        return changed or bool(decision.create) or record.refusal != had

    async def _delete(self, decision: Decision, record: JobRecord, now: datetime) -> bool:
        """Returns whether the API server refuses it, or does so no longer: the next pass tells."""
        had = record.undeleted
        if decision.delete or decision.force:
            record.undeleted = await self.children.delete_pods(decision.delete, decision.force, now, had)
        elif had is not None and now >= had.retry_at:
            record.undeleted = None
        return record.undeleted != had

    def _is_complete(self, job: PeftFsdpJob, status: JobStatus) -> bool:
        """Whether all pods of the attempt are there; after a refusal they are not made all at once."""
        there = sum(pod.attempt == status.attempt for pod in self.children.pods_of(job))
        return there >= job.spec.workers.nodes


def _may_make_pods(seen: Observed) -> bool:
    """Whether the decision may be to make pods, so that their claims have to be looked at first."""
    phase, spec = seen.status.phase, seen.job.spec
    if spec.suspend or seen.status.has_ended or phase in (Phase.STARTING, Phase.RUNNING):
        return False
    if phase in STOPPING and seen.pods:
        return False
    return len(seen.pods) < spec.workers.nodes


def _is_news(before: JobStatus, after: JobStatus) -> bool:
    """Whether an event is due: something beyond counts and clocks has changed."""
    old = {condition.type: (condition.status, condition.reason) for condition in before.conditions}
    new = {condition.type: (condition.status, condition.reason) for condition in after.conditions}
    return (before.phase, before.attempt, old) != (after.phase, after.attempt, new)


def _soonest(wait: float | None, decision: Decision, now: datetime) -> float | None:
    moments = [] if wait is None else [wait]
    if decision.look_again is not None:
        moments.append(max(0.0, (decision.look_again - now).total_seconds()))
    return min(moments, default=None)
