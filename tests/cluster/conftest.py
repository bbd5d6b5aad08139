"""The one-machine cluster with the chart installed, once for all tests of this folder; a namespace per test.

A cluster that ran before (`make cluster`, `make demo`) is used and left running; otherwise it is stopped at the end.
With `pytest -n` several tests are at work in it at a time. Those with the mark `alone` change what all pods stand on:
they wait until no other test is at work, and the others wait for them.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.instance import FULL, Cluster, down, running_cluster, runs_partly, up_full
from dev.cluster.layout import Layout
from dev.demo.here import target_of
from dev.demo.inputs import CLAIM, write_inputs
from dev.demo.target import Target
from dev.demo.walk import OUTPUT_CLAIM, create_namespace, install_chart, uninstall_chart
from tests.cluster.runs import Runs
from tests.cluster.sharing import shared, turn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that are alone come after the others here, so that nobody waits in between; what needs the cluster gone
    comes after all of them."""
    here = Path(__file__).parent
    items.sort(key=lambda item: (here not in item.path.parents, _is_alone(item)))


@pytest.fixture(scope="package")
def one_machine() -> Iterator[Cluster]:
    """With the operator installed by Helm."""
    with shared(_bring_up, _take_down):
        yield running_cluster(FULL)


def _bring_up() -> bool:
    ours = not runs_partly(Layout(FULL))
    try:
        install_chart(target_of(up_full()))
    except BaseException:
        if ours:
            down(FULL)
        raise
    return ours


def _take_down(ours: bool) -> None:
    if ours:
        down(FULL)
    else:
        uninstall_chart(target_of(running_cluster(FULL)))


@pytest.fixture(scope="package")
def target(one_machine: Cluster) -> Target:
    return target_of(one_machine)


@pytest.fixture(scope="package")
def demo_input(one_machine: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base model and dataset of the demo, as a folder."""
    return write_inputs(tmp_path_factory.mktemp("claims"))


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.fixture
def runs(request: pytest.FixtureRequest, target: Target, one_machine: Cluster, demo_input: Path) -> Iterator[Runs]:
    """A namespace under the restricted pod security level with the demo's claims; gone after the test."""
    with turn(alone=_is_alone(request.node)):
        namespace = f"test-{uuid.uuid4().hex[:8]}"
        create_namespace(target, namespace)
        folders = {}
        for claim in (CLAIM, OUTPUT_CLAIM):
            folders[claim] = one_machine.volume(claim, namespace=namespace, size="2Gi", mode="RWX")
        runs = Runs(target, namespace, folders[OUTPUT_CLAIM])
        runs.fill(folders[CLAIM], demo_input)
        yield runs
        target.run("delete", "namespace", namespace, "--wait=false")
        target.run("delete", "pv", *(f"{namespace}-{claim}" for claim in folders), "--wait=false")
