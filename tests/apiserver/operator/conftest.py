"""Worlds to test in: one namespace with one operator for the tests that only watch it work, cleared after each, and
namespaces of their own for those that stop, start and double the operator."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from dev.cluster.instance import Cluster as Instance
from peft_fsdp_operator.cluster import CLAIMS, Cluster, find_credentials, open_session
from tests.apiserver.operator.world import World, operator_process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The look at everything that was asked of the API server comes last."""
    items.sort(key=lambda item: item.path == Path(__file__).with_name("test_rights.py"))


@pytest.fixture(scope="session")
def home(api_server: Instance, tmp_path_factory) -> Iterator[str]:
    """A namespace that a running operator watches."""
    name = f"operator-{uuid4().hex[:8]}"
    log = tmp_path_factory.mktemp("operator") / "log"
    api_server.kubectl("create", "namespace", name)
    with operator_process(api_server.kubeconfig, name, log, "--no-election") as process:
        yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")
    assert process.returncode == 0, log.read_text()
    assert " ERROR " not in log.read_text()


@pytest_asyncio.fixture
async def world(api_server: Instance, home: str) -> AsyncIterator[World]:
    """The namespace with the operator, empty but for a claim."""
    async with open_world(api_server, home) as world:
        yield world
        await world.clear()


@pytest_asyncio.fixture
async def alone(api_server: Instance, namespace: str) -> AsyncIterator[World]:
    """A namespace of its own without an operator: the test starts them."""
    async with open_world(api_server, namespace) as world:
        yield world


@pytest.fixture
def start(api_server: Instance, alone: World, tmp_path):
    """Start an operator for the namespace of `alone`."""

    def operator(*flags: str):
        return operator_process(api_server.kubeconfig, alone.namespace, tmp_path / uuid4().hex, *flags)

    return operator


@asynccontextmanager
async def open_world(instance: Instance, namespace: str) -> AsyncIterator[World]:
    credentials = find_credentials({**os.environ, "KUBECONFIG": str(instance.kubeconfig)})
    session = open_session(credentials)
    session.headers["User-Agent"] = "tests"  # not to be taken for the operator in the audit log
    try:
        world = World(Cluster(session, credentials.server), namespace)
        if await world.find(CLAIMS, "models") is None:
            await world.make_claim()
        yield world
        await world.remove_nodes()
    finally:
        await session.close()
