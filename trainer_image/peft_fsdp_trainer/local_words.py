"""What `peft-fsdp run` says to the person at the machine: how far the run is, and what to do at its end."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from peft_fsdp_api.durations import format_duration
from peft_fsdp_api.names import ADAPTER_DIRECTORY
from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.trainer_config import TrainerConfig

LINE_SECONDS: Final = 10.0
# Rank 0 logs every training.loggingSteps itself; this is for steps that take minutes.
TRAIN_LINE_SECONDS: Final = 60.0


class Narrator:
    """Turns progress into lines: one for each new stage, and one now and then while something moves."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._last_line = ""
        self._next_time = 0.0

    def line(self, progress: Progress, now: float) -> str | None:
        """The line that is due at `now` (monotonic seconds), or None."""
        if not progress.ranks:
            return None
        slowest = min(progress.ranks, key=lambda rank: (list(Stage).index(rank.stage), rank.done))
        line = progress_line(slowest, progress.training)
        if line == self._last_line or (slowest.stage is self._stage and now < self._next_time):
            return None
        interval = TRAIN_LINE_SECONDS if slowest.stage is Stage.TRAIN else LINE_SECONDS
        self._stage, self._last_line, self._next_time = slowest.stage, line, now + interval
        return line


def progress_line(rank: RankProgress, training: TrainingProgress | None) -> str:
    """Such as `train 40/100, loss 1.83, 2100 tokens/s, 3m5s left`."""
    if rank.stage is Stage.TRAIN and training is not None:
        parts = [f"{rank.stage} {training.step}/{training.total_steps}"]
        if training.loss is not None:
            parts.append(f"loss {training.loss:.4g}")
        if training.tokens_per_second is not None:
            parts.append(f"{training.tokens_per_second:.0f} tokens/s")
        if training.remaining_seconds is not None:
            parts.append(f"{format_duration(timedelta(seconds=training.remaining_seconds))} left")
        return ", ".join(parts)
    return f"{rank.stage} {rank.done}/{rank.total}" if rank.total is not None else str(rank.stage)


def describe_end(outcome: Outcome, config: TrainerConfig) -> str:
    """Where the adapter lies and how to load it, or what went wrong and what to change."""
    if outcome.reason is Reason.SUCCEEDED:
        folder = Path(config.paths.output) / ADAPTER_DIRECTORY
        return (
            f"\nThe adapter is in {folder}\n\n"
            "    from peft import AutoPeftModelForCausalLM\n"
            "    from transformers import AutoTokenizer\n"
            f"    model, tokenizer = (c.from_pretrained({str(folder)!r}) for c in (AutoPeftModelForCausalLM, "
            "AutoTokenizer))\n"
        )
    if outcome.reason is Reason.PREEMPTED:
        return f"\nStopped: {outcome.message}. Run the same command again to go on."
    saved = f"Newest checkpoint: step {outcome.checkpoint.step}." if outcome.checkpoint else ""
    # The log above ends with the traceback; the general hint of an unknown error speaks of pods.
    hint = "" if outcome.reason is Reason.APPLICATION_ERROR else outcome.hint
    lines = (f"\n{outcome.reason}: {outcome.message}", hint, saved)
    return "\n".join(line for line in lines if line)
