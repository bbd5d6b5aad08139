"""A reverse proxy between one operator and the API server, on loopback, that makes faults by rules.

It speaks plain HTTP to the operator, logs in at the API server with the instance's certificate, and passes watches on
event by event. `site` runs one per operator.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from peft_fsdp_operator.cluster import Credentials
from tests.faults.asked import Asked, read_request
from tests.faults.rules import (
    Answer,
    CutWatch,
    Drop,
    ErrorWatch,
    EverySecond,
    Fault,
    Garbage,
    GoneWatch,
    Hang,
    Kill,
    Late,
    Rule,
    Slow,
    Stale,
)
from tests.ports import free_port

GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}
PASSED_ON = ("Content-Type", "User-Agent", "Accept")


class FaultProxy:
    """`kill` ends the operator at once, without a word."""

    def __init__(self, credentials: Credentials, kill: Callable[[], None]) -> None:
        self._credentials, self._kill = credentials, kill
        self.rules: list[Rule | EverySecond] = []
        self.writes: list[Asked] = []
        """Every write of the operator, in the order of their arrival."""
        self.late: set[str] = set()
        """The uids of what requests made that came late."""
        self._arrival = asyncio.Event()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._first_lists: dict[str, tuple[int, bytes]] = {}
        self.port = free_port()

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._credentials.tls or True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._serve_or_break)
        # Without cancellation the watches of a killed operator would stay open at the API server.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.listen()

    async def listen(self) -> None:
        """Take connections, each time on the same port."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def refuse(self) -> None:
        """Break all connections and refuse new ones, as a host whose API server is down does."""
        await self._site.stop()
        server = self._runner.server
        assert server is not None
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def let_arrive(self) -> None:
        """What is on its way for long need not be any longer."""
        self._arrival.set()

    def forget_lists(self) -> None:
        """The next answer to each list is the one that `Stale` repeats."""
        self._first_lists.clear()

    async def break_all(self) -> None:
        """Every request and watch under way; new ones are taken."""
        await self.refuse()
        await self.listen()

    async def close(self) -> None:
        for delivery in self._deliveries:
            delivery.cancel()
        await self._runner.cleanup()
        await self._session.close()

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads to the proxy."""
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}
        users = [{"name": "nobody", "user": {}}]
        config = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "proxy"}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
        return path

    async def _serve_or_break(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._serve(request)
        except (ConnectionError, aiohttp.ClientError):  # either side went away: the other one learns it like this
            return _broken(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = read_request(request.method, request.path, request.query, body)
        if asked.is_write:
            self.writes.append(asked)
        fault = next((rule.fault for rule in self.rules if rule.strikes(asked)), None)
        if isinstance(fault, Late):
            return self._hold_back(request, body, asked, fault)
        if fault is not None and not _is_late(fault):
            early = await self._strike(request, fault)
            if early is not None:
                return early
        if asked.verb == "watch":
            return await self._stream(request, fault)
        # A write that has left is done, and what strikes after it does, whether or not the operator still waits for it.
        return await asyncio.shield(asyncio.ensure_future(self._carry_out(request, body, asked, fault)))

    async def _carry_out(self, request: web.Request, body: bytes, asked: Asked, fault: Fault | None) -> web.Response:
        answer = await self._forward(request, body, asked, fault)
        if fault is not None and _is_late(fault):
            return await self._strike(request, fault) or answer
        return answer

    async def _strike(self, request: web.Request, fault: Fault) -> web.Response | None:
        """What the operator gets in place of an answer; None where the request goes on."""
        match fault:
            case Answer():
                return _status(fault)
            case Hang():
                await asyncio.sleep(600)
            case Drop():
                return _broken(request)
            case Kill():
                self._kill()
                return _broken(request)
            case Slow():
                await asyncio.sleep(fault.seconds)
            case GoneWatch(as_event=False):
                return web.json_response(GONE, status=410)
            case Garbage():
                return web.Response(text=fault.text, content_type=fault.content_type, status=fault.code)
        return None

    def _hold_back(self, request: web.Request, body: bytes, asked: Asked, fault: Late) -> web.Response:
        delivery = asyncio.create_task(self._deliver(request, body, asked, fault.seconds))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)
        if fault.kill:
            self._kill()
        return _broken(request)

    async def _deliver(self, request: web.Request, body: bytes, asked: Asked, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrival.wait(), seconds)
        answer = await self._forward(request, body, asked, None)
        if answer.status == 201:
            self.late.add(json.loads(answer.text or "")["metadata"]["uid"])

    async def _forward(self, request: web.Request, body: bytes, asked: Asked, fault: Fault | None) -> web.Response:
        question = request.path_qs
        # A list that asks for one job's pods is answered from etcd: no API server gives an old answer to it.
        if isinstance(fault, Stale) and question in self._first_lists and "job-uid" not in question:
            code, content = self._first_lists[question]
            return web.Response(status=code, body=content, content_type="application/json")
        async with self._send(request, body) as response:
            content = await response.read()
            headers = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
            if asked.verb == "list":
                self._first_lists.setdefault(question, (response.status, content))
            return web.Response(
                status=response.status, body=content, content_type=response.content_type, headers=headers
            )

    async def _stream(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if isinstance(fault, GoneWatch | ErrorWatch):
            told = GONE if isinstance(fault, GoneWatch) else {**GONE, "code": fault.code, "reason": "InternalError"}
            event = json.dumps({"type": "ERROR", "object": told}) + "\n"
            return web.Response(text=event, content_type="application/json")
        async with self._send(request, b"") as response:
            stream = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
            await stream.prepare(request)
            left = fault.events if isinstance(fault, CutWatch) else None
            async for chunk in response.content.iter_any():
                if left is not None and (left := left - chunk.count(b"\n")) < 0:
                    await stream.write(chunk[: len(chunk) // 2])
                    return _broken(request)
                await stream.write(chunk)
            return stream

    def _send(self, request: web.Request, body: bytes) -> Any:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        url = self._credentials.server + request.path_qs
        return self._session.request(request.method, url, data=body or None, headers=headers)


def _is_late(fault: Fault) -> bool:
    return isinstance(fault, Hang | Drop | Kill) and fault.after


def _status(fault: Answer) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": fault.code}
    return web.json_response(
        {**body, "reason": fault.reason, "message": "a fault of the test"}, status=fault.code, headers=headers
    )


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
