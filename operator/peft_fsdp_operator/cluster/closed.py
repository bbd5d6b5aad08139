"""A namespace that was removed, or closed to the operator, keeps only its own jobs from it. For kopf's session.

kopf asks again where a list or a watch is forbidden, but its watch would go on where it was, and what was forgotten
meanwhile would never be told again. So it is asked for again without a place: the API server then begins with
everything that there is.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp

from ..errors import is_forbidden
from .answers import read_error
from .lost_place import PLACE
from .resources import Resource
from .session import Handler

FORBIDDEN: Final = 403
FORBIDDEN_WAIT: Final = 10.0
"""Seconds; nobody tells when a right is granted."""

log = logging.getLogger(__name__)


def leave_closed_ones(resource: Resource, closed: Callable[[str], None]) -> aiohttp.ClientMiddlewareType:
    """A middleware that tells `closed` of each namespace in which the resource may not be read, every time it asks."""
    known: set[str] = set()

    async def repeat(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        namespace = resource.namespace_in(request.url.path)
        if namespace is None:
            return await handler(request)
        if namespace in known:  # kopf gave up waiting for the answer, and asks once more
            request.url = request.url.without_query_params(PLACE)
        response = await handler(request)
        while await _is_forbidden(response):
            if namespace not in known:
                log.warning("%s of namespace %s may not be read; its jobs are left alone", resource.plural, namespace)
            known.add(namespace)
            closed(namespace)
            if request.url.query.get("watch") != "true":
                return response  # kopf asks again by itself
            response.release()
            await asyncio.sleep(FORBIDDEN_WAIT)
            request.url = request.url.without_query_params(PLACE)
            response = await handler(request)
        if response.status == 200 and namespace in known:
            known.remove(namespace)
            log.info("%s of namespace %s can be read again", resource.plural, namespace)
        return response

    return repeat


async def _is_forbidden(response: aiohttp.ClientResponse) -> bool:
    return response.status == FORBIDDEN and is_forbidden(read_error(FORBIDDEN, await response.read(), ""))
