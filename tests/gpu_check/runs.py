"""One kind of fine-tuning, by this trainer and by the guide's script, on the same input. Called by `__main__`."""

import subprocess
import sys

from peft_fsdp_trainer.convert.conversion import convert
from peft_fsdp_trainer.convert.manifest_text import manifest_text
from peft_fsdp_trainer.convert.options import Options
from tests.gpu_check.guide_script import run_guide_script
from tests.gpu_check.guide_settings import KINDS, Check, accelerate_file, as_mapping, guide_flags, tokens_needed
from tests.gpu_check.hardware import gpu_memory_gauge
from tests.gpu_check.result import RunResult, of_ours
from tests.gpu_check.watch import watch

CLAIM = "results"


def measure(check: Check, kind: str) -> tuple[RunResult, RunResult]:
    """The result of this trainer and that of the baseline."""
    _write_inputs(check)
    file = accelerate_file(check, kind)
    gauge = gpu_memory_gauge(check.hardware.gpus)
    job = check.folder / f"{kind}.yaml"
    conversion = convert(guide_flags(check, kind), file.read_text(), Options(name=kind.lower(), claim=CLAIM))
    job.write_text(manifest_text(conversion, file.name))
    ours = watch(
        [sys.executable, "-m", "peft_fsdp_trainer", "run", str(job), "--claims", str(check.folder / "claims")],
        check.environment,
        gauge,
    )
    return of_ours(ours, check.steps), run_guide_script(check, kind, gauge)


def _write_inputs(check: Check) -> None:
    if (check.folder / "model").exists():
        return
    device = "cuda" if check.hardware.gpus else "cpu"
    row = as_mapping(guide_flags(check, KINDS[0]))["--max_seq_len"]
    arguments = [check.size.name, device, str(tokens_needed(check)), row, str(check.folder)]
    subprocess.run([sys.executable, "-m", "tests.gpu_check.inputs", *arguments], env=check.environment, check=True)
