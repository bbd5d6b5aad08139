"""Where an instance lies, what a build depends on, and which mounts `down` takes away."""

from pathlib import Path

import pytest

from dev.cluster.build import content_key
from dev.cluster.cleanup import mount_points
from dev.cluster.errors import ClusterError
from dev.cluster.fake_nodes import fake_node
from dev.cluster.layout import Layout
from dev.cluster.versions import Component, components, required_version


@pytest.mark.parametrize("name", ["", "../etc", "Main", "a" * 33, "-a"])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="--name"):
        Layout(name)


def test_the_version_stamp_comes_from_go_mod() -> None:
    version = required_version("k8s.io/kubernetes")
    assert f"gitVersion={version} " in components()["kubernetes"].linker_flags


def test_another_version_is_another_build() -> None:
    one, two = (Component("tool", f"example.org/tool@v{number}") for number in (1, 2))
    assert content_key(one) != content_key(two)


def test_only_mounts_below_the_given_folders_are_ours() -> None:
    mounts = "a /state/x/y tmpfs rw 0 0\nb /statement tmpfs rw 0 0\nc /state/with\\040space tmpfs rw 0 0\n"
    assert mount_points(mounts, ("/state/",)) == ["/state/x/y", "/state/with space"]


def test_fake_nodes_are_tainted_beside_a_real_one() -> None:
    assert fake_node(0, gpus=8, tainted=True)["spec"] != {}
    assert fake_node(0, gpus=8, tainted=False)["spec"] == {}


def test_fake_nodes_offer_the_gpus_asked_for() -> None:
    status = fake_node(0, gpus=8, tainted=False)["status"]
    assert isinstance(status, dict)
    assert status["allocatable"]["nvidia.com/gpu"] == "8"


def test_state_and_cache_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEFT_FSDP_STATE", str(tmp_path))
    assert Layout("one").kubeconfig == tmp_path / "one" / "kubeconfig"
