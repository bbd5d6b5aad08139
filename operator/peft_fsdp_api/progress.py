"""What a launcher serves at `/progress`: written by the ranks, read by the operator and by `peft-fsdp run`."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .schema import ApiModel
from .stage import Stage as Stage
from .status import AdapterStatus, CheckpointStatus, Time


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Count = Annotated[int, Field(ge=0, le=1 << 53)]
"""What every reader of JSON reads as it was written."""

_FINITE = BeforeValidator(_finite)

Figure = Annotated[float | None, _FINITE]
"""A measured number, however large; NaN and infinity, which JSON has no word for, are absent."""

Pace = Annotated[Annotated[float, Field(ge=0, le=1e18)] | None, _FINITE]
Seconds = Annotated[Annotated[float, Field(ge=-1e12, le=1e12)] | None, _FINITE]


class RankProgress(ApiModel):
    """One training process. `heartbeat` moves whenever the rank gets something done."""

    rank: Count
    """Global rank."""
    stage: Stage
    """What it is doing."""
    done: Count = 0
    """Units of the stage that are done: steps, rows, layers or bytes."""
    total: Count | None = None
    """Units of the stage in all."""
    heartbeat: Time
    """When it last got something done."""
    process_state: Annotated[str, Field(max_length=1)] | None = None
    """State of the process in the letters of proc(5), as the launcher sees it: R and S are ordinary, T is stopped."""
    memory_bytes: int | None = None
    """Memory in use now: of the device, or resident on a CPU."""
    memory_peak_bytes: int | None = None
    """Highest memory so far."""


class TrainingProgress(ApiModel):
    """Figures of the training as a whole, as rank 0 knows them."""

    step: Count = 0
    """Optimizer steps done."""
    total_steps: Count
    """Optimizer steps of the run."""
    epoch: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Passes over the data so far; only the whole ones with dataset.streaming."""
    loss: Figure = None
    """Mean loss per learned token since the last report."""
    eval_loss: Figure = None
    """Loss of the last evaluation."""
    learning_rate: Figure = None
    """Learning rate of the last step; absent before the first one of this attempt."""
    grad_norm: Figure = None
    """Norm of the gradients before clipping."""
    tokens_per_second: Pace = None
    """Tokens of all ranks per second since the last report."""
    model_flops_utilization: Figure = None
    """Share of the devices' bf16 peak that the model's arithmetic takes, 0 to 1; absent where either is not known."""
    remaining_seconds: Seconds = None
    """Estimated time to the last step."""


class Execution(ApiModel):
    """What was asked and what runs, in words; the log and the model card say the same."""

    attention: str
    """The attention kernel."""
    kernels: str
    """How the decoder layers and the loss are computed."""
    precision: str
    """Number types of the base weights, of the computation and of the adapter."""
    sharding: str
    """Over how many ranks the model is spread, and what is moved to the host."""


class Progress(ApiModel):
    """The answer of one launcher."""

    attempt: int
    """Attempt the pod belongs to."""
    node_rank: int
    """Index of the worker."""
    ranks: Annotated[list[RankProgress], Field(max_length=256)] = []
    """The processes of this pod that have reported so far."""
    training: TrainingProgress | None = None
    """Figures of the run; only worker 0 has them."""
    execution: Execution | None = None
    """What was asked and what runs, once the model is loaded; only worker 0 has it."""
    checkpoint: CheckpointStatus | None = None
    """Newest committed checkpoint; only worker 0 has it."""
    adapter: AdapterStatus | None = None
    """The finished adapter; only worker 0 has it."""
