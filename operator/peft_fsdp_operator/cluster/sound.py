"""Keeps from kopf what would end it: garbage in place of an answer, and watches that end with an error.

kopf lists again where a watch ends with an event of code 410; any other error in it, a line that is no JSON, and a list
that is none, end the operator. Here such an answer is asked for again, and such a watch ends with 410. Nor does kopf
wait before it continues a watch that ended: one that always ends at once would be asked for without a pause.

What the operator knows already is kept from it too: kopf spends a millisecond on each version of a job, and most of
them are echoes of the operator's own writes.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final

import aiohttp

from ..backoff import Pace, wait_after
from ..errors import ApiError, Garbled, Gone
from .answers import read_event, read_object, read_page
from .resources import Resource
from .session import Handler

LEFT_TO_KOPF: Final = frozenset({403, 410, 429})
"""Answers after which kopf tries again by itself, or that `lost_place` takes care of; so are all from 500 on."""
EXPIRED: Final = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}\n'
ECHO_INTERVAL: Final = 5.0
"""Seconds. kopf continues a watch from the last version it was given, which must not grow too old to be continued."""

log = logging.getLogger(__name__)


def keep_sound(
    resource: Resource, is_known: Callable[[Mapping[str, Any]], bool], heard: Callable[[str | None], None]
) -> aiohttp.ClientMiddlewareType:
    """A middleware for kopf's session, for lists and watches of one resource; `read_shallow` gives it lines.

    `is_known` says whether this version of an object, or a newer one, needs no telling; `heard` is told of the
    namespace in which the API server said something, None being all of them.
    """
    paces: defaultdict[str, Pace] = defaultdict(Pace)  # by path: kopf has a watch per namespace

    async def repeat(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        if not request.url.path.endswith(f"/{resource.plural}"):
            return await handler(request)
        watches = request.url.query.get("watch") == "true"
        for failures in itertools.count(1):
            response = await handler(request)
            try:
                await _check(response, watches)
                break
            except ApiError as error:
                response.release()
                wait = wait_after(failures)
                verb = "watch" if watches else "list"
                log.warning("%s of %s: %s; again in %.1f s", verb, resource.plural, error, wait)
                await asyncio.sleep(wait)
        hear = partial(heard, resource.namespace_in(request.url.path))
        if watches and response.status == 200:
            pace = paces[request.url.path]
            pace.begin()
            events = _SoundEvents(response.content, pace, resource.plural, is_known, hear)
            response.content = events  # type: ignore[assignment]
        elif response.status == 200:
            hear()
        return response

    return repeat


async def _check(response: aiohttp.ClientResponse, watches: bool) -> None:
    """Raises where kopf would not know what to do with the answer."""
    status = response.status
    if 400 <= status < 500 and status not in LEFT_TO_KOPF:
        raise ApiError(status, response.reason or "Unknown", "such an answer would end kopf")
    if status != 200 or watches:
        return
    try:
        text = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Garbled(status, "Broken", f"broke off: {error}") from error
    if response.content_type != "application/json":
        raise Garbled(status, "Garbled", f"came as {response.content_type}")
    read_page(read_object(text))


class _SoundEvents:
    """The body of a watch, line by line, up to the first one that is no event."""

    def __init__(
        self,
        body: aiohttp.StreamReader,
        pace: Pace,
        plural: str,
        is_known: Callable[[Mapping[str, Any]], bool],
        heard: Callable[[], None],
    ) -> None:
        self._body, self._pace, self._plural = body, pace, plural
        self._is_known, self._heard = is_known, heard
        self._told_at = float("-inf")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        try:
            async for line in self._body.iter_chunked(n):
                if line.strip():
                    event = read_event(line)
                    self._pace.hear()
                    self._heard()
                    if self._is_echo(event):
                        continue
                yield line
        except aiohttp.ClientError:
            await asyncio.sleep(self._pace.wait_after_break())
            raise
        except ApiError as error:
            lost = isinstance(error, Gone)
            wait = self._pace.wait_after_loss() if lost else self._pace.wait_after_garbage()
            log.warning("watch of %s: %s; listing again in %.1f s", self._plural, error, wait)
            await asyncio.sleep(wait)
            yield EXPIRED
        else:
            await asyncio.sleep(self._pace.wait_after_end())

    def _is_echo(self, event: Mapping[str, Any]) -> bool:
        """Whether an event can be left out. One now and then never is."""
        now = asyncio.get_running_loop().time()
        if event["type"] == "MODIFIED" and now - self._told_at < ECHO_INTERVAL and self._is_known(event["object"]):
            return True
        self._told_at = now
        return False
