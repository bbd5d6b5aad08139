"""Every cause of an end, provoked in real ranks below a real launcher: its exit code, its outcome, and what to do.

`Attempt.finish` compares the exit code. `test_every_cause_has_its_test` lists the tests, those of other files too.
"""

import importlib
import os
import signal
import socket
from pathlib import Path
from typing import Final

import pytest

from peft_fsdp_api.reasons import EXIT_CODES, REASONS, Reason
from peft_fsdp_trainer.distributed import PORT_TAKEN_HINT
from peft_fsdp_trainer.failure import LOADING_HINT
from peft_fsdp_trainer.write_access import READ_ONLY_HINT
from tests.bench.attempts import RANK_FROM_SCRATCH, Attempt
from tests.bench.tiny_job import make_tiny_job
from tests.ports import free_port
from tests.trainer.core.conftest import Run
from tests.trainer.core.hub_stand_in import commits, hub_stand_in, on_the_hub
from tests.trainer.core.model_hub import REPOSITORY, model_hub
from tests.trainer.core.provoked import (
    provoked,
    take_packed_values_for_numbers,
    use_up_a_gpu_in_step_3,
    use_up_a_gpu_while_loading,
    wait_seconds_in_collectives,
)
from tests.trainer.small_disk import read_only_disk

ENDLESS: Final = {"training": {"maxSteps": 100000}, "checkpoint": {"every": {"steps": 100000}}}
SUITES: Final = {"core": "tests.trainer.core", "launcher": "tests.trainer.launcher"}
TESTS: Final = {
    Reason.SUCCEEDED: "core.test_interruptions.test_kills_lose_nothing",
    Reason.APPLICATION_ERROR: "core.test_interruptions.test_an_error_that_nobody_foresaw_comes_with_the_last_lines"
    "_of_its_traceback",
    Reason.CONFIG_INVALID: "launcher.test_launch_command.test_every_wrong_field_of_the_config_is_named",
    Reason.MODEL_NOT_AVAILABLE: "core.test_causes.test_a_gated_model",
    Reason.DATASET_INVALID: "core.test_interruptions.test_a_broken_row_that_is_met_while_training_is_named",
    Reason.OUTPUT_CONFLICT: "core.test_causes.test_an_output_that_is_not_the_job_s",
    Reason.UNSUPPORTED: "core.test_causes.test_what_the_model_does_not_have",
    Reason.OUT_OF_MEMORY: "core.test_causes.test_a_gpu_without_room_for_a_step",
    Reason.LOSS_NOT_FINITE: "core.test_interruptions.test_a_loss_that_explodes_names_its_step",
    Reason.HUB_PUSH_FAILED: "core.test_causes.test_a_hub_that_does_not_take_the_adapter",
    Reason.DISK_FULL: "core.test_interruptions.test_a_full_disk_is_named_and_nothing_committed_is_lost",
    Reason.VOLUME_NOT_WRITABLE: "core.test_causes.test_an_output_that_cannot_be_written",
    Reason.RENDEZVOUS_FAILED: "core.test_causes.test_ranks_that_cannot_meet",
    Reason.LOST_PEER: "core.test_causes.test_a_launcher_that_is_gone",
    Reason.COLLECTIVE_TIMEOUT: "core.test_causes.test_a_rank_that_stands_still",
    Reason.PREEMPTED: "core.test_interruptions.test_a_stop_while_training_loses_no_step",
    Reason.QUANTIZATION_SELF_CHECK: "core.test_causes.test_packed_weights_that_sharding_changes",
    Reason.SUPERSEDED: "core.test_interruptions.test_an_attempt_that_lives_on_behind_a_partition_stops_and_touches"
    "_nothing",
}
"""A test that provokes the reason end to end. Where there are several, one of them."""


def test_every_cause_has_its_test() -> None:
    assert sorted(TESTS) == sorted(EXIT_CODES.values())
    for test in TESTS.values():
        suite, file, name = test.split(".")
        assert callable(getattr(importlib.import_module(f"{SUITES[suite]}.{file}"), name))


@pytest.mark.slow
def test_packed_weights_that_sharding_changes(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, quantization={"scheme": "nf4"})
    attempt = run(job, environment=provoked(take_packed_values_for_numbers))
    outcome = attempt.finish()
    assert (outcome.reason, outcome.step) == (Reason.QUANTIZATION_SELF_CHECK, None)
    assert "self_attn.q_proj.base_layer differs in" in outcome.message
    assert "of 2048 bytes" in outcome.message
    assert outcome.hint.startswith("Use fsdp.version 2")
    assert not attempt.steps(0), "nothing was trained"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_launcher_that_is_gone(inputs: Path, tmp_path: Path, attempts: list[Attempt], victim: int) -> None:
    """Ranks of the other node lose their connections at once, before its launcher counts as lost."""
    nodes = make_tiny_job(tmp_path / "job", inputs, **ENDLESS).start_nodes()
    attempts += nodes
    nodes[0].wait_for("step 3/")
    nodes[victim].process.kill()
    outcome = nodes[1 - victim].finish()
    assert (outcome.reason, outcome.rank) == (Reason.LOST_PEER, None)
    assert outcome.message.startswith(f"worker {victim} is gone: ")
    assert not outcome.traceback, "what torch said of it tells nobody anything"
    assert outcome.hint == REASONS[Reason.LOST_PEER].hint


@pytest.mark.slow
def test_a_rank_that_stands_still(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, **ENDLESS)
    attempt = run(job, environment=provoked(wait_seconds_in_collectives), peers=1)
    attempt.wait_for("step 3/")
    pid = attempt.pid("rank 1")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    outcome = attempt.finish()
    assert (outcome.reason, outcome.rank) == (Reason.COLLECTIVE_TIMEOUT, 0)
    assert "Timed out waiting 8000ms" in outcome.message
    assert "; rank 1 stood still in stage train since 20" in outcome.message
    assert "the one that stood still" in outcome.hint


@pytest.mark.slow
def test_ranks_that_cannot_meet(inputs: Path, tmp_path: Path, run: Run) -> None:
    """Something else listens where rank 0 wants to."""
    port = free_port()
    with socket.create_server(("", port)):
        outcome = run(make_tiny_job(tmp_path / "job", inputs), master_port=port, peers=1).finish()
    assert (outcome.reason, outcome.rank, outcome.hint) == (Reason.RENDEZVOUS_FAILED, 0, PORT_TAKEN_HINT)
    assert f"did not meet at 127.0.0.1:{port}" in outcome.message


@pytest.mark.slow
def test_a_gpu_without_room_for_a_step(inputs: Path, tmp_path: Path, run: Run) -> None:
    outcome = run(make_tiny_job(tmp_path / "job", inputs), environment=provoked(use_up_a_gpu_in_step_3)).finish()
    assert (outcome.reason, outcome.rank, outcome.step) == (Reason.OUT_OF_MEMORY, 1, 2)
    assert "Tried to allocate 2.00 GiB" in outcome.message
    assert outcome.hint.startswith("Lower training.batchSize")


@pytest.mark.slow
def test_a_gpu_without_room_for_the_base(inputs: Path, tmp_path: Path, run: Run) -> None:
    outcome = run(make_tiny_job(tmp_path / "job", inputs), environment=provoked(use_up_a_gpu_while_loading)).finish()
    assert (outcome.reason, outcome.hint) == (Reason.OUT_OF_MEMORY, LOADING_HINT)


@pytest.mark.slow
def test_a_gated_model(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, model={"source": REPOSITORY})
    with model_hub(inputs / "base-model", (403, "GatedRepo")) as hub:
        environment = on_the_hub(hub.address, tmp_path)
        outcome = run(job, ranks=1, program=RANK_FROM_SCRATCH, environment=environment).finish()
    assert (outcome.reason, outcome.message) == (
        Reason.MODEL_NOT_AVAILABLE, f"model {REPOSITORY} is gated and the token has no access to it"
    )  # fmt: skip
    assert "spec.hub.tokenSecret" in outcome.hint


@pytest.mark.slow
def test_a_hub_that_does_not_take_the_adapter(inputs: Path, tmp_path: Path, run: Run) -> None:
    push = {"hub": {"tokenSecret": "hub"}, "output": {"pushToHub": {"repo": "me/adapter"}}}
    job = make_tiny_job(tmp_path / "job", inputs, training={"maxSteps": 1}, **push)
    with hub_stand_in(commits) as hub:
        environment = on_the_hub(hub.address, tmp_path)
        outcome = run(job, ranks=1, program=RANK_FROM_SCRATCH, environment=environment).finish()
    assert outcome.reason is Reason.HUB_PUSH_FAILED
    assert outcome.message.startswith("the Hub did not take the adapter into me/adapter: 403")
    assert "hf_secret" not in outcome.message
    assert outcome.hint == REASONS[Reason.HUB_PUSH_FAILED].hint
    assert outcome.adapter is not None, "it is complete"


@pytest.mark.slow
def test_what_the_model_does_not_have(inputs: Path, tmp_path: Path, run: Run) -> None:
    outcome = run(make_tiny_job(tmp_path / "job", inputs, lora={"targets": ["no_such_module"]})).finish()
    assert (outcome.reason, outcome.hint) == (
        Reason.UNSUPPORTED, "Name modules that the model has, or use all-linear."
    )  # fmt: skip
    assert "no_such_module" in outcome.message


@pytest.mark.slow
def test_an_output_that_is_not_the_job_s(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs)
    (job.folder / "tiny" / "adapter").mkdir(parents=True)
    outcome = run(job).finish()
    assert (outcome.reason, outcome.hint) == (Reason.OUTPUT_CONFLICT, REASONS[Reason.OUTPUT_CONFLICT].hint)
    assert outcome.message.startswith("tiny/adapter already exists")


@pytest.mark.slow
def test_an_output_that_cannot_be_written(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs)
    with read_only_disk(job.folder / "tiny") as output:
        outcome = run(job).finish()
    assert (outcome.reason, outcome.hint) == (Reason.VOLUME_NOT_WRITABLE, READ_ONLY_HINT)
    assert outcome.message.startswith(f"{output} (spec.output.claim) cannot be written")
    assert not outcome.traceback
