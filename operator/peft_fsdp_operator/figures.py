"""The figures of a training as status shows them: from a report while it runs, from the outcome when it is done."""

from datetime import timedelta
from typing import Any

from peft_fsdp_api.durations import format_duration
from peft_fsdp_api.progress import Stage, TrainingProgress
from peft_fsdp_api.status import ProgressStatus

# More digits than these are noise to a reader and a reason for another write.
LOSS_DIGITS = 4
EPOCH_DIGITS = 2


def shown_figures(training: TrainingProgress) -> dict[str, Any]:
    """The fields of `ProgressStatus` that speak of the training as a whole."""
    left = training.remaining_seconds
    return {
        "step": training.step,
        "total_steps": training.total_steps,
        "epoch": round(training.epoch, EPOCH_DIGITS),
        "loss": _rounded(training.loss),
        "eval_loss": _rounded(training.eval_loss),
        "learning_rate": training.learning_rate,
        "tokens_per_second": None if training.tokens_per_second is None else round(training.tokens_per_second),
        "remaining": None if left is None else format_duration(timedelta(seconds=left)),
        "summary": f"{training.step}/{training.total_steps}",
    }


def final_progress(training: TrainingProgress) -> ProgressStatus:
    """The figures of a training that is done."""
    return ProgressStatus(stage=Stage.DONE, **{**shown_figures(training), "remaining": None})


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, LOSS_DIGITS)
