"""Carries out what was decided about a job's children: makes, repairs and deletes them. Called by `reconcile`.

Everything here may be repeated: names are fixed, a name that is taken by our own child is success, and a child of
somebody else is reported and never touched.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.status import JobStatus

from .cluster import CONFIGMAPS, PODS, SERVICES, Cluster, Resource
from .drift import holds
from .errors import AlreadyExists, ApiError, Conflict, NotFound, Unavailable
from .last_words import LastWords
from .observe import see_pod
from .reflector import ChildReflector
from .refusals import LEAVING, Refusals
from .render import render_configmap, render_pods, render_service
from .seen import PodSeen, Refusal, SharedSeen

WRITES_PER_JOB: Final = 32
WRITES_BESIDE_OTHERS: Final = 16
GIVEN_WAY: Final = 0.02
"""Seconds after which a job that gave way looks whether it is alone again."""


class NameTaken(ApiError):
    """An object that is not ours has the name that ours needs."""


class Mirrors:
    """The reflectors, one per kind and namespace that is watched."""

    def __init__(self) -> None:
        self.pods: dict[str | None, ChildReflector[PodSeen]] = {}
        self.shared: dict[tuple[Resource, str | None], ChildReflector[SharedSeen]] = {}
        self.last_words = LastWords()

    def pods_in(self, namespace: str) -> ChildReflector[PodSeen]:
        """The mirror that holds the pods of a namespace."""
        return self.pods[None] if None in self.pods else self.pods[namespace]

    def shared_in(self, resource: Resource, namespace: str) -> ChildReflector[SharedSeen]:
        """The mirror that holds the Services or ConfigMaps of a namespace."""
        found = self.shared.get((resource, None))
        return found if found is not None else self.shared[resource, namespace]

    def all(self) -> list[ChildReflector[PodSeen] | ChildReflector[SharedSeen]]:
        """Every mirror, to run and to watch over."""
        return [*self.pods.values(), *self.shared.values()]


class Children:
    """The children of all jobs."""

    def __init__(
        self, cluster: Cluster, mirrors: Mirrors, trainer_image: str, is_alone: Callable[[], bool] = lambda: True
    ) -> None:
        """`is_alone`: whether no other job has a pass."""
        self._cluster, self._mirrors, self._image, self._is_alone = cluster, mirrors, trainer_image, is_alone
        self._rendered: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {}
        self._refusals = Refusals()

    @property
    def rendered(self) -> int:
        """Jobs whose Service and ConfigMap are kept here."""
        return len(self._rendered)

    def pods_of(self, job: PeftFsdpJob) -> tuple[PodSeen, ...]:
        """All pods of a job that the mirror knows."""
        return self.pods_of_uid(job.metadata.namespace, job.metadata.uid)

    def pods_of_uid(self, namespace: str, uid: str) -> tuple[PodSeen, ...]:
        """The same for a job that breaks the contract."""
        return self._mirrors.pods_in(namespace).owned_by(uid)

    def departed_of(self, job: PeftFsdpJob, status: JobStatus) -> tuple[PodSeen, ...]:
        """Failed pods of the current attempt that are gone."""
        return self._mirrors.last_words.of(job.metadata.uid, status.attempt)

    def forget_departed(self, job: PeftFsdpJob) -> None:
        """The job has ended: nobody asks for the cause any more."""
        self._mirrors.last_words.forget(job.metadata.uid)

    async def live_pods_of(self, job: PeftFsdpJob) -> tuple[PodSeen, ...]:
        """All pods of a job that exist now, asked of the API server itself."""
        selector = f"{names.LABEL_JOB_UID}={job.metadata.uid}"
        pages = self._cluster.list(PODS, job.metadata.namespace, selector)
        found = [see_pod(raw) async for page in pages for raw in page["items"]]
        return tuple(pod for pod in found if pod is not None and pod.owner_uid == job.metadata.uid)

    async def make(
        self,
        job: PeftFsdpJob,
        status: JobStatus,
        workers: Iterable[int],
        ensure_shared: bool,
        now: datetime,
        had: Refusal | None = None,
    ) -> Refusal | None:
        """Service, ConfigMap and pods of the attempt in `status`, all at once. What the API server refuses for good
        reason comes back, a pod's refusal first; `had` is what came back the last time."""
        wanted: list[tuple[int | None, Coroutine[Any, Any, None]]] = []
        if ensure_shared:
            service, configmap = self._render_shared(job)
            wanted += [
                (None, self._ensure(job, SERVICES, service, "spec")),
                (None, self._ensure(job, CONFIGMAPS, configmap, "data")),
            ]
        numbers = tuple(workers)
        attempt = status.attempt
        pods = render_pods(job, attempt, numbers, self._image, status.avoided_nodes or ())
        wanted += [(worker, self._create_pod(job, pod)) for worker, pod in zip(numbers, pods, strict=True)]
        errors = await _all([action for _, action in wanted], self._is_alone)
        tried = job.metadata.uid, "make"
        workers_tried = (worker for worker, _ in wanted)
        return self._refusals.judge(tried, attempt, zip(workers_tried, errors, strict=True), had, now)

    async def delete_pods(
        self, pods: Sequence[PodSeen], by_force: Sequence[PodSeen], now: datetime, had: Refusal | None = None
    ) -> Refusal | None:
        """Tell pods of one job to stop, all at once, and remove some without waiting for their node. One that is gone,
        or was replaced, is fine. What the API server refuses for good reason comes back, as from `make`."""
        stops = [self._delete_pod(pod) for pod in pods]
        forced = [self._delete_pod(pod, force=True) for pod in by_force]
        errors = await _all([*stops, *forced], self._is_alone)
        (first, *_) = asked = [*pods, *by_force]
        tried = zip((pod.worker for pod in asked), errors, strict=True)
        return self._refusals.judge((first.owner_uid, "delete"), first.attempt, tried, had, now)

    async def remove_shared(self, job: PeftFsdpJob) -> None:
        """Delete Service and ConfigMap."""
        known = [
            (resource, child)
            for resource in (SERVICES, CONFIGMAPS)
            for child in self._mirrors.shared_in(resource, job.metadata.namespace).owned_by(job.metadata.uid)
        ]
        _raise_first(await _all([self._remove(resource, child) for resource, child in known], self._is_alone))

    def forget(self, uid: str) -> None:
        """The job is gone."""
        self._rendered.pop(uid, None)
        self._refusals.forget(uid)
        self._mirrors.last_words.forget(uid)

    def _render_shared(self, job: PeftFsdpJob) -> tuple[dict[str, Any], dict[str, Any]]:
        """Service and ConfigMap, rendered once per generation: every pass compares them with what is there."""
        uid, generation = job.metadata.uid, job.metadata.generation
        if uid not in self._rendered or self._rendered[uid][0] != generation:
            self._rendered[uid] = generation, render_service(job), render_configmap(job)
        return self._rendered[uid][1:]

    async def _ensure(self, job: PeftFsdpJob, resource: Resource, body: dict[str, Any], part: str) -> None:
        namespace = job.metadata.namespace
        mirror = self._mirrors.shared_in(resource, namespace)
        known = next((one for one in mirror.owned_by(job.metadata.uid) if one.name == job.name), None)
        if known is None:
            mirror.remember(await self._create(job, resource, body))
        elif not holds(known.content, {part: body[part]}):
            mirror.remember(await self._cluster.apply(resource, namespace, body))

    async def _create_pod(self, job: PeftFsdpJob, body: dict[str, Any]) -> None:
        raw = await self._create(job, PODS, body)
        self._mirrors.pods_in(job.metadata.namespace).remember(raw)

    async def _create(self, job: PeftFsdpJob, resource: Resource, body: dict[str, Any]) -> Mapping[str, Any]:
        """Create, or find that an earlier pass did."""
        namespace, name = job.metadata.namespace, body["metadata"]["name"]
        try:
            return await self._cluster.create(resource, namespace, body)
        except AlreadyExists:
            found = await self._find(resource, namespace, name)
        owners = found["metadata"].get("ownerReferences") or []
        if any(owner.get("controller") and owner["uid"] == job.metadata.uid for owner in owners):
            return found
        if any(owner["kind"] == names.KIND and owner["name"] == job.name for owner in owners):
            message = f"{resource.kind} {name} of an earlier job with this name is still there"
            raise NameTaken(409, LEAVING, message)
        message = f"{resource.kind} {name} exists and does not belong to this job; remove it or rename the job"
        raise NameTaken(409, "NameTaken", message)

    async def _find(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        """What has a name. Raises Conflict where it went in this moment."""
        try:
            return await self._cluster.get(resource, namespace, name)
        except NotFound as error:
            raise Conflict(409, "Conflict", f"{resource.kind} {name} was there and is gone") from error

    async def _delete_pod(self, pod: PodSeen, force: bool = False) -> None:
        """Delete the pod as it was seen: an end of which nobody knows yet would vanish with it.

        The next pass may come before the watch tells that the pod stops, and must not ask it again.
        """
        version = None if force else pod.resource_version
        try:
            raw = await self._cluster.delete(PODS, pod.namespace, pod.name, pod.uid, force, version)
        except NotFound:
            return
        except Conflict:
            await self._delete_changed(pod)
            return
        if "resourceVersion" in raw.get("metadata", {}):
            self._mirrors.pods_in(pod.namespace).remember(raw)

    async def _delete_changed(self, pod: PodSeen) -> None:
        """One that ended meanwhile is left to the next pass, which its news bring about; others are told to stop."""
        try:
            raw = await self._cluster.get(PODS, pod.namespace, pod.name)
        except NotFound:
            return
        newest = see_pod(raw)
        if newest is None or newest.uid != pod.uid:
            return
        if newest.resource_version == pod.resource_version:
            raise Unavailable(409, "Conflict", f"pod {pod.name} cannot be deleted, and has not changed")
        if newest.is_stopping or (newest.has_ended and not pod.has_ended):
            self._mirrors.pods_in(pod.namespace).remember(raw)
        else:
            await self._delete_pod(newest)

    async def _remove(self, resource: Resource, child: SharedSeen) -> None:
        """The answer to such a deletion is no object; the next pass must not ask again either."""
        try:
            await self._cluster.delete(resource, child.namespace, child.name, child.uid)
        except Conflict:
            return  # ours may be there or not: the watch will tell
        except NotFound:
            pass
        self._mirrors.shared_in(resource, child.namespace).forget(child)


async def _all(actions: Sequence[Coroutine[Any, Any, object]], is_alone: Callable[[], bool]) -> list[ApiError | None]:
    """Do everything, whatever fails; the API's errors in the order of the actions, another error in the end.

    A gang of a thousand pods, or a namespace in which the API server is slow, takes only a share of the writes that
    may be under way, and half of that while other jobs are at work: theirs queue behind it in the API server too.
    """
    errors: list[ApiError | None] = [None] * len(actions)
    todo = deque(enumerate(actions))

    async def work(number: int) -> None:
        while todo:
            if number >= WRITES_BESIDE_OTHERS and not is_alone():
                await asyncio.sleep(GIVEN_WAY)
                continue
            place, action = todo.popleft()
            try:
                await action
            except ApiError as error:
                errors[place] = error

    try:
        ends = await asyncio.gather(*map(work, range(min(len(actions), WRITES_PER_JOB))), return_exceptions=True)
    finally:
        for _, action in todo:
            action.close()
    for end in ends:
        if end is not None:
            raise end
    return errors


def _raise_first(errors: Iterable[ApiError | None]) -> None:
    for error in errors:
        if error is not None:
            raise error
