"""`peft-fsdp run` from a file to an adapter that loads, with the demo's model and data, as a user would start it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.demo.inputs import write_inputs
from peft_fsdp_api.names import API_VERSION, ATTEMPT_FILE, KIND
from peft_fsdp_api.reasons import Reason, exit_code


def write_job(folder: Path, steps: int, **sections: Any) -> Path:
    """A job of two CPU processes on the demo's input; one row per step."""
    spec = {
        "model": {"source": "/demo/base-model"},
        "dataset": {"source": "/demo/data", "maxLength": 64, "chatTemplate": "chatml"},
        "training": {"maxSteps": steps, "loggingSteps": 1},
        "output": {"claim": "results"},
        "hub": {"offline": True},
        "workers": {
            "gpusPerNode": 0,
            "processesPerNode": 2,
            "volumes": [{"name": "input", "persistentVolumeClaim": {"claimName": "demo-input"}}],
            "volumeMounts": [{"name": "input", "mountPath": "/demo"}],
        },
    } | sections
    file = folder / "job.yaml"
    file.write_text(
        yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "tiny"}, "spec": spec})
    )
    return file


def start_run(file: Path, claims: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "peft_fsdp_trainer", "run", str(file), "--claims", str(claims)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output."""
    output = process.communicate(timeout=600)[0]
    return process.returncode, output


@pytest.mark.slow
def test_stop_go_on_finish_and_again(tmp_path: Path) -> None:
    claims = tmp_path / "claims"
    write_inputs(claims)
    file = write_job(tmp_path, steps=40)
    first = start_run(file, claims)
    assert first.stdout is not None
    while "step 2/40" not in first.stdout.readline():
        assert first.poll() is None
    first.send_signal(signal.SIGINT)
    code, output = finish(first)
    assert code == exit_code(Reason.PREEMPTED), output
    assert "Run the same command again to go on." in output

    code, output = finish(start_run(file, claims))
    assert code == 0, output
    assert "step 1/40" not in output
    assert "step 40/40" in output
    assert json.loads((claims / "results" / "tiny" / ATTEMPT_FILE).read_text())["attempt"] == 2

    assert run_snippet(output) > 0
    assert "Warning" not in output
    assert "leaked" not in output
    ask_without_noise(claims)
    code, output = finish(start_run(file, claims))
    assert code == 0, output
    assert "complete already" in output
    assert "step 40/40" not in output


def ask_without_noise(claims: Path) -> None:
    """`peft-fsdp ask` says its two answers and nothing else."""
    paths = [str(claims / "demo-input" / "base-model"), str(claims / "results" / "tiny" / "adapter")]
    command = [sys.executable, "-m", "peft_fsdp_trainer", "ask", *paths, "Who are you?"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert result.stderr == ""
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["base model", "with adapter"]


def run_snippet(output: str) -> int:
    """Run the Python that the command prints at its end; the number of adapter weights in the model it makes."""
    snippet = [line.strip() for line in output.splitlines() if line.startswith("    ")][-3:]
    count = (
        "print('weights', sum('lora_' in name for name, _ in model.named_parameters()), tokenizer('hello').input_ids)"
    )
    result = subprocess.run(
        [sys.executable, "-c", "\n".join([*snippet, count])], capture_output=True, text=True, check=True, timeout=120
    )
    return int(result.stdout.split("weights ")[1].split()[0])


@pytest.mark.slow
def test_a_dataset_that_cannot_be_used_names_row_and_reason(tmp_path: Path) -> None:
    claims = tmp_path / "claims"
    data = write_inputs(claims) / "bad.jsonl"
    data.write_text('{"question": "who?", "answer": "me"}\n')
    code, output = finish(start_run(write_job(tmp_path, 1, dataset={"source": "/demo/bad.jsonl"}), claims))
    assert code == exit_code(Reason.DATASET_INVALID), output
    last = output.rstrip().splitlines()[-2:]
    assert "DatasetInvalid" in last[0]
    assert "Traceback" not in output


def test_everything_that_is_missing_is_said_before_anything_starts(tmp_path: Path) -> None:
    file = write_job(tmp_path, steps=1, hub={"tokenSecret": "hub"})
    process = start_run(file, tmp_path / "claims")
    code, output = finish(process)
    assert code == exit_code(Reason.CONFIG_INVALID)
    for field in ("spec.model.source", "spec.dataset.source", "spec.hub.tokenSecret"):
        assert field in output
    assert not (tmp_path / "claims").exists()


def test_a_broken_spec_names_every_field(tmp_path: Path) -> None:
    file = write_job(tmp_path, steps=1, lora={"rang": 8, "alpha": "high"})
    code, output = finish(start_run(file, tmp_path))
    assert code == exit_code(Reason.CONFIG_INVALID)
    assert "spec.lora.rang" in output
    assert "spec.lora.alpha" in output
