"""A launcher whose ranks run a program given as Python source: `python drive.py SETTINGS.json`."""

import asyncio
import json
import logging
import sys
from pathlib import Path

from peft_fsdp_api.reasons import exit_code
from peft_fsdp_trainer.launcher.launch import launch
from peft_fsdp_trainer.launcher.settings import LaunchSettings, Limits, Placement
from peft_fsdp_trainer.launcher.termination import write_termination_message


def main() -> int:
    """Run the launcher of one pod as `peft-fsdp launch` does, and leave the outcome beside the config."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    given = json.loads(Path(sys.argv[1]).read_text())
    settings = LaunchSettings(
        placement=Placement(**given["placement"]),
        config=Path(given["config"]),
        run_dir=Path(given["run_dir"]),
        host=given.get("host", "127.0.0.1"),
        port=given["port"],
        limits=Limits(**given["limits"]),
        command=(sys.executable, "-c", given["program"]),
    )
    outcome = asyncio.run(launch(settings))
    write_termination_message(outcome, Path(given["termination_message"]))
    return exit_code(outcome.reason)


if __name__ == "__main__":
    sys.exit(main())
