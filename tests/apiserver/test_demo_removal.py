"""The demo in a cluster that is not its own, before a real API server: what it refuses, and what it takes away."""

from collections.abc import Iterator

import pytest

from dev.chart.helm import CHART, NAMESPACE, RELEASE
from dev.cluster.instance import Cluster
from dev.demo.here import access
from dev.demo.ownership import CRD, DEMO_NAMESPACE, SYSTEM_NAMESPACE, check_free
from dev.demo.removal import remove
from dev.demo.target import DemoError, Target
from dev.demo.walk import EXAMPLE, create_namespace, install_chart
from tests.fresh_plane import fresh_plane

pytestmark = pytest.mark.apiserver

IMAGES = ("--set", "image.reference=registry.example.com/operator:1,trainerImage=registry.example.com/trainer:1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with fresh_plane("demo-removal-tests") as cluster:
        yield cluster


@pytest.fixture
def target(cluster: Cluster) -> Target:
    known = access(cluster.kubeconfig)
    return Target(known.kubeconfig, known.kubectl, known.helm, "operator:1", "trainer:1", "ReadWriteOnce")


@pytest.fixture
def demo(cluster: Cluster, target: Target) -> Iterator[Target]:
    """The demo's operator and its namespace with a job; no pod runs here, so nothing is waited for."""
    check_free(target)
    install_chart(target, "--wait=false")
    create_namespace(target, DEMO_NAMESPACE)
    cluster.wait_until_served(CRD)
    target.run("apply", "-n", DEMO_NAMESPACE, "-f", str(EXAMPLE))
    yield target
    remove(target)


def names(target: Target, kinds: str) -> set[str]:
    return set(target.run("get", kinds, "-A", "-o=jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}").split())


def test_what_the_demo_made_goes_and_nothing_else(demo: Target) -> None:
    demo.run("create", "namespace", "bystander")
    check_free(demo)  # a second `make demo` finds its own things
    assert remove(demo) == []
    assert not names(demo, "crd")
    assert {"bystander", "default"} <= names(demo, "namespaces")
    assert not {DEMO_NAMESPACE, SYSTEM_NAMESPACE} & names(demo, "namespaces")
    assert not [name for name in names(demo, "clusterroles,clusterrolebindings") if "peft-fsdp" in name]


def test_jobs_of_others_and_so_the_crd_outlive_the_demo(demo: Target) -> None:
    demo.run("apply", "-n", "default", "-f", str(EXAMPLE))
    (line,) = remove(demo)
    assert line.endswith("there are jobs that the demo did not make: default/cpu-demo")
    assert demo.run("get", "pfj", "-A", "-o=name").split() == ["peftfsdpjob.training.peft-fsdp.io/cpu-demo"]
    assert not {DEMO_NAMESPACE, SYSTEM_NAMESPACE} & names(demo, "namespaces")
    demo.run("delete", "pfj", "-n", "default", "cpu-demo")


def test_a_namespace_of_somebody_is_not_taken(target: Target) -> None:
    target.run("create", "namespace", DEMO_NAMESPACE)
    try:
        with pytest.raises(DemoError, match=f"the namespace {DEMO_NAMESPACE} is there"):
            check_free(target)
        remove(target)
        assert DEMO_NAMESPACE in names(target, "namespaces")
    finally:
        target.run("delete", "namespace", DEMO_NAMESPACE)


@pytest.fixture
def real_installation(cluster: Cluster, target: Target) -> Iterator[str]:
    """As in README.md."""
    target.run_helm("install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace", *IMAGES)
    cluster.wait_until_served(CRD)
    yield f"{NAMESPACE}/{RELEASE}"
    target.run_helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    target.run("delete", "crd", CRD)


def test_a_real_installation_is_refused_and_left_alone(target: Target, real_installation: str) -> None:
    target.run("apply", "-n", "default", "-f", str(EXAMPLE))
    before = target.run_helm("list", "-A", "-o", "json")
    with pytest.raises(DemoError, match=f"installed by the Helm release {real_installation}"):
        check_free(target)
    (line,) = remove(target)
    assert f"it is installed by the Helm release {real_installation}" in line
    assert target.run_helm("list", "-A", "-o", "json") == before
    assert names(target, "pfj") == {"cpu-demo"}
    assert "peft-fsdp-operator" in names(target, "deployments")


def test_a_definition_that_kubectl_applied_is_refused_and_left_alone(target: Target) -> None:
    target.run("apply", "--server-side", "-f", str(EXAMPLE.parents[1] / "crd.yaml"))
    try:
        with pytest.raises(DemoError, match="installed without Helm"):
            check_free(target)
        remove(target)
        assert names(target, "crd") == {CRD}
    finally:
        target.run("delete", "crd", CRD)
