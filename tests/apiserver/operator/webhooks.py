"""Admission webhooks that refuse pods: one that does not answer, and one that does, in words of the test."""

import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from dev.cluster.certificates import make_authority, make_server
from dev.cluster.instance import Cluster as Instance
from peft_fsdp_operator.cluster import PODS
from tests.apiserver.operator.world import IMAGE, World, until

NAME = "gate.example.com"
NOBODY = "https://127.0.0.1:9/"


@asynccontextmanager
async def webhook(instance: Instance, world: World, url: str, authority: Path | None = None) -> AsyncIterator[None]:
    """Pods in the world are let in by whoever answers at `url` with a certificate of the authority. None is."""
    bundle = {} if authority is None else {"caBundle": b64encode(authority.read_bytes()).decode()}
    hook = {
        "name": NAME,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": url, **bundle},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    instance.kubectl("apply", "-f", "-", input=json.dumps({**kind, "metadata": {"name": "gate"}, "webhooks": [hook]}))
    try:
        await until(lambda: _is_in_force(world))
        yield
    finally:
        instance.kubectl("delete", "validatingwebhookconfiguration", "gate")


async def _is_in_force(world: World) -> bool:
    """The API server learns of it a moment after it was made: then not even on trial can a pod be made."""
    pod = {"metadata": {"name": "trial"}, "spec": {"containers": [{"name": "trial", "image": IMAGE}]}}
    url = f"{world.cluster._server}{PODS.path(world.namespace)}?dryRun=All"
    async with world.cluster.session.post(url, json=pod) as response:
        return response.status >= 400 and NAME in await response.text()


@asynccontextmanager
async def refusing_webhook(
    instance: Instance, world: World, folder: Path, status: dict[str, Any]
) -> AsyncIterator[None]:
    """It refuses every pod with this status."""

    async def refuse(request: web.Request) -> web.Response:
        uid = (await request.json())["request"]["uid"]
        kind = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return web.json_response({**kind, "response": {"uid": uid, "allowed": False, "status": status}})

    make_authority(folder)
    make_server(folder, "gate", ["IP:127.0.0.1"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "gate.crt", folder / "gate.key")
    app = web.Application()
    app.router.add_post("/", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        async with webhook(instance, world, f"https://127.0.0.1:{port}/", folder / "ca.crt"):
            yield
    finally:
        await runner.cleanup()
