"""A bare client of the API server: what the machine can do without an operator, and the stopwatch for ours."""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml


@dataclass(frozen=True)
class Api:
    """One HTTP session to one API server."""

    session: aiohttp.ClientSession
    server: str

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(self.server + path, json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status >= 300:
                raise RuntimeError(f"POST {path}: {response.status} {answer.get('message')}")
            return answer

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self.session.patch(self.server + path, data=json.dumps(body), headers=headers) as response:
            response.raise_for_status()

    async def delete(self, path: str) -> None:
        async with self.session.delete(self.server + path) as response:
            response.raise_for_status()

    async def get(self, path: str) -> dict[str, Any]:
        async with self.session.get(self.server + path) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """A session with the client certificate of a kubeconfig."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=_text(cluster["certificate-authority-data"]))
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "client.pem"
        certificate.touch(mode=0o600)
        certificate.write_text(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
        context.load_cert_chain(certificate)
    connector = aiohttp.TCPConnector(ssl=context, limit=64)
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**22) as session:
        yield Api(session, cluster["server"])


async def gather_bounded(limit: int, *work: Any) -> None:
    """Await all of `work` with at most `limit` under way at once."""
    gate = asyncio.Semaphore(limit)

    async def one(item: Any) -> None:
        async with gate:
            await item

    await asyncio.gather(*(one(item) for item in work))


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
