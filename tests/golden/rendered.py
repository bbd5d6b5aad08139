"""The golden files and how they are made: by the program, as a user would."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from peft_fsdp_operator.cli import main

FOLDER = Path(__file__).parent
EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
IMAGE = "registry.example.com/peft-fsdp-trainer:golden"


def golden_files() -> Iterator[tuple[Path, str]]:
    """(golden file, what should stand in it) of every example."""
    for example in sorted(EXAMPLES.glob("*.yaml")):
        yield FOLDER / example.name, render(example)


def render(example: Path) -> str:
    """The output of `peft-fsdp-operator render`."""
    output = StringIO()
    with redirect_stdout(output):
        code = main(["render", "--trainer-image", IMAGE, str(example)])
    if code:
        raise RuntimeError(f"peft-fsdp-operator render {example} ended with exit code {code}")
    return output.getvalue()
