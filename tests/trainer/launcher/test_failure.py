"""The reason of an exception, by its type, its message, what it was raised from, and what the rank was doing."""

import errno
from pathlib import Path

import pytest

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason, exit_code
from peft_fsdp_trainer.errors import LossNotFinite, TrainerError, Unsupported
from peft_fsdp_trainer.failure import HOST_MEMORY_HINT, LOADING_HINT, TRACEBACK_LINES, classify, describe
from peft_fsdp_trainer.rank import _fail
from peft_fsdp_trainer.rank_environment import RankEnvironment
from peft_fsdp_trainer.report import Reporter


class OutOfMemoryError(RuntimeError):
    """Named as torch.OutOfMemoryError."""


class DistNetworkError(RuntimeError):
    """Named as torch.distributed.DistNetworkError."""


class AcceleratorError(RuntimeError):
    """Named as torch.AcceleratorError."""


NCCL_WITHOUT_ROOM = "NCCL error: unhandled cuda error\nLast error:\nCuda failure 2 'out of memory'"


def caused_by(cause: BaseException) -> RuntimeError:
    error = RuntimeError("while doing something")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("x"), Reason.APPLICATION_ERROR),
        (ValueError("Connection reset by peer"), Reason.APPLICATION_ERROR),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), Reason.OUT_OF_MEMORY),
        (AcceleratorError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), Reason.OUT_OF_MEMORY),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), Reason.APPLICATION_ERROR),
        (DistNetworkError(NCCL_WITHOUT_ROOM), Reason.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate"), Reason.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), Reason.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device", "/output/x"), Reason.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.DISK_FULL),
        (OSError(errno.ENOENT, "No such file"), Reason.APPLICATION_ERROR),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Reason.OUT_OF_MEMORY),
        (caused_by(OSError(errno.ENOSPC, "No space left on device")), Reason.DISK_FULL),
        (caused_by(Unsupported("no flash attention")), Reason.UNSUPPORTED),
        (DistNetworkError("anything"), Reason.LOST_PEER),
        (RuntimeError("[../gloo/transport/tcp/pair.cc:538] Connection closed by peer [10.0.0.1]:1"), Reason.LOST_PEER),
        (RuntimeError("Gloo connectFullMesh failed with [/x/pair.h:9] Connect timeout [none]"), Reason.LOST_PEER),
        (RuntimeError("ProcessGroupGloo does not support this"), Reason.APPLICATION_ERROR),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), Reason.DISK_FULL),
        (RuntimeError("Timed out waiting 1800000ms for recv operation to complete"), Reason.COLLECTIVE_TIMEOUT),
        (LossNotFinite("loss is nan"), Reason.LOSS_NOT_FINITE),
        (KeyboardInterrupt(), Reason.APPLICATION_ERROR),
    ],
    ids=lambda value: str(value)[:30],
)
def test_reason(error: BaseException, reason: Reason) -> None:
    assert classify(error, Stage.TRAIN) is reason


def test_a_lost_connection_before_the_ranks_met() -> None:
    assert classify(DistNetworkError("Connection refused"), Stage.RENDEZVOUS) is Reason.RENDEZVOUS_FAILED


def test_a_failure_on_another_rank_inside_a_distributed_checkpoint() -> None:
    error = RuntimeError("CheckpointException")
    error.failures = {1: (OSError(errno.ENOSPC, "No space left on device"), None)}  # type: ignore[attr-defined]
    assert classify(error, Stage.SAVE) is Reason.DISK_FULL


def test_every_error_of_ours_has_its_own_reason() -> None:
    reasons = [kind.reason for kind in TrainerError.__subclasses__()]
    assert len(set(reasons)) == len(reasons)
    assert Reason.APPLICATION_ERROR not in reasons


def test_an_error_that_explains_itself_has_no_traceback() -> None:
    failure = describe(LossNotFinite("loss is nan", step=12, hint="look at row 5"), 1, Stage.TRAIN, 10)
    assert (failure.reason, failure.step, failure.hint, failure.traceback) == (
        Reason.LOSS_NOT_FINITE, 12, "look at row 5", "",
    )  # fmt: skip


FULL_GPU = OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    ("error", "stage", "hint"),
    [
        (FULL_GPU, Stage.TRAIN, None),
        (FULL_GPU, Stage.LOAD, LOADING_HINT),
        (DistNetworkError(NCCL_WITHOUT_ROOM), Stage.TRAIN, None),
        (MemoryError(), Stage.TRAIN, HOST_MEMORY_HINT),
        (MemoryError(), Stage.LOAD, HOST_MEMORY_HINT),
        (ValueError("x"), Stage.LOAD, None),
    ],
)
def test_what_to_change_for_the_memory_that_was_short(error: BaseException, stage: Stage, hint: str | None) -> None:
    """None leaves it at the hint of the reason."""
    assert describe(error, 0, stage, 1).hint == hint


def test_a_foreign_error_has_the_end_of_its_traceback() -> None:
    def sink(depth: int) -> None:
        if not depth:
            raise ValueError("at the bottom")
        (sink if depth % 2 else lambda d: sink(d))(depth - 1)

    with pytest.raises(ValueError, match="bottom") as caught:
        sink(40)
    failure = describe(caught.value, 0, Stage.TRAIN, 7)
    assert failure.message == "ValueError: at the bottom"
    assert failure.traceback.endswith("ValueError: at the bottom")
    assert len(failure.traceback.splitlines()) <= TRACEBACK_LINES
    assert failure.step == 7


def test_a_failure_that_cannot_be_written_down_keeps_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(0, tmp_path)
    environment = RankEnvironment(0, tmp_path / "config.json", tmp_path / "gone")
    assert _fail(LossNotFinite("loss is nan"), environment, reporter) == exit_code(Reason.LOSS_NOT_FINITE)
    said = capsys.readouterr().err
    assert f"{tmp_path / 'gone'} cannot be written" in said
    assert "loss is nan" in said
