"""A small mirror of one kind of objects: list in chunks, watch with bookmarks, compare on every re-list.

kopf's own index forgets to delete what vanished while its watch was broken; here a re-list is compared with what was
known, and deletions are made up where none was announced. Objects are trimmed before they are kept. `handlers` runs
the reflectors, `reconcile` reads them.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

from peft_fsdp_api import names

from .backoff import Pace
from .cluster import FORBIDDEN_WAIT, Cluster, Resource
from .errors import ApiError, Garbled, Gone, is_forbidden
from .seen import ChildSeen, ObjectSeen

T = TypeVar("T", bound=ObjectSeen)
C = TypeVar("C", bound=ChildSeen)
SELECTOR = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"

log = logging.getLogger(__name__)


class Reflector(Generic[T]):
    """All objects of one kind in one namespace, or in the whole cluster, that the selector chooses.

    `changed` is told of every one that comes, changes or goes; `gone` of one that goes, with how it was known and how
    it was last.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str | None,
        see: Callable[[Mapping[str, Any]], T | None],
        changed: Callable[[T], None],
        gone: Callable[[T, T], None] = lambda known, last: None,
        selector: str = "",
    ) -> None:
        self._cluster, self._resource, self._namespace = cluster, resource, namespace
        self._see, self._changed, self._gone, self._selector = see, changed, gone, selector
        self._objects: dict[tuple[str, str], T] = {}
        self._version = "0"
        self._heard_at: float | None = None
        self._is_closed = False
        self.synced = asyncio.Event()

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything, bookmarks included; 0 in a replica that stands by."""
        return 0.0 if self._heard_at is None else asyncio.get_running_loop().time() - self._heard_at

    @property
    def kind(self) -> str:
        """What is mirrored."""
        return self._resource.plural

    def __len__(self) -> int:
        return len(self._objects)

    def all(self) -> Collection[T]:
        """Every object."""
        return self._objects.values()

    def find(self, name: str, namespace: str = "") -> T | None:
        """One object, or None where none is known."""
        return self._objects.get((namespace, name))

    def remember(self, raw: Mapping[str, Any]) -> None:
        """Take in the answer of an own write before the watch tells of it.

        Where the watch has come past that version already, it knows better, deletions included.
        """
        seen = self._see(raw)
        if seen is not None and seen.resource_version > int(self._version):
            self._put(seen)

    def forget(self, seen: T) -> None:
        """It is known to be gone before the watch tells of it. What has its name by now stays."""
        key = (seen.namespace, seen.name)
        known = self._objects.get(key)
        if known is not None and known.uid == seen.uid:
            self._drop(key)

    async def run(self) -> None:
        """List, watch, and begin again when the watch breaks. Ends only by cancellation."""
        pace = Pace()
        self._hear()
        while True:
            try:
                if self._version == "0":
                    await self._relist()
                pace.begin()
                await self._follow(pace)
                wait = pace.wait_after_end()
            except Gone:
                wait = pace.wait_after_loss()
                log.info("the history of %s is gone, listing again", self._resource.plural)
                self._version = "0"
            except Garbled as error:
                wait = pace.wait_after_garbage()
                log.warning("watch of %s: %s; listing again in %.1f s", self._resource.plural, error, wait)
                self._version = "0"
            except ApiError as error:
                if self._namespace is not None and is_forbidden(error):
                    wait = self._close(error)
                else:
                    wait = max(pace.wait_after_break(), error.retry_after or 0)
                    log.warning("watch of %s: %s; again in %.1f s", self._resource.plural, error, wait)
            await asyncio.sleep(wait)

    def _close(self, error: ApiError) -> float:
        """The namespace is gone, or closed to us: there is nothing to know of it, and nothing that others have to wait
        for. Seconds until it is tried again."""
        if not self._is_closed:
            log.warning("%s of namespace %s may not be read: %s", self._resource.plural, self._namespace, error)
        self._is_closed = True
        for key in list(self._objects):
            self._drop(key)
        self._version = "0"
        self._hear()
        self.synced.set()
        return FORBIDDEN_WAIT

    async def _relist(self) -> None:
        """Everything anew; what is not in the list any more is gone."""
        found: set[tuple[str, str]] = set()
        version = "0"
        async for page in self._cluster.list(self._resource, self._namespace, self._selector):
            version = page["metadata"]["resourceVersion"]
            for raw in page["items"]:
                seen = self._see(raw)
                if seen is not None:
                    found.add((seen.namespace, seen.name))
                    self._put(seen)
        for key in self._objects.keys() - found:
            if self._objects[key].resource_version <= int(version):
                self._drop(key)
        self._version = version
        self._hear()
        self.synced.set()
        if self._is_closed:
            log.info("%s of namespace %s can be read again", self._resource.plural, self._namespace)
        self._is_closed = False

    async def _follow(self, pace: Pace) -> None:
        stream = self._cluster.watch(self._resource, self._namespace, self._selector, self._version)
        async for event in stream:
            raw = event["object"]
            self._hear()
            pace.hear()
            if event["type"] != "BOOKMARK":
                self._take(event["type"], raw)
            self._version = raw["metadata"]["resourceVersion"]

    def _take(self, kind: str, raw: Mapping[str, Any]) -> None:
        metadata = raw["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        known = self._objects.get(key)
        if kind != "DELETED" and known is not None and int(metadata["resourceVersion"]) <= known.resource_version:
            return  # the echo of an own write
        seen = self._see(raw)
        if kind == "DELETED" or seen is None:
            self._drop(key, seen)
        else:
            self._put(seen)

    def _put(self, seen: T) -> None:
        key = (seen.namespace, seen.name)
        known = self._objects.get(key)
        if known is not None:
            if known.resource_version >= seen.resource_version:
                return
            if known.uid != seen.uid:
                self._drop(key)
        self._objects[key] = seen
        self._came(seen)
        if known is None or known != seen:
            self._changed(seen)

    def _drop(self, key: tuple[str, str], last: T | None = None) -> None:
        known = self._objects.pop(key, None)
        if known is not None:
            self._went(known)
            self._gone(known, last or known)
            self._changed(known)

    def _came(self, seen: T) -> None:
        """For those that keep an index."""

    def _went(self, known: T) -> None:
        """For those that keep an index."""

    def _hear(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()


class ChildReflector(Reflector[C]):
    """The children of all jobs, found by their owner too."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str | None,
        see: Callable[[Mapping[str, Any]], C | None],
        changed: Callable[[C], None],
        gone: Callable[[C, C], None] = lambda known, last: None,
    ) -> None:
        super().__init__(cluster, resource, namespace, see, changed, gone, SELECTOR)
        self._by_owner: dict[str, dict[str, C]] = {}

    def owned_by(self, uid: str) -> tuple[C, ...]:
        """The children of one job."""
        return tuple(self._by_owner.get(uid, {}).values())

    def _came(self, seen: C) -> None:
        self._by_owner.setdefault(seen.owner_uid, {})[seen.name] = seen

    def _went(self, known: C) -> None:
        siblings = self._by_owner[known.owner_uid]
        del siblings[known.name]
        if not siblings:
            del self._by_owner[known.owner_uid]
