"""An operator that does not lead yet, or has not seen everything yet, ends when it is told to."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

PROGRAM = Path(sys.executable).with_name("peft-fsdp-operator")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_before_kopf_runs_ends_it_in_good_order(tmp_path, number):
    asked, over = asyncio.Event(), asyncio.Event()

    async def answer(_):
        asked.set()
        await over.wait()
        return web.Response(status=500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        environment = {**os.environ, "KUBECONFIG": str(write_kubeconfig(tmp_path, str(server.make_url(""))))}
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM), "run", "--trainer-image", "image", "--metrics-address", "127.0.0.1", "--metrics-port", "0",
            env=environment, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            await asked.wait()
            process.send_signal(number)
            _, said = await process.communicate()
        over.set()
    assert (process.returncode, "a signal came" in said.decode()) == (0, True)


def write_kubeconfig(folder: Path, server: str) -> Path:
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    clusters, users = [{"name": "c", "cluster": {"server": server}}], [{"name": "u", "user": {}}]
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump({"clusters": clusters, "contexts": [context], "users": users, "current-context": "c"})
    )
    return path
