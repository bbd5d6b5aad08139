"""An operator that is confined to namespaces, one of which is closed to it: the others go on, also after a restart."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.apiserver.chart_release import granted
from tests.apiserver.operator.conftest import open_world
from tests.apiserver.operator.world import operator_process, until
from tests.ports import free_port

pytestmark = pytest.mark.apiserver
USER = "confined"


@pytest.fixture
def confined(api_server, alone, tmp_path) -> Path:
    """A kubeconfig of a service account in the namespace of `alone`, which has no rights yet."""
    api_server.kubectl("create", "serviceaccount", USER, "-n", alone.namespace)
    token = api_server.kubectl("create", "token", USER, "-n", alone.namespace, "--duration=1h").strip()
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest_asyncio.fixture
async def other(api_server):
    """Another namespace, empty but for a claim."""
    name = f"other-{uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    async with open_world(api_server, name) as world:
        yield world
    api_server.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def grant(api_server, world, account):
    """The rights of the chart, in one namespace."""
    rules: dict[tuple[str, str], list[str]] = {}
    for group, resource, verb in granted("--set", f"watchNamespaces={{{world.namespace}}}"):
        rules.setdefault((group, resource), []).append(verb)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": USER, "namespace": world.namespace},
        "rules": [{"apiGroups": [group], "resources": [one], "verbs": verbs} for (group, one), verbs in rules.items()],
    }
    binding = {
        **{key: role[key] for key in ("apiVersion", "metadata")},
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": USER},
        "subjects": [{"kind": "ServiceAccount", "name": USER, "namespace": account}],
    }
    for manifest in (role, binding):
        api_server.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def revoke(api_server, world):
    api_server.kubectl("delete", "rolebinding", USER, "-n", world.namespace)


class Wire:
    """Connections to the API server that can be cut: a watch that is open is not asked for its rights again."""

    def __init__(self, config: Path) -> None:
        cluster = yaml.safe_load(config.read_text())["clusters"][0]["cluster"]
        self._target = urlsplit(cluster["server"])
        self._open: set[asyncio.StreamWriter] = set()

    async def lay(self, config: Path) -> None:
        """Make the kubeconfig lead through the wire."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1")
        port = self._server.sockets[0].getsockname()[1]
        config.write_text(config.read_text().replace(self._target.netloc, f"127.0.0.1:{port}"))

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._open |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer), return_exceptions=True)
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest_asyncio.fixture
async def wire(confined):
    wire = Wire(confined)
    await wire.lay(confined)
    yield wire
    wire.cut()
    wire._server.close()


async def test_a_closed_namespace_keeps_only_its_own_jobs_waiting(api_server, alone, other, confined, wire, tmp_path):
    log, port = tmp_path / "log", free_port()
    flags = ("--namespace", alone.namespace, "--no-election", "--metrics-port", str(port))

    def start():  # the namespace that comes first is closed at first
        return operator_process(confined, other.namespace, log, *flags)

    grant(api_server, alone, alone.namespace)
    with start() as process:
        await alone.submit("first", nodes=1)
        await alone.until_pods("first-1-0", name="first")
        await other.submit("opened", nodes=1)
        grant(api_server, other, alone.namespace)
        await other.until_pods("opened-1-0", name="opened")
        revoke(api_server, other)
        wire.cut()
        await until(lambda: times_told(log, other, 2))
        await alone.submit("second", nodes=1)
        await alone.until_pods("second-1-0", name="second")
        await other.submit("missed", nodes=1)
        assert process.poll() is None
    with start() as process:
        await alone.submit("third", nodes=1)
        await alone.until_pods("third-1-0", name="third")
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"http://127.0.0.1:{port}/healthz")
            assert answer.status == 200
        assert await other.pods("missed") == {}
        grant(api_server, other, alone.namespace)
        await other.until_pods("missed-1-0", name="missed")
        assert process.poll() is None
    assert " ERROR " not in log.read_text()


async def times_told(log, world, times):
    return log.read_text().count(f"peftfsdpjobs of namespace {world.namespace} may not be read") == times
