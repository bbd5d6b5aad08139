"""Counts requests that `client` does not send: kopf's list and watch of the jobs, over a session that it gets of us."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from .client import Request
from .resources import Resource


def count_requests(resource: Resource, seen: Callable[[Request], None]) -> aiohttp.TraceConfig:
    """Tells `seen` of every list and watch of the resource; discovery is left out."""

    async def began(_: Any, context: SimpleNamespace, __: Any) -> None:
        context.began = asyncio.get_running_loop().time()

    def ended(context: SimpleNamespace, url: URL, code: int) -> None:
        if url.path.endswith(f"/{resource.plural}"):
            verb = "watch" if url.query.get("watch") == "true" else "list"
            seen(Request(verb, resource.plural, code, asyncio.get_running_loop().time() - context.began))

    async def answered(_: Any, context: SimpleNamespace, told: aiohttp.TraceRequestEndParams) -> None:
        ended(context, told.url, told.response.status)

    async def failed(_: Any, context: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams) -> None:
        ended(context, told.url, 0)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(began)
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    return trace
