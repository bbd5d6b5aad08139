"""The demo fails where one of its pods fails, and begins anew where an earlier one was interrupted."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dev.demo.storage import LOADER, claim_manifest, fill_claim
from dev.demo.target import DemoError, Target
from dev.demo.walk import ASKER, ask, train


@dataclass(frozen=True)
class Scripted(Target):
    """Writes down what kubectl is asked for, and answers by the first words that are in it."""

    answers: dict[str, str]
    asked: list[str] = field(default_factory=list)

    def _call(self, command, data, check):
        self.asked.append(" ".join(command[1:]))
        return next((answer for words, answer in self.answers.items() if words in self.asked[-1]), "")


def scripted(**answers):
    known = {words.replace("_", " "): answer for words, answer in answers.items()}
    return Scripted(Path("/nowhere"), "kubectl", "helm", "operator:1", "trainer:1", "ReadWriteOnce", known)


def status(**fields):
    return json.dumps({"status": fields})


def test_the_answer_is_what_the_pod_printed():
    target = scripted(get=status(phase="Succeeded"), logs="before: ...\nafter: Ahoy!\n")
    assert ask(target, "demo") == "before: ...\nafter: Ahoy!\n"


def test_a_pod_that_failed_to_answer_fails_the_demo_with_its_words():
    target = scripted(get=status(phase="Failed"), logs="peft-fsdp: no adapter in /output/cpu-demo/adapter")
    with pytest.raises(DemoError, match="no adapter in /output"):
        ask(target, "demo")


def test_a_job_that_failed_fails_the_demo_with_its_words():
    failure = {"reason": "OutOfMemory", "message": "killed by the kernel", "hint": "more memory"}
    target = scripted(get=status(phase="Failed", lastFailure=failure))
    with pytest.raises(DemoError, match="killed by the kernel"):
        train(target, "demo")


@pytest.mark.parametrize("fill", [True, False], ids=[LOADER, ASKER])
def test_a_pod_that_an_interrupted_demo_left_is_removed_first(fill, tmp_path):
    target = scripted(get=status(phase="Succeeded"))
    if fill:
        fill_claim(target, "demo", "demo-input", tmp_path)
    else:
        ask(target, "demo")
    first, second = target.asked[:2]
    assert first.startswith("delete -n demo pod/demo-")
    assert "--ignore-not-found" in first
    assert second.startswith("apply ")


def test_a_claim_asks_for_the_mode_of_its_cluster():
    assert json.loads(claim_manifest("c", "ReadWriteOnce"))["spec"]["accessModes"] == ["ReadWriteOnce"]
