"""What the operator's pods may do to their node, and when they count as ready."""

from argparse import ArgumentParser

import pytest
import yaml

from dev.chart.helm import CHART, HelmError, run_helm, template
from peft_fsdp_api import __version__
from peft_fsdp_operator.settings import LEASE_NAME, add_flags, read_settings
from tests.chart.conftest import IMAGES

pytestmark = pytest.mark.slow


def test_the_pod_meets_the_restricted_level_and_cannot_write_its_root(render):
    pod = render().one("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_probes_and_metrics_share_one_port(render):
    container = render("metrics.port=9999").container
    assert container["ports"] == [{"name": "metrics", "containerPort": 9999}]
    assert "--metrics-port=9999" in container["args"]
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {get["port"] for get in paths.values()} == {"metrics"}
    assert paths["readinessProbe"]["path"] == "/readyz"


def test_the_operator_understands_what_the_chart_tells_it(render):
    subcommand, *flags = render("watchNamespaces={a,b}", "logLevel=debug", "metrics.port=9000").container["args"]
    add_flags(parser := ArgumentParser())
    settings = read_settings(parser.parse_args(flags), {})
    assert (subcommand, settings.namespaces, settings.election) == ("run", ("a", "b"), True)
    assert (settings.log_format, settings.log_level, settings.metrics_port) == ("json", "DEBUG", 9000)
    assert (settings.trainer_image, settings.lease_name) == ("registry.example.com/trainer:1", LEASE_NAME)


@pytest.mark.parametrize(
    ("release", "lease"), [("peft-fsdp-operator", LEASE_NAME), ("team-a", "team-a-peft-fsdp-operator")]
)
def test_a_release_has_a_lease_of_its_own_and_may_write_no_other(release, lease):
    """Or of two releases in one namespace one would stand by for ever, without an alert."""
    text = run_helm("template", release, str(CHART), "--kube-version=1.37.2", *IMAGES)
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}
    (container,) = objects["Deployment", lease]["spec"]["template"]["spec"]["containers"]
    assert f"--lease-name={lease}" in container["args"]
    named = [rule["resourceNames"] for rule in objects["Role", f"{lease}-lease"]["rules"] if "resourceNames" in rule]
    assert named == [[lease]]


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain(render):
    assert "PodDisruptionBudget" not in render().kinds()


def test_two_replicas_prefer_two_nodes_and_are_drained_one_by_one(render):
    rendered = render("replicas=2")
    affinity = rendered.one("Deployment")["spec"]["template"]["spec"]["affinity"]
    assert "preferredDuringSchedulingIgnoredDuringExecution" in affinity["podAntiAffinity"]
    assert rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_own_affinity_replaces_ours(render):
    rendered = render("replicas=2", "affinity.nodeAffinity.x=y")
    assert set(rendered.one("Deployment")["spec"]["template"]["spec"]["affinity"]) == {"nodeAffinity"}


def test_pods_of_the_operator_are_selected_by_every_selector(render):
    rendered = render("replicas=2", "networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true")
    labels = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        rendered.one("Deployment")["spec"]["selector"]["matchLabels"],
        rendered.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        rendered.one("Service")["spec"]["selector"],
    ]
    assert all(selector.items() <= labels for selector in selectors)


def test_the_service_monitor_is_off_until_asked_for(render):
    assert "ServiceMonitor" not in render().kinds()
    monitor = render("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.team=ml").one(
        "ServiceMonitor"
    )
    assert monitor["metadata"]["labels"]["team"] == "ml"


def test_a_new_trainer_image_changes_only_the_deployment(render):
    before, after = render(), render("trainerImage=registry.example.com/trainer:2")
    changed = [new["kind"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["Deployment"]


def test_the_crd_survives_an_uninstall_unless_told_otherwise(render):
    assert render().one("CustomResourceDefinition")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in render("crds.keep=false").one("CustomResourceDefinition")["metadata"]
    assert "CustomResourceDefinition" not in render("crds.install=false").kinds()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("trainerImage=t", "image.reference: name the operator's image"),
        ("image.reference=o", "trainerImage: name the trainer's image"),
        ("image.reference=o,trainerImage=t,serviceAccount.create=false", "serviceAccount.name: name the account"),
    ],
)
def test_what_must_be_given_is_asked_for_in_a_sentence(render, values, sentence):
    with pytest.raises(HelmError, match=sentence):
        template("--set", values)


def test_helm_lint_has_nothing_to_say(render):
    values = "image.reference=o,trainerImage=t"
    assert "0 chart(s) failed" in run_helm("lint", "--strict", "--kube-version=1.37.2", str(CHART), "--set", values)


def test_chart_application_and_package_have_one_version():
    chart = (CHART / "Chart.yaml").read_text()
    assert f"\nversion: {__version__}\nappVersion: {__version__}\n" in chart
