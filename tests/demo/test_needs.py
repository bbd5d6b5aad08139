"""What `make demo` says of a machine on which it cannot work, before it installs anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from dev.cluster import preflight
from dev.demo import needs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """Nothing is built, no Go, not root."""
    monkeypatch.setenv("PEFT_FSDP_CACHE", str(tmp_path))
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(preflight.shutil, "which", lambda name: None if name == "go" else f"/usr/bin/{name}")


def test_all_that_is_missing_is_told_at_once(bare_machine):
    told = "\n".join(needs.missing({}))
    assert "root is needed" in told
    assert "Go 1." in told


def test_go_is_not_asked_for_where_all_is_built(bare_machine, monkeypatch):
    monkeypatch.setattr(needs, "is_built", lambda component: True)
    assert "Go 1." not in "\n".join(needs.missing({}))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"KUBECONFIG": "/c"}, "IMAGE_REGISTRY is not set"),
        ({"KUBECONFIG": "/c", "IMAGE_REGISTRY": "r"}, "kubectl is neither built nor on PATH"),
    ],
)
def test_what_a_cluster_of_yours_needs_is_told_too(bare_machine, monkeypatch, environment, words):
    monkeypatch.setattr(preflight.shutil, "which", lambda name: None)
    told = "\n".join(needs.missing(environment))
    assert words in told
    assert "root is needed" in told


def test_the_standard_library_is_enough():
    """-S: without what `make install` installs; -E: without the environment that may point to it."""
    program = "import dev.demo.needs as needs; needs.missing({})"
    done = subprocess.run([sys.executable, "-S", "-E", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_asks_before_it_installs():
    """make tells what it would run, in order; the environment of this checkout is taken for missing."""
    command = ["make", "--dry-run", "demo", "VENV=/nowhere"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.index("dev.demo.needs") < said.index("-m venv") < said.index("dev.demo up")
