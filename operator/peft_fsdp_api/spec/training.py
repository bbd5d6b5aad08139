"""How it is trained: schedule, precision, evaluation and checkpoints."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..schema import ApiModel, Rule
from ..text import Described

Fraction = Annotated[float, Field(ge=0, le=1)]
Tracker = Annotated[Literal["tensorboard", "wandb", "mlflow"], Described("Name of a tracker.")]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class TrainingSpec(ApiModel):
    """Schedule, batch and precision."""

    epochs: Annotated[float, Field(gt=0, le=10000)] | None = None
    """Passes over the training data; 1 when maxSteps is absent too. Excludes maxSteps."""
    max_steps: Count | None = None
    """Optimizer steps; absent means as many as epochs take. Excludes epochs."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 1
    """Rows per device and forward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=65536)] = 1
    """Forward and backward passes per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 2e-4
    """Highest learning rate of the schedule (AdamW)."""
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"] = "cosine"
    """Course of the learning rate over the run."""
    warmup_ratio: Fraction = 0.0
    """Share of the steps in which the learning rate rises from 0."""
    weight_decay: Fraction = 0.0
    """Decoupled weight decay of AdamW on the trained matrices."""
    max_grad_norm: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0
    """Gradients are scaled down to this norm; 0 turns clipping off."""
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Type of the base weights and of the forward and backward pass. Adapters and optimizer state are float32."""
    seed: Annotated[int, Field(ge=0, le=4294967295)] = 42
    """Seed of data order, dropout and adapter initialisation."""
    compile: bool = False
    """Compile each decoder layer with torch.compile."""
    logging_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Optimizer steps between two lines of the log."""
    report_to: Annotated[list[Tracker], Field(max_length=3)] = []
    """Experiment trackers. Their addresses and keys come from workers.env or workers.envFrom."""

    RULES: ClassVar = (
        Rule(
            cel="!has(self.epochs) || !has(self.maxSteps)",
            holds=lambda training: training.epochs is None or training.max_steps is None,
            message="epochs and maxSteps exclude each other; remove one of them",
            field="maxSteps",
        ),
        Rule(
            cel='{scheduler} != "constant" || {warmupRatio} == 0.0',
            holds=lambda training: training.scheduler != "constant" or training.warmup_ratio == 0,
            message='scheduler "constant" has no warm-up; use constant_with_warmup, or remove warmupRatio',
            field="warmupRatio",
        ),
    )


class Every(ApiModel):
    """An interval: exactly one of its fields is set."""

    epochs: Count | None = None
    """Passes over the training data; absent where another field is set."""
    steps: Count | None = None
    """Optimizer steps; absent where another field is set."""
    minutes: Count | None = None
    """Minutes of wall-clock time, taken at the next step boundary; absent where another field is set."""

    RULES: ClassVar = (
        Rule(
            cel="[has(self.epochs), has(self.steps), has(self.minutes)].filter(set, set).size() == 1",
            holds=lambda every: sum(v is not None for v in (every.epochs, every.steps, every.minutes)) == 1,
            message="set exactly one of epochs, steps and minutes",
        ),
    )


class EvaluationSpec(ApiModel):
    """When the evaluation split is evaluated; at the end of each epoch by default."""

    every: Every = Every(epochs=1)
    """Interval between two evaluations; `{epochs: 1}` by default."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Rows per device; training.batchSize by default."""


class CheckpointSpec(ApiModel):
    """When the state of the run is saved, and how many saves are kept."""

    every: Every = Every(minutes=30)
    """Interval between two checkpoints; `{minutes: 30}` by default: what a lost node costs at most."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    """Newest checkpoints that stay on the volume."""
