"""What a user is told when the input of a job is wrong, with real pods."""

from typing import Any

import pytest

from tests.cluster.jobs import demo_job
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

CASES = {
    "no-model": ({"model": {"source": "/demo/not-there"}}, "ModelNotAvailable", "/demo/not-there"),
    "no-dataset": ({"dataset": {"source": "/demo/missing.jsonl"}}, "DatasetInvalid", "/demo/missing.jsonl"),
    "no-split": ({"dataset": {"trainSplit": "january"}}, "DatasetInvalid", "january"),
    "no-column": ({"dataset": {"textField": "conversations"}}, "DatasetInvalid", "conversations"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_fails_once_with_reason_and_hint(runs: Runs, case: str) -> None:
    sections, reason, word = CASES[case]
    name = runs.apply(demo_job(case, nodes=1, **sections))
    status = runs.wait_for_phase(name, "Failed")
    failure = status["lastFailure"]
    assert (failure["reason"], status["attempt"]) == (reason, 1)
    assert word in failure["message"]
    assert failure["hint"]
    wait_for_event(runs, name, reason)


def wait_for_event(runs: Runs, name: str, reason: str) -> None:
    """It follows the status, which is written first."""
    ask = ("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json")
    runs.target.wait_for(f"event {reason}", lambda _: reason in runs.kubectl(*ask), 60)


def test_a_missing_claim_is_named(runs: Runs) -> None:
    name = runs.apply(demo_job("no-claim", nodes=1, output={"claim": "not-there"}))
    failure = runs.wait_for_phase(name, "Failed")["lastFailure"]
    assert "not-there" in failure["message"]


def test_an_image_that_cannot_be_pulled_is_visible(runs: Runs) -> None:
    name = runs.apply(demo_job("no-image", nodes=1, workers={"image": "127.0.0.1:1/no/such:image"}))
    waiting = wait_for_word(runs, name, "ErrImagePull", "ImagePullBackOff")
    assert waiting["worker"] == 0


def wait_for_word(runs: Runs, name: str, *reasons: str) -> dict[str, Any]:
    """What the job says that it waits for, once it is that: at first the claim may not be bound yet."""
    status = runs.wait(name, lambda status: status.get("waiting", {}).get("reason") in reasons)
    waiting: dict[str, Any] = status["waiting"]
    return waiting


def test_pods_that_cannot_be_scheduled_say_so_in_the_words_of_the_scheduler(runs: Runs) -> None:
    name = runs.apply(demo_job("no-node", workers={"nodeSelector": {"no": "node"}}))
    waiting = wait_for_word(runs, name, "Unschedulable")
    assert "nodes are available" in waiting["message"]
    assert "Unschedulable" in runs.kubectl("get", "pfj", name, "-o", "wide")


def test_the_adapter_of_another_job_is_not_overwritten(runs: Runs) -> None:
    first = runs.apply(demo_job("first", nodes=1, steps=2, output={"path": "shared"}))
    runs.wait_for_phase(first, "Succeeded")
    adapter = (runs.output / "shared" / "adapter" / "adapter_model.safetensors").read_bytes()
    second = runs.apply(demo_job("second", nodes=1, steps=2, output={"path": "shared"}))
    failure = runs.wait_for_phase(second, "Failed")["lastFailure"]
    assert failure["reason"] == "OutputConflict"
    assert "first" in failure["message"]
    assert (runs.output / "shared" / "adapter" / "adapter_model.safetensors").read_bytes() == adapter
