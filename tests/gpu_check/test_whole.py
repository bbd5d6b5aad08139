"""The whole check once on a CPU: both runs from the guide's flags on a tiny model, to the JSON and the table."""

import json
import os
import subprocess
import sys

import pytest

from tests.gpu_check.sizes import TINY


@pytest.mark.slow
def test_both_runs_train_alike_from_the_guides_flags():
    command = [sys.executable, "-m", "tests.gpu_check", "--device", "cpu", "--tiny", "--kind", "QLoRA"]
    result = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert result.returncode in (0, 1), result.stderr  # speed and memory of a toy say nothing
    said, rest = json.JSONDecoder().raw_decode(result.stdout)
    (run,) = said["runs"]
    assert (run["ours"]["problem"], run["baseline"]["problem"]) == ("", "")
    assert len(run["ours"]["losses"]) == len(run["baseline"]["losses"]) == TINY.steps
    assert run["ours"]["host_load_peak"] > 0
    assert "QLoRA: loss curve" in result.stdout[rest:]
    assert "apart: reached" in result.stdout[rest:]
