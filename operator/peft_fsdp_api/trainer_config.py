"""The file that tells the trainer everything: mounted from the ConfigMap, or written by `peft-fsdp run`.

It reuses the sections of the job's spec, so a field is described, checked and defaulted in one place.
"""

from typing import Literal

from .job import PeftFsdpJob
from .names import CACHE_MOUNT, OUTPUT_MOUNT, SCRATCH_MOUNT
from .schema import ApiModel
from .spec import (
    CheckpointSpec,
    DatasetSpec,
    EvaluationSpec,
    FsdpSpec,
    LoraSpec,
    ModelSpec,
    PushToHubSpec,
    QuantizationSpec,
    TrainingSpec,
)


class JobIdentity(ApiModel):
    """Which job a folder or a report belongs to."""

    name: str
    namespace: str
    uid: str


class TrainerPaths(ApiModel):
    """Folders of the trainer, absolute."""

    output: str
    """Adapter, checkpoints and the owner file are written below it."""
    volume: str
    """The mount of the output claim; `status` names paths relative to it."""
    cache: str
    """Downloads and tokenized data."""
    scratch: str
    """Temporary files, private to the pod."""


class TrainerConfig(ApiModel):
    """Everything the trainer needs but the rendezvous environment and the Hub token."""

    version: Literal[1] = 1
    job: JobIdentity
    model: ModelSpec
    dataset: DatasetSpec
    lora: LoraSpec
    quantization: QuantizationSpec | None = None
    fsdp: FsdpSpec
    training: TrainingSpec
    evaluation: EvaluationSpec | None = None
    """Absent means that nothing is evaluated."""
    checkpoint: CheckpointSpec
    push_to_hub: PushToHubSpec | None = None
    merge: bool = False
    device: Literal["cuda", "cpu"]
    """What the ranks compute on; never guessed by the trainer."""
    paths: TrainerPaths


def pod_paths(job: PeftFsdpJob) -> TrainerPaths:
    """The folders of a job inside its pods."""
    return TrainerPaths(
        output=f"{OUTPUT_MOUNT}/{output_folder(job)}",
        volume=OUTPUT_MOUNT,
        cache=CACHE_MOUNT,
        scratch=SCRATCH_MOUNT,
    )


def output_folder(job: PeftFsdpJob) -> str:
    """The job's folder inside the output claim."""
    return job.spec.output.path or job.name


def trainer_config(job: PeftFsdpJob, paths: TrainerPaths) -> TrainerConfig:
    """The trainer's view of a job. Operator-side defaults that depend on other fields are filled in here."""
    spec = job.spec
    evaluation = (spec.evaluation or EvaluationSpec()) if spec.dataset.eval_split else None
    training = spec.training
    if training.epochs is None and training.max_steps is None:
        training = training.model_copy(update={"epochs": 1.0})
    return TrainerConfig(
        job=JobIdentity(name=job.name, namespace=job.metadata.namespace, uid=job.metadata.uid),
        model=spec.model,
        dataset=spec.dataset,
        lora=spec.lora,
        quantization=spec.quantization,
        fsdp=spec.fsdp,
        training=training,
        evaluation=evaluation,
        checkpoint=spec.checkpoint,
        push_to_hub=spec.output.push_to_hub,
        merge=spec.output.merge,
        device="cuda" if spec.workers.gpus_per_node else "cpu",
        paths=paths,
    )
