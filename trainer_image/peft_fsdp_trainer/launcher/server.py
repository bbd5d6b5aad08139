"""The launcher's HTTP server: progress for the operator, metrics for Prometheus, health for the kubelet.

GET on three paths needs no framework: a request line is read, a file-backed answer is written, the connection closes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from peft_fsdp_api import names

from .metrics import render_metrics
from .peers import PATH, Peers
from .run_dir import read_progress
from .settings import LaunchSettings

REQUEST_SECONDS: Final = 5.0

log = logging.getLogger(__name__)

Answer = tuple[str, str, bytes]
"""Status line, content type and body."""


async def serve(settings: LaunchSettings, peers: Peers) -> asyncio.Server:
    """A server that listens until the context is left."""

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        return _handle(reader, writer, lambda path: answer(path, settings), peers)

    server = await asyncio.start_server(handle, settings.host, settings.port)
    port = server.sockets[0].getsockname()[1]
    log.info("%s and %s at http://%s:%d", names.PROGRESS_PATH, names.METRICS_PATH, settings.host or "0.0.0.0", port)
    return server


def answer(path: str, settings: LaunchSettings) -> Answer:
    """The answer to a GET of `path`, from what the ranks have written last."""
    if path == names.HEALTH_PATH:
        return "200 OK", "text/plain", b"ok\n"
    if path == names.PROGRESS_PATH:
        progress = read_progress(settings.run_dir, settings.placement)
        return "200 OK", "application/json", progress.model_dump_json(by_alias=True, exclude_none=True).encode()
    if path == names.METRICS_PATH:
        progress = read_progress(settings.run_dir, settings.placement)
        return "200 OK", CONTENT_TYPE_LATEST, render_metrics(progress, time.time())
    known = f"{names.PROGRESS_PATH}, {names.METRICS_PATH} and {names.HEALTH_PATH}"
    return "404 Not Found", "text/plain", f"there are {known}\n".encode()


async def _handle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_to: Callable[[str], Answer], peers: Peers
) -> None:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            request = await reader.readuntil(b"\r\n\r\n")
            method, target = _request_line(request)
            path, _, query = target.partition("?")
            if path != PATH:
                writer.write(_response(method, path, answer_to))
                await writer.drain()
                return
        await peers.accept(query, reader, writer)
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # a client that is slow, gone or talks something else gets no answer
    finally:
        writer.close()


def _request_line(request: bytes) -> tuple[str, str]:
    """Method and target."""
    method, _, rest = request.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    return method, rest.partition(" ")[0]


def _response(method: str, path: str, answer_to: Callable[[str], Answer]) -> bytes:
    status, kind, body = answer_to(path) if method == "GET" else ("405 Method Not Allowed", "text/plain", b"GET only\n")
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
