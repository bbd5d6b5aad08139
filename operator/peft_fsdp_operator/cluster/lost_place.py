"""Tells when kopf's view of the jobs began anew, and keeps its watch alive where the API server lost its place in it.

kopf lists again where a watch ends with an event of code 410, but takes an answer with that code for an error that
ends the operator. Neither it nor a watch without a place tells of what was deleted meanwhile: `headcount` finds that.
"""

import asyncio
import itertools
from collections.abc import Callable

import aiohttp

from ..backoff import wait_after
from .resources import Resource
from .session import Handler

GONE = 410
PLACE = "resourceVersion"


def begin_anew(resource: Resource, began: Callable[[], None]) -> aiohttp.ClientMiddlewareType:
    """A middleware for kopf's session. A watch whose place is gone is asked for again without one: the API server
    then begins with everything that there is."""

    async def repeat(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        response = await handler(request)
        if not request.url.path.endswith(f"/{resource.plural}"):
            return response
        if request.url.query.get("watch") == "true":
            for failures in itertools.count():
                if response.status != GONE:
                    break
                response.release()
                await asyncio.sleep(wait_after(failures))
                request.url = request.url.without_query_params(PLACE)
                response = await handler(request)
                began()
        elif "continue" not in request.url.query and response.status == 200:
            began()
        return response

    return repeat
