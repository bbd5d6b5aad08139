"""What the demo refuses to install beside, and what `make demo-down` leaves, from objects as kubectl shows them."""

import pytest

from dev.demo.ownership import DEMO_NAMESPACE, LABEL, RELEASE, SYSTEM_NAMESPACE, obstacles, reasons_to_keep


def crd(release=None, namespace=None):
    noted = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace} if release else {}
    return {"metadata": {"name": "peftfsdpjobs.training.peft-fsdp.io", "annotations": noted}}


def namespace(name, **labels):
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def job(where, name="tune"):
    return {"metadata": {"namespace": where, "name": name}}


OURS = crd(RELEASE, SYSTEM_NAMESPACE)
THEIRS = crd("peft-fsdp-operator", "peft-fsdp-system")
OUR_NAMESPACES = [namespace(SYSTEM_NAMESPACE, **LABEL), namespace(DEMO_NAMESPACE, **LABEL)]


@pytest.mark.parametrize(
    ("found", "namespaces"), [({}, [{}, {}]), (OURS, [{}, {}]), (OURS, OUR_NAMESPACES)], ids=["empty", "left", "again"]
)
def test_an_empty_cluster_and_the_demos_own_things_are_no_obstacle(found, namespaces):
    assert obstacles(found, namespaces, []) == []


@pytest.mark.parametrize(
    ("found", "namespaces", "releases", "words"),
    [
        (THEIRS, [{}, {}], [], "installed by the Helm release peft-fsdp-system/peft-fsdp-operator"),
        (crd(), [{}, {}], [], "installed without Helm"),
        # The demo's name in somebody's namespace is somebody's.
        (crd(RELEASE, "team"), [{}, {}], [], f"installed by the Helm release team/{RELEASE}"),
        ({}, [{}, {}], ["team/mine"], "the Helm release team/mine is installed"),
        (OURS, [namespace(SYSTEM_NAMESPACE), {}], [], f"the namespace {SYSTEM_NAMESPACE} is there"),
        (OURS, [{}, namespace(DEMO_NAMESPACE, team="ml")], [], f"the namespace {DEMO_NAMESPACE} is there"),
    ],
)
def test_what_the_demo_did_not_make_is_named(found, namespaces, releases, words):
    (line,) = obstacles(found, namespaces, releases)
    assert words in line


def test_the_crd_goes_with_the_last_of_the_demos_jobs():
    assert reasons_to_keep(OURS, [job(DEMO_NAMESPACE)], []) == []


@pytest.mark.parametrize(
    ("found", "jobs", "releases", "words"),
    [
        (THEIRS, [], [], "it is installed by the Helm release peft-fsdp-system/peft-fsdp-operator"),
        (crd(), [], [], "it is installed without Helm"),
        (OURS, [], ["team/mine"], "the Helm release team/mine uses it"),
        (OURS, [job(DEMO_NAMESPACE), job("team", "a")], [], "did not make: team/a"),
        (OURS, [job("team", name) for name in "abcde"], [], "team/a, team/b, team/c and 2 more"),
    ],
)
def test_the_crd_of_others_and_one_with_jobs_of_others_stays(found, jobs, releases, words):
    (line,) = reasons_to_keep(found, jobs, releases)
    assert line.endswith(words)
