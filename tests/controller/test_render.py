"""The objects that stand for a job, as the API server would get them."""

import pytest

from peft_fsdp_api import names
from peft_fsdp_operator.drift import holds
from peft_fsdp_operator.render import render_configmap, render_pods, render_service
from tests.controller.builders import job


def first_pod(**spec):
    return render_pods(job(**spec), 3, [1], "image:1")[0]


def env(pod):
    return {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}


def test_the_rendezvous_environment():
    found = env(first_pod(nodes=4, gpus=8))
    assert found["MASTER_ADDR"] == "tune-3-0.tune"
    assert (found["NNODES"], found["NODE_RANK"], found["NPROC_PER_NODE"], found["WORLD_SIZE"]) == ("4", "1", "8", "32")
    assert found["PEFT_FSDP_ATTEMPT"] == "3"
    assert found["HF_HOME"].startswith(names.CACHE_MOUNT)


def test_access_to_the_hub():
    pod = first_pod(hub={"tokenSecret": "hf", "endpoint": "https://mirror"})
    found = {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}
    assert found["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "hf", "key": "token"}
    assert found["HF_ENDPOINT"]["value"] == "https://mirror"
    offline = first_pod(hub={"offline": True}, cache={"claim": "c"})
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in offline["spec"]["containers"][0]["env"]


def test_names_and_owner():
    pod = first_pod()
    assert pod["metadata"]["name"] == pod["spec"]["hostname"] == "tune-3-1"
    assert pod["spec"]["subdomain"] == render_service(job())["metadata"]["name"] == "tune"
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("u1", True)


def test_the_service_publishes_worker_0_of_this_job_alone():
    service = render_service(job())
    labels = [pod["metadata"]["labels"] for pod in render_pods(job(nodes=3), 2, range(3), "image:1")]
    assert [holds(one, service["spec"]["selector"]) for one in labels] == [True, False, False]
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_gpus_are_asked_for_and_their_taint_is_tolerated():
    pod = first_pod(workers={"gpuResource": "example.com/gpu", "resources": {"requests": {"cpu": 8}}})
    resources = pod["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": 8, "example.com/gpu": 8}, "limits": {"example.com/gpu": 8}}
    assert {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["spec"]["tolerations"]


def test_a_cpu_job_asks_for_no_gpu():
    pod = first_pod(gpus=0)
    assert pod["spec"]["containers"][0]["resources"] == {"requests": {}, "limits": {}}
    assert {one["effect"] for one in pod["spec"]["tolerations"]} == {"NoExecute"}


@pytest.mark.parametrize(("timeout", "seconds"), [("5m", 360), ("1h", 3660), ("0s", None)])
def test_a_pod_stays_on_a_silent_node_for_as_long_as_the_job_says(timeout, seconds):
    tolerations = {one["key"]: one for one in first_pod(gpus=0, nodeLostTimeout=timeout)["spec"]["tolerations"]}
    assert set(tolerations) == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert {one.get("tolerationSeconds") for one in tolerations.values()} == {seconds}


def test_the_users_own_patience_with_a_node_comes_first():
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    tolerations = first_pod(workers={"tolerations": [own]})["spec"]["tolerations"]
    assert [one for one in tolerations if one["key"] == own["key"]] == [own]


@pytest.mark.parametrize(
    ("gpus", "given", "size"), [(8, {}, "16Gi"), (0, {}, "1Gi"), (8, {"sharedMemory": "2Gi"}, "2Gi")]
)
def test_shared_memory_is_sized(gpus, given, size):
    volumes = {volume["name"]: volume for volume in first_pod(gpus=gpus, workers=given)["spec"]["volumes"]}
    assert volumes["peft-fsdp-shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": size}


def test_every_mount_has_its_volume_and_writable_folders_are_volumes():
    spec = first_pod(cache={"claim": "hub-cache"})["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in spec["volumes"]}
    assert set(mounts) == {"/output", "/cache", "/scratch", "/tmp", "/dev/shm", names.CONFIG_DIRECTORY}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_placement_spreads_over_nodes_and_keeps_to_one_block():
    affinity = first_pod(workers={"topologyKey": "rack"})["spec"]["affinity"]
    keys = [
        term["podAffinityTerm"]["topologyKey"]
        for kind in ("podAntiAffinity", "podAffinity")
        for term in affinity[kind]["preferredDuringSchedulingIgnoredDuringExecution"]
    ]
    assert keys == ["kubernetes.io/hostname", "rack"]


def test_the_users_own_pod_settings_are_passed_on():
    metadata = {"labels": {"queue": "a"}, "annotations": {"note": "b"}}
    pod = first_pod(workers={"podMetadata": metadata, "image": "mine:2", "env": [{"name": "X", "value": "1"}]})
    assert pod["metadata"]["labels"]["queue"] == "a"
    assert pod["metadata"]["annotations"]["note"] == "b"
    assert (pod["spec"]["containers"][0]["image"], env(pod)["X"]) == ("mine:2", "1")


def test_the_config_is_the_same_for_every_attempt():
    assert names.CONFIG_FILE in render_configmap(job())["data"]
    assert render_configmap(job()) == render_configmap(job())


@pytest.mark.parametrize(
    ("live", "wanted", "result"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ({"p": [{"port": 1, "targetPort": 1}]}, {"p": [{"port": 1}]}, True),
        ({"p": [{"port": 1}, {"port": 2}]}, {"p": [{"port": 1}]}, False),
    ],
)
def test_drift(live, wanted, result):
    assert holds(live, wanted) is result
