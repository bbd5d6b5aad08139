"""Base model and dataset of the demo, as the folder that a claim called `demo-input` holds."""

import shutil
from pathlib import Path

from dev.demo.base_model import cached_base_model

DATA = Path(__file__).parent / "data"
CLAIM = "demo-input"


def write_inputs(claims: Path) -> Path:
    """Write `<claims>/demo-input/{base-model,data}` and return that folder; what is there already is replaced."""
    folder = claims / CLAIM
    for source, name in ((cached_base_model(), "base-model"), (DATA, "data")):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(source, folder / name)
    return folder
