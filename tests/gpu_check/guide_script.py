"""The guide's script on the input of a check: as the guide has it, or with the least change that lets it run today.

What had to be changed is told with the figures. Called by `runs`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.gpu_check.guide_settings import Check, accelerate_file, guide_flags
from tests.gpu_check.result import RunResult, of_baseline
from tests.gpu_check.watch import watch


@dataclass(frozen=True)
class Amendment:
    """A change of the guide's settings."""

    words: str
    flags: Mapping[str, str]
    keys: Mapping[str, Any]


# FSDP1 changes the type that PEFT sees between forward pass and recomputation, which the non-reentrant form refuses.
AMENDMENTS = (
    Amendment("as in the guide", {}, {}),
    Amendment("with --use_reentrant True", {"--use_reentrant": "True"}, {}),
    Amendment("with fsdp_version 2", {}, {"fsdp_version": 2}),
)


def run_guide_script(check: Check, kind: str, gauge: Callable[[], int]) -> RunResult:
    """The first run that comes to its end, or the one as in the guide with what became of all of them."""
    failed: list[tuple[Amendment, RunResult]] = []
    for amendment in amendments(check, kind):
        result = _run(check, kind, amendment, gauge)
        if not result.problem:
            told = "; ".join([amendment.words, *(f"{other.words}: {run.problem}" for other, run in failed)])
            return replace(result, note=told if failed else "")
        failed.append((amendment, result))
    return replace(failed[0][1], problem="\n".join(f"{other.words}: {run.problem}" for other, run in failed))


def amendments(check: Check, kind: str) -> list[Amendment]:
    """Those that change anything."""
    flags = guide_flags(check, kind)
    words = dict(zip(flags[::2], flags[1::2], strict=True))
    return [
        amendment
        for amendment in AMENDMENTS
        if amendment is AMENDMENTS[0] or amendment.keys or not amendment.flags.items() <= words.items()
    ]


def _run(check: Check, kind: str, amendment: Amendment, gauge: Callable[[], int]) -> RunResult:
    file = accelerate_file(check, kind, amendment.keys)
    flags = guide_flags(check, kind, amendment.flags)
    result = check.folder / f"{kind}-baseline.json"
    result.unlink(missing_ok=True)
    watched = watch([*_launcher(check, file), str(result), *flags], check.environment, gauge)
    return of_baseline(watched, result, check.steps)


def _launcher(check: Check, file: Path) -> list[str]:
    """As in the guide; one CPU process needs no launcher."""
    module = ["-m", "tests.gpu_check.baseline"]
    if not check.hardware.gpus:
        return [sys.executable, *module]
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file), *module]
