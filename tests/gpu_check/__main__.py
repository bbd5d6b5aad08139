"""`make gpu-check`: run, compare, print JSON and a table, write docs/measurements.md."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench.report import has_part, write_report
from tests.gpu_check.compare import Comparison, compare
from tests.gpu_check.figures import documented, not_measured, part, table
from tests.gpu_check.guide_settings import KINDS, Check
from tests.gpu_check.hardware import Hardware, find_gpus, only_cpu
from tests.gpu_check.runs import measure
from tests.gpu_check.sizes import SIZES, TINY, largest_that_fits

NO_GPU = "no NVIDIA GPU is visible here: nothing is measured; --device cpu --tiny checks the logic alone"


def main() -> int:
    """0: all bars are reached; 1: one is missed, or a run failed; 2: there is no GPU."""
    options = _options()
    if options.device == "cpu":
        hardware, size = only_cpu(), TINY
    else:
        found = find_gpus()
        if found is None:
            print(NO_GPU, file=sys.stderr)
            _write_once()
            return 2
        hardware = found
        size = SIZES[options.size] if options.size else largest_that_fits(hardware.gpu_bytes, hardware.host_bytes)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", dir=options.folder) as scratch:
        check = Check(Path(scratch), hardware, size, options.steps or size.steps)
        comparisons = [compare(kind, *measure(check, kind)) for kind in options.kind or KINDS]
    return _tell(comparisons, hardware, size.name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_check", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), help="size of the Llama (default: the largest that fits)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="LoRA and QLoRA by default")
    parser.add_argument("--steps", type=int, help="optimizer steps of each run")
    parser.add_argument("--folder", type=Path, help="where models and data go for a while (default: the system's)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="with --device cpu: a model of a few thousand numbers")
    options = parser.parse_args()
    if (options.device == "cpu") is not options.tiny:
        parser.error("--device cpu and --tiny go together: a CPU only checks the logic")
    return options


def _tell(comparisons: list[Comparison], hardware: Hardware, size: str) -> int:
    facts = hardware.facts | {"model": size}
    print(json.dumps({"machine": facts, "runs": [asdict(comparison) for comparison in comparisons]}, indent=2))
    print(table(comparisons))
    if hardware.gpus:
        for comparison in comparisons:
            write_report(part(comparison.kind), documented(comparison), facts)
    return 0 if all(comparison.passed for comparison in comparisons) else 1


def _write_once() -> None:
    """Say "not measured" in the document, unless another machine has measured already."""
    for kind in KINDS:
        if not has_part(part(kind)):
            write_report(part(kind), not_measured(kind), {"gpu": "none at hand"})


if __name__ == "__main__":
    raise SystemExit(main())
