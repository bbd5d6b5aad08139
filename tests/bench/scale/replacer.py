"""A bare client that replaces gangs, as a process of its own: delete all pods of one, wait until they are gone, create.

`python -m tests.bench.scale.replacer KUBECONFIG PLAN`; each line of the plan is one gang. What an operator has to do
before it may start an attempt anew, without any thought about it: the machine's own limit.
"""

import asyncio
import sys
from pathlib import Path

import orjson

from tests.bench.api import Api, connect
from tests.bench.scale.objects import NAMESPACE
from tests.bench.scale.poster import AT_ONCE, send

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Gone:
    """Knows which pods are gone, from one watch."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def of(self, name: str) -> asyncio.Event:
        return self._events.setdefault(name, asyncio.Event())

    async def follow(self, api: Api, version: str) -> None:
        async with api.session.get(f"{api.server}{PODS}?watch=1&resourceVersion={version}") as response:
            async for line in response.content:
                event = orjson.loads(line)
                if event["type"] == "DELETED":
                    self.of(event["object"]["metadata"]["name"]).set()


async def replace_all(kubeconfig: Path, plan: Path) -> None:
    """All gangs of the plan at once, with a bound on the requests under way."""
    async with connect(kubeconfig) as api:
        gone, gate = Gone(), asyncio.Semaphore(AT_ONCE)
        version = (await api.get(f"{PODS}?limit=1"))["metadata"]["resourceVersion"]
        watch = asyncio.create_task(gone.follow(api, version))
        gangs = [orjson.loads(line) for line in plan.read_bytes().splitlines()]
        await asyncio.gather(*(_replace(api, gone, gate, gang) for gang in gangs))
        watch.cancel()


async def _replace(api: Api, gone: Gone, gate: asyncio.Semaphore, gang: dict[str, list[dict[str, str]]]) -> None:
    async def do(request: dict[str, str]) -> None:
        async with gate:
            if not await send(api, request):
                raise RuntimeError(f"refused: {request['method']} {request['path']}")

    await asyncio.gather(*map(do, gang["delete"]))
    await asyncio.gather(*(gone.of(request["path"].rsplit("/", 1)[1]).wait() for request in gang["delete"]))
    await asyncio.gather(*map(do, gang["create"]))


if __name__ == "__main__":
    asyncio.run(replace_all(Path(sys.argv[1]), Path(sys.argv[2])))
