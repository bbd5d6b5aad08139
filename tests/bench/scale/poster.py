"""The load, as a process of its own: sends a file of requests to the API server as fast as it takes them.

`python -m tests.bench.scale.poster KUBECONFIG PLAN`; `load` writes the plan and starts it. Bodies are encoded in
the plan already, so that what is measured is the API server and not this client.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson

from tests.bench.api import Api, connect

AT_ONCE = 32
AGENT = {"User-Agent": "bench-poster"}


async def send_all(kubeconfig: Path, plan: Path) -> dict[str, float]:
    """Send every line of the plan; the answer counts those that were refused."""
    refused = 0
    lines = iter(plan.read_bytes().splitlines())
    async with connect(kubeconfig) as api:

        async def work() -> None:
            nonlocal refused
            for line in lines:
                was_taken = await send(api, orjson.loads(line))
                refused += not was_taken  # not in one line: the count is read before whatever is awaited in it

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return {"refused": refused}


async def send(api: Api, request: dict[str, str]) -> bool:
    """One request. Returns whether it was accepted; what is gone already needs no deletion."""
    headers = AGENT | {"Content-Type": request.get("type", "application/json")}
    url, data = api.server + request["path"], request.get("body")
    try:
        async with api.session.request(request["method"], url, data=data, headers=headers) as response:
            await response.read()
            return response.status < 300 or (request["method"] == "DELETE" and response.status == 404)
    except aiohttp.ClientError:
        return False


if __name__ == "__main__":
    answer = asyncio.run(send_all(Path(sys.argv[1]), Path(sys.argv[2])))
    print(orjson.dumps(answer).decode())
