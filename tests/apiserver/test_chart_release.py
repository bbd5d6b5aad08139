"""Helm install, upgrade and uninstall, and install.yaml, on a real API server."""

import json
from time import monotonic, sleep

import pytest

from dev.chart.helm import CHART, NAMESPACE, RELEASE, REPOSITORY, HelmError
from dev.cluster.errors import ClusterError
from tests.apiserver.chart_release import IMAGES, Release, chart_cluster

pytestmark = pytest.mark.apiserver

EXAMPLE = REPOSITORY / "manifests" / "examples" / "cpu-demo.yaml"
CRD_FILE = REPOSITORY / "manifests" / "crd.yaml"
CRD = "peftfsdpjobs.training.peft-fsdp.io"
OURS = "deploy,sa,svc,role,rolebinding,clusterrole,clusterrolebinding,netpol,pdb"


@pytest.fixture(scope="module")
def release():
    with chart_cluster("chart-release-tests") as release:
        yield release


def installed(release: Release) -> list[str]:
    """Names of everything of the release, in all namespaces."""
    selector = "app.kubernetes.io/instance=peft-fsdp-operator"
    return release.cluster.kubectl("get", OURS, "--all-namespaces", "--selector", selector, "-o=name").split()


def has_pod(release: Release) -> bool:
    """Whether the Deployment's pod passed admission within a minute."""
    end = monotonic() + 60
    while monotonic() < end:
        if release.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o=name"):
            return True
        sleep(0.2)
    return False


def may_create_pods(release: Release, namespace: str) -> bool:
    user = f"system:serviceaccount:{NAMESPACE}:peft-fsdp-operator"
    attributes = {"namespace": namespace, "verb": "create", "resource": "pods"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = release.cluster.kubectl("create", "-f", "-", "-o=jsonpath={.status.allowed}", input=json.dumps(review))
    return answer == "true"


def test_install_upgrade_uninstall_leaves_the_crd_and_the_jobs(release):
    notes = release.install()
    assert notes.count("  kubectl ") == 3
    assert has_pod(release)
    release.cluster.wait_until_served("peftfsdpjobs.training.peft-fsdp.io")
    release.cluster.kubectl("apply", "-f", str(EXAMPLE))
    before = release.cluster.kubectl("get", "pfj", "cpu-demo", "-o", "jsonpath={.metadata.resourceVersion}")
    release.install("--set", "trainerImage=registry.example.com/trainer:2")
    deployment = release.cluster.kubectl("get", "-n", NAMESPACE, "deploy/peft-fsdp-operator", "-o=yaml")
    assert "--trainer-image=registry.example.com/trainer:2" in deployment
    release.helm("uninstall", "peft-fsdp-operator", "--wait")
    assert installed(release) == []
    after = release.cluster.kubectl("get", "pfj", "cpu-demo", "-o", "jsonpath={.metadata.resourceVersion}")
    assert after == before


def test_a_kept_crd_is_taken_over_by_the_next_install(release):
    release.install()
    assert "deployment.apps/peft-fsdp-operator" in installed(release)
    release.helm("uninstall", "peft-fsdp-operator", "--wait")


@pytest.fixture
def kept_crd(release):
    """As somebody else left it: applied by kubectl, or by a release of another name."""

    def leave(by):
        release.cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
        if by == "kubectl":
            release.cluster.kubectl("apply", "--server-side", "-f", str(CRD_FILE))
        else:
            release.helm("install", by, str(CHART), *IMAGES)
            release.helm("uninstall", by, "--wait")

    yield leave
    release.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")
    release.cluster.kubectl("delete", "crd", CRD)


@pytest.mark.parametrize("option", ["--take-ownership", "--set=crds.install=false"])
@pytest.mark.parametrize("by", ["kubectl", "earlier"])
def test_a_crd_of_another_origin_needs_the_word_that_the_documents_name(release, kept_crd, by, option):
    kept_crd(by)
    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        release.install()
    release.install(option)
    assert "deployment.apps/peft-fsdp-operator" in installed(release)


def test_a_crd_that_helm_installed_is_upgraded_by_kubectl_with_force(release):
    release.install()
    newer = CRD_FILE.read_text().replace("The base model.", "The base model of a later version.")
    with pytest.raises(ClusterError, match="conflict"):
        release.cluster.kubectl("apply", "--server-side", "-f", "-", input=newer)
    release.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=newer)
    assert "of a later version" in release.cluster.kubectl("get", "crd", CRD, "-o=yaml")
    release.helm("uninstall", RELEASE, "--wait")


def test_every_option_is_accepted_by_the_api_server(release):
    for name in ("team-a", "team-b"):
        release.namespace(name)
    options = "watchNamespaces={team-a,team-b},replicas=2,networkPolicy.enabled=true,dashboard.enabled=true"
    release.install("--set", options, "--set", "networkPolicy.jobNamespaces={team-a}")
    names = installed(release)
    assert "networkpolicy.networking.k8s.io/peft-fsdp-operator-jobs" in names
    assert "poddisruptionbudget.policy/peft-fsdp-operator" in names
    assert [may_create_pods(release, name) for name in ("team-a", "team-b", "default")] == [True, True, False]
    assert "clusterrole.rbac.authorization.k8s.io/peft-fsdp-operator" not in names
    release.helm("uninstall", "peft-fsdp-operator", "--wait")


def test_install_yaml_applies_as_it_is(release):
    path = str(REPOSITORY / "manifests" / "install.yaml")
    release.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", path)
    assert has_pod(release)
    release.cluster.kubectl("delete", "--wait=false", "-f", path)
