"""One HTTP session for the whole process: one pool of connections, one TLS context, always the newest token.

Opened by `handlers`, once for ourselves and once for kopf, which closes its own before we are done; used by `client`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import aiohttp

from .credentials import Credentials

TOKEN_MAX_AGE: Final = 60.0
# Kubernetes closes idle connections after 90 s (its HTTP/1 default); letting go first avoids writes into a closed one.
KEEPALIVE: Final = 60.0
REQUEST_TIMEOUT: Final = 30.0

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


def open_session(
    credentials: Credentials,
    shared: aiohttp.BaseConnector | None = None,
    traces: Sequence[aiohttp.TraceConfig] = (),
    middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
) -> aiohttp.ClientSession:
    """A session that is logged in; whoever gets it closes it. Must be called inside the event loop.

    With the connections of another session it leaves them open at its end. A middleware that asks again does so with
    the newest token.
    """
    logins = (_bearer(credentials),) if credentials.token or credentials.token_file else ()
    connector = shared or aiohttp.TCPConnector(
        limit=0,  # `client` bounds the requests; there are four watches for each namespace, and none may wait
        ssl=credentials.tls if credentials.tls is not None else True,
        keepalive_timeout=KEEPALIVE,
    )
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=shared is None,
        headers={"User-Agent": f"peft-fsdp-operator/{version('peft-fsdp-job')}"},
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
        middlewares=(*middlewares, *logins),
        trace_configs=list(traces),
        raise_for_status=False,
    )


def _bearer(credentials: Credentials) -> aiohttp.ClientMiddlewareType:
    """A middleware that adds the token, read again from its file every minute."""
    token = credentials.token or ""
    read_at = float("-inf")

    async def add_token(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        nonlocal token, read_at
        now = asyncio.get_running_loop().time()
        if credentials.token_file and now - read_at > TOKEN_MAX_AGE:
            token, read_at = await asyncio.to_thread(_read, credentials.token_file), now
        request.headers["Authorization"] = f"Bearer {token}"
        return await handler(request)

    return add_token


def _read(path: Path) -> str:
    return path.read_text().strip()
