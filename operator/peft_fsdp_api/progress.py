"""What a launcher serves at `/progress`: written by the ranks, read by the operator and by `peft-fsdp run`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .schema import ApiModel
from .status import AdapterStatus, CheckpointStatus, Time


class Stage(StrEnum):
    """What a rank is doing, in the order of a run."""

    START = "start"
    RENDEZVOUS = "rendezvous"
    DOWNLOAD = "download"
    TOKENIZE = "tokenize"
    LOAD = "load"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SAVE = "save"
    EXPORT = "export"
    PUSH = "push"
    DONE = "done"


class RankProgress(ApiModel):
    """One training process. `heartbeat` moves whenever the rank gets something done."""

    rank: int
    """Global rank."""
    stage: Stage
    """What it is doing."""
    done: int = 0
    """Units of the stage that are done: steps, rows, layers or bytes."""
    total: int | None = None
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

    step: int = 0
    """Optimizer steps done."""
    total_steps: int
    """Optimizer steps of the run."""
    epoch: float = 0.0
    """Passes over the data so far; only the whole ones with dataset.streaming."""
    loss: float | None = None
    """Mean loss per learned token since the last report."""
    eval_loss: float | None = None
    """Loss of the last evaluation."""
    learning_rate: float | None = None
    """Learning rate of the last step; absent before the first one of this attempt."""
    grad_norm: float | None = None
    """Norm of the gradients before clipping."""
    tokens_per_second: float | None = None
    """Tokens of all ranks per second since the last report."""
    model_flops_utilization: float | None = None
    """Share of the devices' bf16 peak that the model's arithmetic takes, 0 to 1; absent where either is not known."""
    remaining_seconds: float | None = None
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
