"""Which cluster the demo takes, and takes down, from the environment."""

from pathlib import Path

import pytest

from dev.demo import __main__ as program
from dev.demo.target import DemoError
from dev.demo.yours import Yours, named_cluster

BOTH = {"KUBECONFIG": "/home/me/config", "IMAGE_REGISTRY": "registry.example.com/me"}


def test_both_variables_name_a_cluster_of_yours():
    assert named_cluster(BOTH) == Yours(Path("/home/me/config"), "registry.example.com/me")


@pytest.mark.parametrize("environment", [{}, {"KUBECONFIG": "", "IMAGE_REGISTRY": ""}])
def test_neither_means_the_one_machine_cluster(environment):
    assert named_cluster(environment) is None


@pytest.mark.parametrize(("given", "missing"), [("KUBECONFIG", "IMAGE_REGISTRY"), ("IMAGE_REGISTRY", "KUBECONFIG")])
def test_one_alone_is_an_error_that_names_the_other(given, missing):
    with pytest.raises(DemoError, match=f"{missing} is not set"):
        named_cluster({given: BOTH[given]})


def test_a_kubeconfig_alone_takes_nothing_down(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["dev.demo", "down"])
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.delenv("IMAGE_REGISTRY", raising=False)
    monkeypatch.setattr(program, "silence_known_noise", lambda: None)  # it would be silent for all tests after this
    monkeypatch.setattr(program, "down", pytest.fail)
    monkeypatch.setattr(program, "remove", pytest.fail)
    assert program.main() == 1
    assert "IMAGE_REGISTRY is not set" in capsys.readouterr().err
