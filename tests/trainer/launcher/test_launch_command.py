"""`peft-fsdp launch` as the image starts it: configuration, termination message, exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peft_fsdp_api import names
from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.reasons import Reason, exit_code
from tests.ports import free_port

from .conftest import make_config, wait_until

ENVIRONMENT = {
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
    "NNODES": "1",
    "NODE_RANK": "0",
    "NPROC_PER_NODE": "2",
    "WORLD_SIZE": "2",
    "PEFT_FSDP_ATTEMPT": "1",
}


def launch(folder: Path, config: str, **environment: str) -> Outcome:
    """The outcome of a launcher that reads this config; the exit code must be that of its reason."""
    (folder / "config.json").write_text(config)
    message = folder / "termination-log"
    command = [sys.executable, "-m", "peft_fsdp_trainer", "launch", "--config", str(folder / "config.json")]
    result = subprocess.run(
        [*command, "--termination-message", str(message), "--port", str(free_port())],
        env=ENVIRONMENT | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    outcome = parse_outcome(message.read_text())
    assert outcome is not None, result.stderr
    assert result.returncode == exit_code(outcome.reason), result.stderr
    return outcome


def test_every_wrong_field_of_the_config_is_named(tmp_path: Path) -> None:
    config = make_config(tmp_path).to_wire()
    config["training"]["batchSize"] = "many"
    config["lora"]["ranks"] = 8
    del config["device"]
    outcome = launch(tmp_path, json.dumps(config))
    assert outcome.reason is Reason.CONFIG_INVALID
    for field in ("training.batchSize", "lora.ranks", "device"):
        assert field in outcome.message


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"NNODES": "two"}, "NNODES is 'two', not a number"),
        ({"WORLD_SIZE": "3"}, "WORLD_SIZE is 3, but NNODES x NPROC_PER_NODE is 1 x 2"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
    ],
    ids=["not-a-number", "world-size", "missing"],
)
def test_wrong_environment(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    outcome = launch(tmp_path, json.dumps(make_config(tmp_path).to_wire()), **environment)
    assert outcome.reason is Reason.CONFIG_INVALID
    assert words in outcome.message


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "peft_fsdp_trainer", "launch", "--config", str(tmp_path / "none.json")]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == exit_code(Reason.CONFIG_INVALID)
    assert "none.json cannot be read" in result.stderr


def test_a_termination_message_that_cannot_be_written_is_logged(tmp_path: Path) -> None:
    arguments = ["--config", str(tmp_path / "none.json"), "--termination-message", str(tmp_path / "no" / "folder")]
    command = [sys.executable, "-m", "peft_fsdp_trainer", "launch", *arguments]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert "cannot write the termination message" in result.stderr
    assert '"reason":"ConfigInvalid"' in result.stderr


def test_the_exit_code_tells_the_reason_where_neither_log_nor_message_can_be_written(tmp_path: Path) -> None:
    arguments = ["--config", str(tmp_path / "none.json"), "--termination-message", "/dev/full"]
    command = [sys.executable, "-m", "peft_fsdp_trainer", "launch", *arguments]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command, env=ENVIRONMENT, stdout=full, stderr=full, check=False, timeout=60)
    assert result.returncode == exit_code(Reason.CONFIG_INVALID)


def test_the_launcher_is_up_without_torch() -> None:
    program = "import sys, peft_fsdp_trainer.cli; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_defaults_are_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    from peft_fsdp_trainer.cli import _parser

    options = _parser().parse_args(["launch"])
    assert str(options.config) == names.CONFIG_PATH
    assert str(options.termination_message) == names.TERMINATION_MESSAGE_PATH
    assert options.grace_period < names.TERMINATION_GRACE_SECONDS


WAITS_WHILE_LOADING = """
import sys, time
from pathlib import Path
folder = Path(__file__).parent
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name == "peft_fsdp_trainer.cli":
            (folder / "loading").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
sys.meta_path.insert(0, Gate())
"""
"""A sitecustomize.py: the modules load as slowly as the test wants."""


def test_a_request_to_stop_that_comes_while_the_modules_load_is_heeded(tmp_path: Path) -> None:
    """As the first process of a container, which a signal without a handler does not reach."""
    (tmp_path / "config.json").write_text(json.dumps(make_config(tmp_path).to_wire()))
    message = tmp_path / "termination-log"
    files = ["--config", str(tmp_path / "config.json"), "--termination-message", str(message)]
    command = [sys.executable, "-m", "peft_fsdp_trainer", "launch", *files, "--port", str(free_port())]
    waits_for_ever = ENVIRONMENT | {"NNODES": "2", "NODE_RANK": "1", "WORLD_SIZE": "4", "MASTER_PORT": str(free_port())}
    (tmp_path / "sitecustomize.py").write_text(WAITS_WHILE_LOADING)
    waits_for_ever["PYTHONPATH"] = str(tmp_path)
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *command], env=waits_for_ever) as container:
        try:
            first = _first_process(container.pid)
            wait_until((tmp_path / "loading").exists, "the first module")
            assert _blocks(first, signal.SIGTERM)
            os.kill(first, signal.SIGTERM)
            (tmp_path / "go").touch()
            assert container.wait(60) == exit_code(Reason.PREEMPTED)
        finally:
            container.kill()
    outcome = parse_outcome(message.read_text())
    assert outcome is not None
    assert "stopped while waiting for worker 0" in outcome.message


def _first_process(unshare: int) -> int:
    """The child of `unshare`, once there is one."""
    children = Path(f"/proc/{unshare}/task/{unshare}/children")
    wait_until(lambda: bool(children.read_text()), "the first process")
    return int(children.read_text())


def _blocks(pid: int, number: signal.Signals) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigBlk:"))
    return bool(int(mask, 16) >> (number - 1) & 1)
