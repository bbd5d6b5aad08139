"""A proxy before the API server that is slow for one namespace, as an API server with a broken webhook is.

`python -m tests.bench.scale.slow_api KUBECONFIG PORT NAMESPACE SECONDS`: plain HTTP on loopback, the certificate of the
kubeconfig towards the API server. Everything the operator asks goes through it, so figures taken through it compare
with each other only.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import ClientError, ClientTimeout, web

from tests.bench.api import Api, connect

KEPT = ("Content-Type", "Accept", "User-Agent")


async def serve(kubeconfig: Path, port: int, namespace: str, seconds: float) -> None:
    """Until the process ends."""
    async with connect(kubeconfig) as api:

        async def answer(request: web.Request) -> web.StreamResponse:
            if f"/namespaces/{namespace}/" in request.path:
                await asyncio.sleep(seconds)
            return await _pass_on(api, request)

        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


async def _pass_on(api: Api, request: web.Request) -> web.StreamResponse:
    headers = {name: request.headers[name] for name in KEPT if name in request.headers}
    url = api.server + request.path_qs
    data = await request.read() or None  # an empty body would get a content type, which the API server refuses
    timeout = ClientTimeout(total=None)
    async with api.session.request(request.method, url, data=data, headers=headers, timeout=timeout) as upstream:
        response = web.StreamResponse(status=upstream.status)
        response.content_type = upstream.content_type
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (ClientError, ConnectionError):
            pass  # the operator has ended, and its watches with it
        return response


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
