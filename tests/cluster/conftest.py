"""The one-machine cluster with the chart installed, once for all tests of this folder; a namespace per test.

A cluster that ran before (`make cluster`, `make demo`) is used and left running; otherwise it is stopped at the end.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.instance import Cluster, full_cluster
from dev.demo.here import target_of
from dev.demo.inputs import CLAIM, write_inputs
from dev.demo.target import Target
from dev.demo.walk import OUTPUT_CLAIM, create_namespace, install_chart, uninstall_chart
from tests.cluster.runs import Runs


@pytest.fixture(scope="package")
def one_machine() -> Iterator[Cluster]:
    with full_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="package")
def target(one_machine: Cluster) -> Iterator[Target]:
    """The cluster with the operator installed by Helm."""
    target = target_of(one_machine)
    install_chart(target)
    yield target
    uninstall_chart(target)


@pytest.fixture(scope="package")
def demo_input(one_machine: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base model and dataset of the demo, as a folder."""
    return write_inputs(tmp_path_factory.mktemp("claims"))


@pytest.fixture
def runs(target: Target, one_machine: Cluster, demo_input: Path) -> Iterator[Runs]:
    """A namespace under the restricted pod security level with the demo's claims; gone after the test."""
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
