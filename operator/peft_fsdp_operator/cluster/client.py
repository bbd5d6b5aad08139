"""The verbs of the API server over plain dictionaries: no models, because pod events are the hot path.

`reconcile`, `reflector` and `election` call it. Every answer is either data or an error of `..errors`. A pod comes back
four times on its way to Running; with the standard library's json, reading it was half of the operator's work.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from peft_fsdp_api.names import FIELD_MANAGER

from ..errors import ApiError, Unavailable
from .answers import Object, read_error, read_event, read_object, read_page
from .nesting import keep_shallow
from .resources import JOBS, Resource
from .slots import Slots

CHUNK: Final = 500
# The server sends a bookmark about once a minute: a watch without a word for longer is dead.
WATCH_SILENCE: Final = 90.0
WATCH_SECONDS: Final = 290
# More writes at once do not make the API server faster. One namespace gets two thirds of them.
WRITES_AT_ONCE: Final = 48
READS_AT_ONCE: Final = 16
BUSY_TRIES: Final = 3
LONGEST_PAUSE: Final = 30.0
LINE_MAX: Final = 1 << 26
"""No event is so long: what has no end of a line after so many bytes is none."""


@dataclass(frozen=True)
class Request:
    """One request that was answered, for the metrics. `code` is 0 where no answer came."""

    verb: str
    resource: str
    code: int
    seconds: float


class Cluster:
    """The API server, as this process may use it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        seen: Callable[[Request], None] = lambda _: None,
        longest_pause: float = LONGEST_PAUSE,
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        """`may_write` is asked right before each write leaves, and raises where it must not."""
        self.session = session
        self._server = server
        self.seen = seen
        self._longest_pause, self._may_write = longest_pause, may_write
        self._writes, self._reads = Slots(WRITES_AT_ONCE), asyncio.Semaphore(READS_AT_ONCE)
        self._paused_until = 0.0

    def apart(self, longest_pause: float = LONGEST_PAUSE, may_write: Callable[[], None] = lambda: None) -> "Cluster":
        """The same API server, by a line of its own: nobody in it waits behind a thousand pods, or because others were
        told to wait. Where it is told so itself it waits for no longer than these seconds."""
        return Cluster(self.session, self._server, self.seen, longest_pause, may_write)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object. Raises NotFound."""
        async with self._reads:
            return await self._ask("get", resource, "GET", resource.path(namespace, name))

    async def list(
        self, resource: Resource, namespace: str | None, selector: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """The pages of a list, each as the API server gives it (`items`, `metadata.resourceVersion`).

        `selector` chooses by labels, `fields` by the few fields that the API server can select.
        """
        query = {"limit": str(CHUNK), "labelSelector": selector, "fieldSelector": fields}
        while True:
            async with self._reads:
                page = read_page(await self._ask("list", resource, "GET", resource.path(namespace), query))
            yield page
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    async def watch(
        self, resource: Resource, namespace: str | None, selector: str, resource_version: str
    ) -> AsyncIterator[Object]:
        """Events after a resource version, bookmarks included, until the server ends the stream."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": selector,
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SILENCE)
        url = self._server + resource.path(namespace)
        started, code = asyncio.get_running_loop().time(), 0
        try:
            # A watch may be silent, but it begins as fast as any other request is answered.
            async with asyncio.timeout(self.session.timeout.total):
                response = await self.session.get(url, params=query, timeout=timeout)
            async with response:
                code = response.status
                self.seen(Request("watch", resource.plural, response.status, _since(started)))
                if response.status != 200:
                    raise await _error(response)
                async for line in _lines(response.content):
                    yield read_event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not code:
                self.seen(Request("watch", resource.plural, code, _since(started)))
            raise Unavailable(0, "Disconnected", f"watch of {resource.plural}: {_words(error)}") from error

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """A new object. Raises AlreadyExists."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._write(namespace, "create", resource, "POST", resource.path(namespace), body, query)

    async def apply(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """Server-side apply: the object holds what `body` says; fields of others stay."""
        path = resource.path(namespace, body["metadata"]["name"])
        return await self._apply(namespace, resource.plural, resource, path, body)

    async def apply_status(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """Server-side apply of the status. A `resourceVersion` in `body` makes it fail where others were faster."""
        path = resource.path(namespace, body["metadata"]["name"], "status")
        return await self._apply(namespace, f"{resource.plural}/status", resource, path, body)

    async def merge_status(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """The status of an object whose spec does not fit its schema: the API server cannot apply to such a one."""
        path = resource.path(namespace, body["metadata"]["name"], "status")
        query, content = {"fieldManager": FIELD_MANAGER}, "application/merge-patch+json"
        label = f"{resource.plural}/status"
        return await self._write(namespace, "patch", resource, "PATCH", path, body, query, content, label)

    async def replace(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """The whole object anew; its resourceVersion guards against others. Raises Conflict."""
        path = resource.path(namespace, body["metadata"]["name"])
        return await self._write(namespace, "update", resource, "PUT", path, body, {"fieldManager": FIELD_MANAGER})

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, force: bool = False, version: int | None = None
    ) -> Object:
        """Gracefully or, by force, at once, and only the object with this uid, and in this version if one is given: the
        object as it is then. Raises NotFound, or Conflict where it is another one."""
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        if version is not None:
            body["preconditions"]["resourceVersion"] = str(version)
        if force:
            body["gracePeriodSeconds"] = 0
        return await self._write(namespace, "delete", resource, "DELETE", resource.path(namespace, name), body, {})

    async def _apply(
        self, namespace: str, label: str, resource: Resource, path: str, body: Mapping[str, Any]
    ) -> Object:
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        content = "application/apply-patch+yaml"  # JSON is YAML
        return await self._write(namespace, "patch", resource, "PATCH", path, body, query, content, label)

    async def _write(
        self,
        namespace: str,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        body: Mapping[str, Any],
        query: Mapping[str, str],
        content: str = "application/json",
        label: str = "",
    ) -> Object:
        async with self._writes.slot(namespace):
            return await self._ask(verb, resource, method, path, query, body, content, label)

    async def _ask(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        label: str = "",
    ) -> Object:
        """Send a request, a few times where the API server is too busy (429): nothing was done then, and until the
        moment it names nobody in this process asks again. Raises the last refusal."""
        for _ in range(BUSY_TRIES - 1):
            await self._pause()
            try:
                return await self._send(verb, resource, method, path, query, body, content, label)
            except Unavailable as error:
                if error.status != 429:
                    raise
                wait = min(error.retry_after or 1.0, self._longest_pause)
                self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + wait)
        await self._pause()
        return await self._send(verb, resource, method, path, query, body, content, label)

    async def _pause(self) -> None:
        while (wait := self._paused_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait)

    async def _send(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content: str,
        label: str,
    ) -> Object:
        if method != "GET":
            self._may_write()
        data = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": content}
        started, code = asyncio.get_running_loop().time(), 0
        try:
            async with self.session.request(
                method, self._server + path, params=query, data=data, headers=headers
            ) as response:
                code = response.status
                if code >= 400:
                    raise await _error(response)
                text = await response.read()
                # Of all that is read here, only jobs have fields that the API server leaves open; to look at every
                # list of pods takes three times as long as to read it.
                return read_object(keep_shallow(text) if resource == JOBS else text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(0, "Unreachable", f"{verb} {path}: {_words(error)}") from error
        finally:
            self.seen(Request(verb, label or resource.plural, code, _since(started)))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines, however long: the reader's own `readline` refuses large objects."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LINE_MAX:
            break
    if rest:
        yield rest


async def _error(response: aiohttp.ClientResponse) -> ApiError:
    return read_error(response.status, await response.read(), response.headers.get("Retry-After", ""))


def _since(started: float) -> float:
    return asyncio.get_running_loop().time() - started


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
