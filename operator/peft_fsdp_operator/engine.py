"""The working parts of a leading operator, put together: mirrors, queue, passes, events, progress.

`handlers` makes and runs it.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from peft_fsdp_api import names

from .children import Children, Mirrors
from .cluster import CONFIGMAPS, PODS, SERVICES, Cluster
from .decide.phases import ACTIVE
from .election import Election, LeaseTimes
from .errors import ApiError
from .events import Recorder
from .headcount import Headcount
from .hearing import Hearing
from .job_counts import count_jobs
from .jobs import JobKey, JobRecord, Jobs
from .metrics import Metrics
from .nodes import Nodes
from .observe import see_configmap, see_pod, see_service
from .pod_events import PodEventReader
from .progress import ProgressPoller
from .queue import KeyedQueue
from .reconcile import Reconciler
from .reflector import ChildReflector, Reflector
from .seen import ChildSeen, NodeSeen, PodSeen, SharedSeen
from .settings import Settings
from .urgency import cannot_wait

REST_PER_POD: Final = 0.0002
REST_IN_ATTEMPT: Final = 0.02
"""Seconds. The pods of a small gang start within the moment, and what cannot wait ends the rest."""
BUSY_DEPTH: Final = 16
"""Jobs that wait for a pass, from which on events for people wait too."""


def utc_now() -> datetime:
    """The one place that reads the wall clock."""
    return datetime.now(UTC)


class Engine:
    """Must be made inside the event loop."""

    def __init__(self, settings: Settings, own_namespace: str, cluster: Cluster, metrics: Metrics) -> None:
        self.jobs, self._metrics, self._elected = Jobs(self._forget), metrics, settings.election
        self.election = Election(
            cluster.apart(longest_pause=LeaseTimes.period),
            settings.lease_namespace or own_namespace,
            settings.lease_name,
            settings.identity,
            utc_now,
        )
        cluster = cluster.apart(may_write=self._check_lead)
        self._queue: KeyedQueue[JobKey] = KeyedQueue(
            self._pass, settings.concurrency, rest=self._rest, owner=lambda key: key.namespace
        )
        self._mirrors = self._make_mirrors(cluster, settings.namespaces or (None,))
        self._nodes = Nodes(cluster, self._nodes_changed, utc_now)
        self._children = Children(cluster, self._mirrors, settings.trainer_image, lambda: self._queue.active < 2)
        self._recorder = Recorder(
            cluster, settings.identity, utc_now, metrics.events_left_out.inc, lambda: len(self._queue) > BUSY_DEPTH
        )
        self._reconciler = Reconciler(cluster, self.jobs, self._children, self._nodes, self._recorder, metrics, utc_now)
        self._poller = ProgressPoller(self.jobs, self._pods_of, self._queue.mark, utc_now)
        self._pod_events = PodEventReader(cluster, self.jobs, self._pods_of, self._queue.mark, utc_now)
        self.hearing = Hearing(settings.namespaces or (None,))
        self.headcount = Headcount(cluster, settings.namespaces or (None,), self.jobs, partial(self.take, "DELETED"))
        self._register_metrics()

    def take(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        """A job was seen, changed or deleted."""
        key = JobKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
        if kind == "DELETED":
            record = self.jobs.get(key)
            if record is not None and record.uid == raw["metadata"]["uid"]:
                self.jobs.drop(key)
                self._queue.forget(key)
            return
        self.jobs.keep(raw)
        record = self.jobs.get(key)
        if record is not None and record.raw is raw:  # otherwise it is the echo of an own write
            self._queue.mark(key, at_once=True)

    def leave(self, namespace: str) -> None:
        """Its jobs may not be read any more. Where they may again, all are told of as if they were new."""
        self.hearing.hear(namespace)
        for key, record in self.jobs.items():
            if key.namespace == namespace:
                self.take("DELETED", record.raw)

    def is_ready(self) -> bool:
        """Whether every mirror holds its first list."""
        return all(mirror.synced.is_set() for mirror in self._all_mirrors())

    def watch_age(self) -> float:
        """Seconds since the most silent watch said something."""
        return max(self.hearing.age, *(mirror.age for mirror in self._all_mirrors()))

    async def wait_until_synced(self) -> None:
        """Decisions need the whole picture: jobs are taken in after their children."""
        for mirror in self._all_mirrors():
            await mirror.synced.wait()

    async def run(self) -> None:
        """Work until cancelled; a part that breaks ends all, so that the process is started anew."""
        self._metrics.leader.set(1)
        async with asyncio.TaskGroup() as parts:
            for mirror in self._mirrors.all():
                parts.create_task(mirror.run())
            parts.create_task(self._nodes.run())
            parts.create_task(self._recorder.run())
            parts.create_task(self._poller.run())
            parts.create_task(self._pod_events.run())
            parts.create_task(self.headcount.run())
            parts.create_task(self._queue.run())

    async def _pass(self, key: JobKey) -> float | None:
        record = self.jobs.get(key)
        started, result = time.perf_counter(), "error"
        try:
            due = await self._reconciler.reconcile(key)
            result = "done"
        except ApiError as error:
            result = "retry" if error.is_transient else "refused"
            raise
        finally:
            self._metrics.passes.labels(result).observe(time.perf_counter() - started)
            if record is not None and self.jobs.get(key) is not record:
                self._forget(record)  # it went during the pass, which may have rendered it again
        return due

    def _forget(self, record: JobRecord) -> None:
        self._children.forget(record.uid)

    def _rest(self, key: JobKey) -> float:
        """A pass looks at every pod of its job: the more there are, the longer their news is collected."""
        record = self.jobs.get(key)
        if record is None:
            return 0.0
        rest = REST_PER_POD * len(self._pods_of(key, record))
        return max(rest, REST_IN_ATTEMPT) if record.phase in ACTIVE else rest

    def _check_lead(self) -> None:
        if self._elected:
            self.election.check()

    def _make_mirrors(self, cluster: Cluster, namespaces: tuple[str | None, ...]) -> Mirrors:
        mirrors = Mirrors()
        for namespace in namespaces:
            mirrors.pods[namespace] = ChildReflector(
                cluster, PODS, namespace, see_pod, self._child_changed, self._pod_went
            )
            for resource, see in ((SERVICES, see_service), (CONFIGMAPS, see_configmap)):
                mirror = ChildReflector(cluster, resource, namespace, see, self._child_changed)
                mirrors.shared[resource, namespace] = mirror
        return mirrors

    def _child_changed(self, child: ChildSeen) -> None:
        key = JobKey(child.namespace, child.owner_name)
        record = self.jobs.get(key)
        if record is not None:
            self._queue.mark(key, self._cannot_wait(key, record, child))

    def _pod_went(self, known: PodSeen, last: PodSeen) -> None:
        """Pods of a deleted job go after it: nobody asks for their last words, nor would anybody forget them."""
        record = self.jobs.get(JobKey(known.namespace, known.owner_name))
        if record is not None and record.uid == known.owner_uid:
            self._mirrors.last_words.keep(known, last)

    def _cannot_wait(self, key: JobKey, record: JobRecord, child: ChildSeen) -> bool:
        is_there = self._mirrors.pods_in(key.namespace).find(child.name, key.namespace) is not None
        return cannot_wait(record.phase, child, is_there, is_last=not self._pods_of(key, record))

    def _nodes_changed(self, names: frozenset[str]) -> None:
        for mirror in self._mirrors.pods.values():
            for pod in mirror.all():
                if pod.node in names:
                    self._child_changed(pod)

    def _all_mirrors(self) -> list[Reflector[PodSeen] | Reflector[SharedSeen] | Reflector[NodeSeen]]:
        return [*self._mirrors.all(), self._nodes.mirror]

    def _pods_of(self, key: JobKey, record: JobRecord) -> tuple[PodSeen, ...]:
        return self._mirrors.pods_in(key.namespace).owned_by(record.uid)

    def _register_metrics(self) -> None:
        metrics = self._metrics
        metrics.queue_depth.set_function(lambda: len(self._queue))
        metrics.queue_oldest.set_function(lambda: self._queue.oldest_age)
        metrics.tasks.set_function(lambda: len(asyncio.all_tasks()))
        metrics.jobs.gauges.read = lambda: count_jobs((record for _, record in self.jobs.items()), utc_now())
        metrics.watch_age.labels(names.PLURAL).set_function(lambda: self.hearing.age)
        for kind in {mirror.kind for mirror in self._all_mirrors()}:
            metrics.watch_age.labels(kind).set_function(partial(self._watch_age_of, kind))
            metrics.mirrored.labels(kind).set_function(partial(self._size_of, kind))
        metrics.mirrored.labels("departed_pods").set_function(partial(len, self._mirrors.last_words))
        metrics.mirrored.labels("rendered_jobs").set_function(lambda: self._children.rendered)

    def _watch_age_of(self, kind: str) -> float:
        return max(mirror.age for mirror in self._all_mirrors() if mirror.kind == kind)

    def _size_of(self, kind: str) -> int:
        return sum(len(mirror) for mirror in self._all_mirrors() if mirror.kind == kind)
