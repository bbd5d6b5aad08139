"""The errors a rank can end with, each with the reason that the operator decides by.

Raised anywhere in the trainer, turned into a failure file and an exit code by `rank`. Everything that is not a
TrainerError is a bug or a foreign library's error and is classified in `failure`.
"""

from typing import ClassVar

from peft_fsdp_api.reasons import Reason


class TrainerError(Exception):
    """An end of the run that explains itself: the message names the field, file, row or step."""

    reason: ClassVar[Reason] = Reason.APPLICATION_ERROR

    def __init__(self, message: str, *, hint: str | None = None, step: int | None = None) -> None:
        """`hint` replaces the general hint of the reason; `step` is the optimizer step that was reached."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.step = step


class ConfigInvalid(TrainerError):
    """The TrainerConfig or the environment of a rank is not what this version of the trainer understands."""

    reason = Reason.CONFIG_INVALID


class ModelNotAvailable(TrainerError):
    """The base model does not exist, is gated, or lacks files."""

    reason = Reason.MODEL_NOT_AVAILABLE


class DatasetInvalid(TrainerError):
    """The data does not exist, lacks columns or splits, or has a row that cannot be used."""

    reason = Reason.DATASET_INVALID


class OutputConflict(TrainerError):
    """The output folder belongs to another job."""

    reason = Reason.OUTPUT_CONFLICT


class Superseded(TrainerError):
    """A newer attempt of the same job has started on the output; this one must not write there any more."""

    reason = Reason.SUPERSEDED


class Unsupported(TrainerError):
    """What was asked for does not run with this model, device or image."""

    reason = Reason.UNSUPPORTED


class OutOfMemory(TrainerError):
    """The device or the host ran out of memory."""

    reason = Reason.OUT_OF_MEMORY


class LossNotFinite(TrainerError):
    """The loss or the gradient norm became NaN or infinite."""

    reason = Reason.LOSS_NOT_FINITE


class QuantizationSelfCheckFailed(TrainerError):
    """Packed weights came out of sharding changed."""

    reason = Reason.QUANTIZATION_SELF_CHECK


class HubPushFailed(TrainerError):
    """The adapter is complete, but the Hub did not take it."""

    reason = Reason.HUB_PUSH_FAILED


class VolumeNotWritable(TrainerError):
    """The user of the pod may not write to a volume."""

    reason = Reason.VOLUME_NOT_WRITABLE


class DiskFull(TrainerError):
    """A volume has no room left."""

    reason = Reason.DISK_FULL


class RendezvousFailed(TrainerError):
    """The ranks did not find each other."""

    reason = Reason.RENDEZVOUS_FAILED


class LostPeer(TrainerError):
    """Another rank went away."""

    reason = Reason.LOST_PEER


class CollectiveTimeout(TrainerError):
    """Another rank stopped answering."""

    reason = Reason.COLLECTIVE_TIMEOUT


class Preempted(TrainerError):
    """The run was asked to stop and has saved its state; raised by every rank after the common save."""

    reason = Reason.PREEMPTED
