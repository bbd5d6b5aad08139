"""The demo from nothing to an answer: each function is one thing a person would do by hand."""

import json
from pathlib import Path

from dev.demo.inputs import CLAIM, write_inputs
from dev.demo.ownership import LABEL, RELEASE, SYSTEM_NAMESPACE
from dev.demo.storage import claim_manifest, delete_pod, fill_claim, pod_manifest
from dev.demo.target import Access, DemoError, Target
from dev.demo.watch import follow

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "peft-fsdp-operator"
EXAMPLE = ROOT / "manifests" / "examples" / "cpu-demo.yaml"
OUTPUT_CLAIM = "demo-output"
JOB = "cpu-demo"
ASKER = "demo-ask"
QUESTION = "When was the lighthouse built?"
MINUTES = 15


def install_chart(target: Target, *extra: str) -> None:
    """`helm upgrade --install` of the operator with the images of the target.

    Raises DemoError with what helm said, and with what the cluster says of the operator's pods: helm only knows that
    they are not ready.
    """
    create_namespace(target, SYSTEM_NAMESPACE)
    try:
        target.run_helm(
            "upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM_NAMESPACE,
            "--set-string", f"image.reference={target.operator_image}",
            "--set-string", f"trainerImage={target.trainer_image}",
            "--wait", "--timeout", "5m", *extra,
        )  # fmt: skip
    except DemoError as error:
        pods = target.run("-n", SYSTEM_NAMESPACE, "get", "pods", check=False)
        events = target.run("-n", SYSTEM_NAMESPACE, "events", "--types=Warning", check=False)
        raise DemoError(f"{error}\n{pods}{events}") from error


def uninstall_chart(target: Access) -> None:
    """Remove what Helm installed; by the chart's keep policy the CRD and the jobs stay."""
    target.run_helm("uninstall", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found", "--wait")


def create_namespace(target: Target, name: str) -> None:
    """A namespace that enforces the restricted pod security level, marked as the demo's."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", **LABEL}
    target.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))


def prepare_claims(target: Target, namespace: str, scratch: Path) -> None:
    """The claims of the example, with base model and dataset in the one it reads."""
    for name in (CLAIM, OUTPUT_CLAIM):
        target.run("apply", "-n", namespace, "-f", "-", input=claim_manifest(name, target.access_mode))
    fill_claim(target, namespace, CLAIM, write_inputs(scratch))


def train(target: Target, namespace: str) -> None:
    """Apply the example and follow it to its end. Raises DemoError unless it succeeds."""
    target.run("apply", "-n", namespace, "-f", str(EXAMPLE))
    status = follow(target, namespace, JOB, MINUTES * 60)["status"]
    if status["phase"] != "Succeeded":
        raise DemoError(f"the job failed: {json.dumps(status.get('lastFailure'), indent=2)}")


def ask(target: Target, namespace: str) -> str:
    """The answers before and after fine-tuning, from a pod that loads the adapter beside the base model.

    Raises DemoError with what the pod printed where it gave none.
    """
    command = ["peft-fsdp", "ask", "/demo/base-model", f"/output/{JOB}/adapter", QUESTION]
    pod = pod_manifest(ASKER, target.trainer_image, command, {CLAIM: "/demo", OUTPUT_CLAIM: "/output"})
    delete_pod(target, namespace, ASKER)
    target.run("apply", "-n", namespace, "-f", "-", input=pod)
    target.wait_for("the answer", lambda cluster: _phase(cluster, namespace) in ("Succeeded", "Failed"), timeout=300)
    said = target.run("logs", "-n", namespace, ASKER)
    if _phase(target, namespace) != "Succeeded":
        raise DemoError(f"the job succeeded, but the pod that asks its adapter failed:\n{said}")
    return said


def _phase(cluster: Access, namespace: str) -> str:
    return str(cluster.get("-n", namespace, "pod", ASKER).get("status", {}).get("phase", ""))
