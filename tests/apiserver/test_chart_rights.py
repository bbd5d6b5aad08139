"""The operator under the chart's own ServiceAccount: what it may do is what it needs, no more and no less."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dev.chart.helm import NAMESPACE
from peft_fsdp_api.names import API_VERSION, KIND
from tests.apiserver.audit import asked_by
from tests.apiserver.chart_release import Release, chart_cluster, granted
from tests.apiserver.gang import bind, get, make_node, set_running, set_succeeded, wait_for

pytestmark = pytest.mark.apiserver

ACCOUNT = "peft-fsdp-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
JOB = "gang"
PORT = 18093
NODES = DOOMED, SOUND = "node-that-goes", "node-that-stays"

# Rights that the life of this test's job does not exercise, and what they are for.
SPARED = {
    ("", "pods", "get"): "a pod's name is taken: whose is it? (children)",
    ("", "services", "get"): "the Service's name is taken: whose is it? (children)",
    ("", "configmaps", "get"): "the ConfigMap's name is taken: whose is it? (children)",
    ("training.peft-fsdp.io", "peftfsdpjobs", "get"): "the job changed while its status was written (reconcile)",
}


def job() -> str:
    spec = {
        "model": {"source": "/demo/base-model"},
        "dataset": {"source": "/demo/data"},
        "output": {"claim": "models"},
        "workers": {"nodes": 2, "gpusPerNode": 0},
        "ttlAfterFinished": "1s",
    }
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": JOB}, "spec": spec})


def claim() -> str:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}
    return json.dumps(manifest)


@contextmanager
def running_operator(release: Release, folder: Path, *arguments: str):
    """The operator as a process, logged in as the chart's ServiceAccount; its token is in no line of its log."""
    token = release.cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE).strip()
    config = yaml.safe_load(release.cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    flags = [
        "--trainer-image=registry.example.com/trainer:1",
        f"--metrics-port={PORT}",
        "--log-level=debug",
        *arguments,
    ]
    command = [str(Path(sys.executable).with_name("peft-fsdp-operator")), "run", *flags]
    with (folder / "operator.log").open("wb") as log:
        environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield
    finally:
        process.terminate()
        ended, said = process.wait(timeout=30), (folder / "operator.log").read_text()
        assert ended in (0, -15), said[-3000:]
        assert token not in said


def live_through(release: Release, namespace: str, sees_nodes: bool) -> None:
    """A job from its creation over a lost pod to its end and its removal, with every child disturbed once.

    An operator that sees nodes loses the pod with its node, on which no kubelet lets it go; one that does not loses a
    pod that was never placed.
    """
    cluster = release.cluster
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=claim())
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=job())
    wait_for("the first gang", lambda: len(get(cluster, namespace, "pods").get("items", [])) == 2)
    for worker in (0, 1):
        if sees_nodes:
            bind(cluster, namespace, f"{JOB}-1-{worker}", DOOMED)
        set_running(cluster, namespace, f"{JOB}-1-{worker}")
    wait_for("phase Running", lambda: phase(release, namespace) == "Running")
    disturb_children(release, namespace)
    if sees_nodes:
        cluster.kubectl("delete", "node", DOOMED)
    else:
        cluster.kubectl("delete", "-n", namespace, f"pod/{JOB}-1-0", "--wait=false")
    wait_for("the second gang", lambda: get(cluster, namespace, f"pod/{JOB}-2-0", f"pod/{JOB}-2-1").get("items"))
    bind(cluster, namespace, f"{JOB}-2-0", SOUND)
    wait_for("a look at the events of a pod that waits without a word", lambda: has_read_events(release, namespace))
    for worker in (0, 1):
        set_succeeded(cluster, namespace, f"{JOB}-2-{worker}")
    wait_for("phase Succeeded", lambda: phase(release, namespace) == "Succeeded")
    wait_for("the end of the Service", lambda: not get(cluster, namespace, f"service/{JOB}"))


def has_read_events(release: Release, namespace: str) -> bool:
    asked = asked_by(USER, release.cluster.audit_log)
    return any((one.verb, one.resource) == ("list", "events") and f"/{namespace}/" in one.path for one in asked)


def disturb_children(release: Release, namespace: str) -> None:
    """Somebody edits Service and ConfigMap; the operator puts them right."""
    service, config = f"service/{JOB}", f"configmap/{JOB}"
    edit = ("patch", "-n", namespace, "--type=merge")
    release.cluster.kubectl(*edit, service, '--patch={"spec":{"publishNotReadyAddresses":false}}')
    release.cluster.kubectl(*edit, config, '--patch={"data":{"config.json":"{}"}}')
    wait_for(
        "the Service as before", lambda: get(release.cluster, namespace, service)["spec"]["publishNotReadyAddresses"]
    )
    wait_for("the ConfigMap as before", lambda: get(release.cluster, namespace, config)["data"]["config.json"] != "{}")


def phase(release: Release, namespace: str) -> str | None:
    return get(release.cluster, namespace, f"pfj/{JOB}").get("status", {}).get("phase")


def events(release: Release, namespace: str) -> set[str]:
    """Reasons of the events about the job."""
    items = get(release.cluster, namespace, "events")["items"]
    return {event["reason"] for event in items if event["involvedObject"]["kind"] == KIND}


@pytest.fixture(scope="module")
def release():
    with chart_cluster("chart-rights-tests") as release:
        yield release


@pytest.fixture
def nodes(release):
    for name in NODES:
        make_node(release.cluster, name)
    yield
    release.cluster.kubectl("delete", "node", *NODES, "--ignore-not-found")


@pytest.mark.parametrize(
    ("values", "arguments", "refused"),
    [
        ([], [], []),
        (["--set", "watchNamespaces={team-a}"], ["--namespace=team-a"], [("list", "nodes")]),
    ],
    ids=["cluster-wide", "in one namespace"],
)
def test_nothing_is_refused_and_nothing_is_granted_for_nothing(release, nodes, tmp_path, values, arguments, refused):
    before = len(list(asked_by(USER, release.cluster.audit_log)))
    namespace = release.namespace("team-a" if arguments else "anywhere")
    release.install(*values)
    release.cluster.kubectl("delete", "lease", "-n", NAMESPACE, "--all")
    with running_operator(release, tmp_path, *arguments):
        live_through(release, namespace, sees_nodes=not refused)
    asked = list(asked_by(USER, release.cluster.audit_log))[before:]
    # An operator that is confined to namespaces looks once whether it may read nodes, and says what follows.
    assert [(one.verb, one.resource) for one in asked if one.code in (401, 403)] == refused
    assert ("no right to read nodes" in (tmp_path / "operator.log").read_text()) == bool(refused)
    used = {(one.group, one.resource, one.verb) for one in asked if one.resource and one.code not in (401, 403)}
    assert set(SPARED) <= granted(*values) <= used | set(SPARED)  # a conflict or a second try may use a spared one
    assert {"AttemptStarted", "Succeeded"} <= events(release, namespace)
