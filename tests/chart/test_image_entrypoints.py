"""The images start what the pods ask for: an ENTRYPOINT and the pod's args are one command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dev.chart.helm import REPOSITORY
from tests.golden.rendered import EXAMPLES, render


def entrypoint(dockerfile: str) -> list[str]:
    (line,) = re.findall(r"^ENTRYPOINT (.*)$", (REPOSITORY / dockerfile).read_text(), re.MULTILINE)
    return json.loads(line)


def pod_args() -> list[str]:
    (pod,) = [one for one in yaml.safe_load_all(render(EXAMPLES / "minimal.yaml")) if one["kind"] == "Pod"]
    return pod["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    ("dockerfile", "arguments"),
    [("trainer_image/Dockerfile", pod_args()), ("operator/Dockerfile", ["run", "--trainer-image=t"])],
    ids=["trainer", "operator"],
)
def test_the_command_line_of_a_pod_is_understood(dockerfile, arguments):
    program, *first = entrypoint(dockerfile)
    command = [str(Path(sys.executable).with_name(program)), *first, *arguments, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = subprocess.run([*command[:-1], "--no-such-flag"], capture_output=True, text=True, check=False)
    assert "unrecognized arguments: --no-such-flag\n" in again.stderr
