"""What the log says of a job's life, and what it never says: values of variables, bodies, keys."""

import json
from contextlib import asynccontextmanager
from random import SystemRandom

import pytest
from aiohttp import web

from peft_fsdp_api import names
from peft_fsdp_operator.cluster import JOBS
from tests.apiserver.operator.world import operator_process, until

pytestmark = pytest.mark.apiserver
SECRET = "hf_aVeryPrivateToken"
BODIES = ('"containers"', "'containers'", '"apiVersion"', "'apiVersion'", "BEGIN CERTIFICATE", "Bearer ")


async def test_at_debug_the_log_tells_each_decision_and_no_secret(alone, api_server, tmp_path):
    log = tmp_path / "log"
    private = {"name": "API_KEY", "value": SECRET}
    refused = {"name": "ODD", "valueFrom": {"secretKeyRef": {"name": "without-a-key"}}}
    with operator_process(
        api_server.kubeconfig, alone.namespace, log, "--no-election", "--log-level=debug", "--log-format=json"
    ):
        async with babbling_launcher() as (ip, asked):
            await alone.submit("odd", workers={"nodes": 1, "gpusPerNode": 0, "env": [private, refused]})
            await alone.submit(workers={"nodes": 2, "gpusPerNode": 8, "env": [private]})
            await alone.until_pods("tune-1-0", "tune-1-1")
            await alone.until_phase("Starting")
            for pod in await alone.pods():
                await alone.run_pod(pod, ip)
            await alone.until_phase("Running")
            await until(lambda: was_asked(asked))
            await until(lambda: is_refused(alone))
            await alone.patch(JOBS, "tune", {"spec": {"suspend": True}})
            await alone.until_phase("Suspended")
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    told = [(one["phase"], one["attempt"]) for one in lines if one.get("job") == f"{alone.namespace}/tune"]
    assert list(dict.fromkeys(told)) == [
        ("Pending", 1),
        ("Starting", 1),
        ("Running", 1),
        ("Suspending", 1),
        ("Suspended", 1),
    ]
    assert all({"job", "attempt", "phase", "reason", "message"} <= set(one) for one in lines if "phase" in one)
    assert any(one["message"].startswith("no progress from") for one in lines)
    assert SECRET not in text
    assert [body for body in BODIES if body in text] == []


async def was_asked(asked):
    return asked


async def is_refused(world):
    return ((await world.status("odd")).get("waiting") or {}).get("reason") == "Invalid"


@asynccontextmanager
async def babbling_launcher():
    """Something at the launcher's address that answers with nonsense."""
    ip, asked = "127." + ".".join(str(SystemRandom().randint(1, 254)) for _ in range(3)), []

    async def answer(_):
        asked.append(True)
        return web.json_response({"attempt": SECRET, "containers": [SECRET]})

    app = web.Application()
    app.router.add_get(names.PROGRESS_PATH, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, ip, names.LAUNCHER_PORT).start()
        yield ip, asked
    finally:
        await runner.cleanup()
