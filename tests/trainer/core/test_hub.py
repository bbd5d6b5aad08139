"""Pushing to the Hub, against a stand-in on loopback, by the real client in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peft_fsdp_api.reasons import Reason
from tests.bench.attempts import RANK_FROM_SCRATCH
from tests.bench.tiny_job import make_tiny_job
from tests.trainer.core.conftest import Run
from tests.trainer.core.hub_stand_in import commits, everything, hub_stand_in, on_the_hub

pytestmark = pytest.mark.slow

PUSH = """
import sys
from pathlib import Path
from peft_fsdp_api.spec import PushToHubSpec
from peft_fsdp_trainer.errors import HubPushFailed
from peft_fsdp_trainer.hub import HubRepository
try:
    repository = HubRepository(PushToHubSpec(repo=sys.argv[2]))
    repository.prepare()
    repository.push_beside(Path(sys.argv[1]), "Step 1")
    repository.wait()
    print("whole id:", repository.push(Path(sys.argv[1]), "Adapter"))
except HubPushFailed as error:
    print(error.reason, error.message, error.hint)
    sys.exit(7)
"""


def _push(folder: Path, address: str, repo: str = "me/adapter") -> subprocess.CompletedProcess[str]:
    environment = os.environ | on_the_hub(address, folder.parent)
    command = [sys.executable, "-c", PUSH, str(folder), repo]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def _adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n# tiny\n")
    return folder


def test_the_adapter_arrives_in_a_private_repository(tmp_path):
    with hub_stand_in() as hub:
        done = _push(_adapter(tmp_path), hub.address)
    assert done.returncode == 0, done.stderr
    assert hub.files["adapter_config.json"] == b'{"r": 8}'
    assert {(made["name"], made["visibility"]) for made in hub.repositories} == {("adapter", "private")}
    assert "Bearer hf_secret" in hub.tokens


def test_a_name_without_a_namespace_is_a_repository_of_the_tokens_owner(tmp_path):
    folder = _adapter(tmp_path)
    with hub_stand_in() as hub:
        first, second = (_push(folder, hub.address, "adapter") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout == "whole id: me/adapter\n"
    assert set(hub.files) == {"adapter_config.json", "README.md"}
    assert [(made["name"], made["organization"]) for made in hub.repositories] == [("adapter", None)] * 2


def test_a_token_without_write_access_is_told_before_anything_is_trained(tmp_path):
    with hub_stand_in(everything) as hub:
        done = _push(_adapter(tmp_path), hub.address)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("HubPushFailed the Hub does not let this token push to me/adapter: 403")
    assert "hub.tokenSecret" in done.stdout
    assert "hf_secret" not in done.stdout


def test_a_refused_push_is_a_reason_of_its_own_and_keeps_the_adapter(tmp_path):
    folder = _adapter(tmp_path)
    with hub_stand_in(commits) as hub:
        done = _push(folder, hub.address)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("HubPushFailed the Hub did not take the adapter into me/adapter"), "the last one"
    assert "the training goes on" in done.stderr, "that of a checkpoint"
    assert "hf_secret" not in done.stdout
    assert (folder / "adapter_config.json").exists()


def test_a_hub_that_does_not_answer_is_a_failed_push(tmp_path):
    done = _push(_adapter(tmp_path), "http://127.0.0.1:9")
    assert done.returncode == 7, done.stderr
    assert "me/adapter" in done.stdout


def test_no_step_waits_for_the_hub(inputs: Path, tmp_path: Path, run: Run) -> None:
    push = {"hub": {"tokenSecret": "hub"}, "output": {"pushToHub": {"repo": "me/adapter", "when": "checkpoint"}}}
    job = make_tiny_job(tmp_path / "job", inputs, **push)
    with hub_stand_in() as hub:
        hub.takes_commits.clear()
        attempt = run(job, ranks=1, program=RANK_FROM_SCRATCH, environment=on_the_hub(hub.address, tmp_path))
        attempt.wait_for("step-00000030 is complete")
        hub.takes_commits.set()
        outcome = attempt.finish()
    assert outcome.reason is Reason.SUCCEEDED
    assert "the Hub still takes an earlier checkpoint: the adapter of Step 4 is not pushed" in attempt.output
    assert hub.messages[0] == "Step 2"
    assert hub.messages[-1] == "Adapter of tiny"
