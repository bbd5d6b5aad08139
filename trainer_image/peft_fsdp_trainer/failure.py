"""How a rank's failure reaches the launcher: a file with the cause, written before the process exits.

`rank` writes it, `launcher.outcome` reads the files of all ranks. Foreign exceptions get their reason here, by class
name and message, so that the launcher can share this module without importing torch.
"""

import errno
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.schema import ApiModel

from .errors import TrainerError
from .report import replace_file

TRACEBACK_LINES: Final = 30
MESSAGE_LENGTH: Final = 1000

_OUT_OF_MEMORY: Final = re.compile(
    r"CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory"
    # What the allocator did not ask for: torch says "CUDA error: out of memory", NCCL "Cuda failure 2 'out of memory'".
    r"|std::bad_alloc|CUDA error: out of memory|Cuda failure (\d+ )?'out of memory'|Failed to CUDA (c|m)alloc"
)
_DEVICE: Final = re.compile("CUDA|CUBLAS|Cuda")
HOST_MEMORY_HINT: Final = (
    "The pod's memory limit was reached, not the GPU's: raise workers.resources.limits.memory, or lower "
    "workers.sharedMemory, dataset.maxLength or the number of processes."
)
LOADING_HINT: Final = (
    "The base itself does not fit: use quantization (nf4), fsdp.sharding full, fsdp.cpuOffload, or more GPUs; the size "
    "of a batch changes nothing."
)
# The last is of the datasets library, which looks before it downloads.
_DISK_FULL: Final = re.compile(r"No space left on device|Disk quota exceeded|Not enough disk space")
# gloo says "Timed out waiting 1800000ms for recv operation to complete"; NCCL's watchdog, before it aborts the
# process, "Watchdog caught collective operation timeout".
_TIMEOUT: Final = re.compile(
    r"Watchdog caught collective operation timeout|Timed out waiting \d+ms|wait timeout after \d+ms"
)
_LOST_PEER: Final = re.compile(
    r"Connection (closed|reset) by peer|ncclRemoteError|ncclSystemError|remote process exited"
    r"|Connection was likely closed|Broken pipe|Socket (closed|is closed)|failed to recv|Connection refused"
    # The first is what gloo says when a loaded machine answers too late: "[…] Connect timeout".
    r"|Gloo connectFullMesh failed|gloo/transport/"
)
_NETWORK_ERRORS: Final = {"DistBackendError", "DistNetworkError", "DistStoreError"}


class RankFailure(ApiModel):
    """The content of a rank's failure file."""

    rank: int
    time: float
    """Unix time of the failure."""
    reason: Reason
    message: str
    hint: str | None = None
    traceback: str = ""
    """Last lines of it; empty for errors that explain themselves."""
    step: int | None = None


def failure_path(directory: Path, rank: int) -> Path:
    """The failure file of a rank."""
    return directory / f"failure-{rank}.json"


def write_failure(directory: Path, failure: RankFailure) -> None:
    """Leave the failure for the launcher."""
    replace_file(failure_path(directory, failure.rank), failure.model_dump_json(by_alias=True, exclude_none=True))


def describe(error: BaseException, rank: int, stage: Stage, step: int | None) -> RankFailure:
    """The failure that an exception stands for; `stage` is what the rank was doing, `step` how far it was."""
    now = time.time()
    if isinstance(error, TrainerError):
        reached = step if error.step is None else error.step
        return RankFailure(
            rank=rank, time=now, reason=error.reason, message=error.message, hint=error.hint, step=reached
        )
    summary = "".join(traceback.format_exception_only(error)).strip()
    reason = classify(error, stage)
    return RankFailure(
        rank=rank,
        time=now,
        reason=reason,
        message=summary[:MESSAGE_LENGTH],
        hint=_memory_hint(summary, stage) if reason is Reason.OUT_OF_MEMORY else None,
        traceback=last_lines("".join(traceback.format_exception(error))),
        step=step,
    )


def classify(error: BaseException, stage: Stage) -> Reason:
    """The reason of a foreign exception, found in it or in what it was raised from."""
    for cause in _causes(error):
        reason = _classify_one(cause, stage)
        if reason is not Reason.APPLICATION_ERROR:
            return reason
    return Reason.APPLICATION_ERROR


def reason_in_log(tail: str) -> tuple[Reason, str]:
    """The reason that the last output of a process without a failure file speaks of (NCCL aborts leave none), and the
    last line that does."""
    reason = _reason_in_text(tail)
    spoken = [line for line in tail.splitlines() if _reason_in_text(line) is reason is not Reason.APPLICATION_ERROR]
    return reason, spoken[-1].strip()[:MESSAGE_LENGTH] if spoken else ""


def last_lines(text: str) -> str:
    """The end of a traceback, as much as a person reads."""
    return "\n".join(text.strip().splitlines()[-TRACEBACK_LINES:])


def _memory_hint(summary: str, stage: Stage) -> str | None:
    """None leaves it at the general hint, which is for a step that needs too much of a GPU."""
    if not _DEVICE.search(summary):
        return HOST_MEMORY_HINT
    return LOADING_HINT if stage is Stage.LOAD else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and the parts of a group; torch's CheckpointException keeps one per rank."""
    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [linked for linked in (current.__cause__, current.__context__) if linked is not None]
        failures = getattr(current, "failures", None)
        if isinstance(failures, dict):
            queue += [value[0] for value in failures.values() if isinstance(value, tuple)]


def _classify_one(error: BaseException, stage: Stage) -> Reason:
    if isinstance(error, TrainerError):
        return error.reason
    names = {parent.__name__ for parent in type(error).__mro__}
    no_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or no_memory or "OutOfMemoryError" in names:
        return Reason.OUT_OF_MEMORY
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or _DISK_FULL.search(str(error)):
        return Reason.DISK_FULL
    if names & _NETWORK_ERRORS or type(error) is RuntimeError or "AcceleratorError" in names:
        reason = _reason_in_text(str(error))
        if reason is Reason.APPLICATION_ERROR and names & _NETWORK_ERRORS:
            reason = Reason.LOST_PEER
        if stage is Stage.RENDEZVOUS and reason in (Reason.LOST_PEER, Reason.COLLECTIVE_TIMEOUT):
            return Reason.RENDEZVOUS_FAILED
        return reason
    return Reason.APPLICATION_ERROR


def _reason_in_text(text: str) -> Reason:
    for pattern, reason in (
        (_OUT_OF_MEMORY, Reason.OUT_OF_MEMORY),
        (_DISK_FULL, Reason.DISK_FULL),
        (_TIMEOUT, Reason.COLLECTIVE_TIMEOUT),
        (_LOST_PEER, Reason.LOST_PEER),
    ):
        if pattern.search(text):
            return reason
    return Reason.APPLICATION_ERROR
