"""What the chart allows the operator and its network."""

from itertools import chain, product

import pytest

from peft_fsdp_api import names
from peft_fsdp_operator.cluster import RIGHTS

pytestmark = pytest.mark.slow


def rules_of(rendered):
    roles = rendered.of("ClusterRole") + rendered.of("Role")
    return list(chain.from_iterable(role["rules"] for role in roles))


def test_the_operator_gets_what_its_code_declares_and_no_more(render):
    granted: dict[tuple[str, str], set[str]] = {}
    for role in render().of("ClusterRole")[:1] + render().of("Role"):
        for rule in role["rules"]:
            for target in product(rule["apiGroups"], rule["resources"]):
                granted.setdefault(target, set()).update(rule["verbs"])
    assert granted == RIGHTS


def test_cluster_wide_by_default(render):
    rendered = render()
    assert {role["metadata"]["name"] for role in rendered.of("ClusterRole")} >= {"peft-fsdp-operator"}
    assert [role["metadata"]["name"] for role in rendered.of("Role")] == ["peft-fsdp-operator-lease"]
    assert not [argument for argument in rendered.container["args"] if argument.startswith("--namespace")]


def test_watched_namespaces_get_roles_and_nothing_is_cluster_scoped(render):
    rendered = render("watchNamespaces={team-a,team-b}")
    assert not rendered.kinds() & {"ClusterRole", "ClusterRoleBinding"}
    where = {(role["metadata"]["namespace"], role["metadata"]["name"]) for role in rendered.of("Role")}
    assert {("team-a", "peft-fsdp-operator"), ("team-b", "peft-fsdp-operator")} < where
    assert rendered.container["args"][-2:] == ["--namespace=team-a", "--namespace=team-b"]


def test_both_scopes_give_the_same_rights_in_a_namespace(render):
    (role,) = [r for r in render("watchNamespaces={a}").of("Role") if r["metadata"]["namespace"] == "a"]
    (cluster_role,) = [r for r in render().of("ClusterRole") if r["metadata"]["name"] == "peft-fsdp-operator"]
    assert [rule for rule in cluster_role["rules"] if rule not in role["rules"]] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}
    ]


@pytest.mark.parametrize("values", [[], ["watchNamespaces={a}"]])
def test_no_wildcards_no_secrets_no_way_to_more_rights(render, values):
    rules = rules_of(render(*values))
    words = set(chain.from_iterable(rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules))
    assert not words & {"*", "secrets", "pods/exec", "escalate", "bind", "impersonate", "serviceaccounts/token"}


def test_the_lease_is_the_only_right_in_the_release_namespace(render):
    (role,) = [r for r in render("watchNamespaces={a}").of("Role") if r["metadata"]["namespace"] == "peft-fsdp-system"]
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"leases"}


def test_every_binding_leads_to_a_role_and_to_the_operator(render):
    for rendered in (render(), render("watchNamespaces={a}")):
        roles = {(role["kind"], role["metadata"]["name"]) for role in rendered.of("Role") + rendered.of("ClusterRole")}
        for binding in rendered.of("RoleBinding") + rendered.of("ClusterRoleBinding"):
            assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
            account = {"kind": "ServiceAccount", "name": "peft-fsdp-operator", "namespace": "peft-fsdp-system"}
            assert binding["subjects"] == [account]


def test_users_with_the_edit_role_may_write_jobs_but_not_their_status(render):
    (role,) = [r for r in render().of("ClusterRole") if r["metadata"]["name"].endswith("-edit")]
    assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert [rule["resources"] for rule in role["rules"]] == [[names.PLURAL]]


def test_network_policies_are_off_until_asked_for(render):
    assert "NetworkPolicy" not in render().kinds()


def test_the_operator_may_talk_to_dns_the_api_server_and_launchers_only(render):
    policy = render("networkPolicy.enabled=true", "networkPolicy.apiServerPorts={6443}").one("NetworkPolicy")["spec"]
    dns, server, launchers = policy["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert server["ports"] == [{"port": 6443}]
    assert launchers["ports"] == [{"port": names.LAUNCHER_PORT}]
    assert launchers["to"][0]["podSelector"]["matchExpressions"] == [{"key": names.LABEL_JOB, "operator": "Exists"}]


def test_job_pods_talk_on_any_port_and_show_only_progress_to_others(render):
    policies = render("networkPolicy.jobNamespaces={a,b}", "networkPolicy.monitoringNamespaces={prometheus}")
    assert [policy["metadata"]["namespace"] for policy in policies.of("NetworkPolicy")] == ["a", "b"]
    ranks, readers = policies.of("NetworkPolicy")[0]["spec"]["ingress"]
    assert "ports" not in ranks
    assert "namespaceSelector" not in ranks["from"][0]
    assert readers["ports"] == [{"port": names.LAUNCHER_PORT}]
    (expression,) = readers["from"][0]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["peft-fsdp-system", "prometheus"]
