"""The golden files and how they are made: by the program, as a user would."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import yaml

from dev.gitops.argocd import SCRIPTS
from peft_fsdp_operator.cli import main
from tests.gitops.states import states

FOLDER = Path(__file__).parent
STATES = SCRIPTS / "testdata"
EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
IMAGE = "registry.example.com/peft-fsdp-trainer:golden"


def golden_files() -> Iterator[tuple[Path, str]]:
    """(golden file, what should stand in it) of every example, and of every state of a job."""
    for example in sorted(EXAMPLES.glob("*.yaml")):
        yield FOLDER / example.name, render(example)
    for state in states():
        yield (
            STATES / f"{state.name}.yaml",
            yaml.safe_dump(state.object, sort_keys=False, width=110, allow_unicode=True),
        )


def present_files() -> set[Path]:
    """What lies there now."""
    return {*FOLDER.glob("*.yaml"), *STATES.glob("*.yaml")}


def render(example: Path) -> str:
    """The output of `peft-fsdp-operator render`."""
    output = StringIO()
    with redirect_stdout(output):
        code = main(["render", "--trainer-image", IMAGE, str(example)])
    if code:
        raise RuntimeError(f"peft-fsdp-operator render {example} ended with exit code {code}")
    return output.getvalue()
