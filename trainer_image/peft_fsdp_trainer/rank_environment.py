"""What the launcher tells a rank besides the rendezvous variables, which torch reads itself.

Apart from `rank`, because the launcher shares these names and must not import anything that imports torch.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENV_RANK: Final = "RANK"
ENV_CONFIG: Final = "PEFT_FSDP_CONFIG"
ENV_RUN_DIR: Final = "PEFT_FSDP_RUN_DIR"


@dataclass(frozen=True)
class RankEnvironment:
    """A rank's own variables."""

    rank: int
    config: Path
    run_dir: Path


def read_environment() -> RankEnvironment:
    """The variables of this process. Raises KeyError where it was not started by the launcher."""
    return RankEnvironment(
        rank=int(os.environ[ENV_RANK]), config=Path(os.environ[ENV_CONFIG]), run_dir=Path(os.environ[ENV_RUN_DIR])
    )
