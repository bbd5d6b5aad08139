"""The PeftFsdpJob itself: the spec as a whole, the rules between its sections, and the way in for raw objects."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .durations import Deadline, Duration
from .names import JOB_NAME_MAX_LENGTH, JOB_NAME_PATTERN
from .schema import ApiModel, Problem, Rule, broken_rules
from .spec import (
    CacheSpec,
    CheckpointSpec,
    DatasetSpec,
    EvaluationSpec,
    FsdpSpec,
    HubSpec,
    LoraSpec,
    ModelSpec,
    OutputSpec,
    QuantizationSpec,
    RestartSpec,
    TrainingSpec,
    WorkersSpec,
)
from .text import Text
from .wording import problem

JOB_NAME: Final = Text(
    JOB_NAME_PATTERN, "lower case letters, digits and hyphens, with a letter in front and no hyphen at the end"
)
JobName = Annotated[str, Field(max_length=JOB_NAME_MAX_LENGTH), JOB_NAME]


class JobSpec(ApiModel):
    """What the user wants. Everything but suspend, startDeadline, activeDeadline, stallTimeout, stallAction,
    nodeLostTimeout, ttlAfterFinished, cleanup and restart is fixed once the first attempt has started."""

    model: ModelSpec
    """The base model."""
    dataset: DatasetSpec
    """The training and evaluation data."""
    lora: LoraSpec = LoraSpec()
    """The low-rank adapter."""
    quantization: QuantizationSpec | None = None
    """4-bit storage of the base weights (QLoRA); absent means a 16-bit base."""
    fsdp: FsdpSpec = FsdpSpec()
    """Sharding of parameters, gradients and optimizer state."""
    training: TrainingSpec = TrainingSpec()
    """Schedule, batch and precision."""
    evaluation: EvaluationSpec | None = None
    """When the evaluation split is evaluated; needs dataset.evalSplit."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """When the state of the run is saved."""
    output: OutputSpec
    """Where adapter and checkpoints are written."""
    hub: HubSpec = HubSpec()
    """Access to the Hugging Face Hub."""
    cache: CacheSpec | None = None
    """Storage shared by jobs for downloads and tokenized data."""
    workers: WorkersSpec = WorkersSpec()
    """Number and shape of the pods."""
    restart: RestartSpec = RestartSpec()
    """Budgets for new attempts after a failure."""
    suspend: bool = False
    """Stop the pods after a checkpoint and keep the job; false resumes it from there."""
    start_deadline: Deadline | None = None
    """Longest time from the decision on an attempt until all of its pods run, together with the attempts right before
    it that ended as GangIncomplete; absent means no limit."""
    active_deadline: Deadline | None = None
    """Longest time the pods of the job may run in all, suspended time left out; absent means no limit."""
    stall_timeout: Deadline = "15m"
    """Longest time without a sign of life from any rank while it trains. The other stages, and the first step of an
    attempt, may take at least 10 minutes to 1 hour, whatever is given here."""
    stall_action: Literal["report", "restart"] = "report"
    """What happens to a run that hangs: the condition Stalled says so, or the attempt is ended and a new one begins
    (budget restart.infrastructure)."""
    node_lost_timeout: Duration = "5m"
    """Longest time that the node of a worker may not answer (be not ready) before the attempt is ended and the pods on
    it are given up: they are removed without waiting for the node (budget restart.infrastructure). 0s means that time
    alone never does it: only the end of the node, or its taint node.kubernetes.io/out-of-service."""
    cleanup: Literal["keep", "delete"] = "keep"
    """What happens to finished pods when the job ends: kept for their logs, or deleted."""
    ttl_after_finished: Duration | None = None
    """Time after the end when pods, Service and ConfigMap are removed; absent means never. The job, adapter and
    checkpoints stay."""

    RULES: ClassVar = (
        Rule(
            cel="{fsdp.sharding} != 'hybrid' || {workers.nodes} > 1",
            holds=lambda spec: spec.fsdp.sharding != "hybrid" or spec.workers.nodes > 1,
            message='fsdp.sharding is "hybrid", which replicates across nodes, but workers.nodes is {workers.nodes}; '
            "use full, or more nodes",
            field="fsdp.sharding",
        ),
        Rule(
            cel="!{fsdp.cpuOffload} || {fsdp.sharding} != 'none'",
            holds=lambda spec: not spec.fsdp.cpu_offload or spec.fsdp.sharding != "none",
            message='fsdp.cpuOffload moves shards to host memory, but fsdp.sharding is "none"; '
            "use full or hybrid, or turn cpuOffload off",
            field="fsdp.cpuOffload",
        ),
        Rule(
            cel="!{fsdp.cpuOffload} || {workers.gpusPerNode} > 0",
            holds=lambda spec: not spec.fsdp.cpu_offload or spec.workers.gpus_per_node > 0,
            message="fsdp.cpuOffload moves shards from GPUs to host memory, but workers.gpusPerNode is "
            "{workers.gpusPerNode}; turn cpuOffload off, or use GPUs",
            field="fsdp.cpuOffload",
        ),
        Rule(
            cel="!{fsdp.activationOffload} || {workers.gpusPerNode} > 0",
            holds=lambda spec: not spec.fsdp.activation_offload or spec.workers.gpus_per_node > 0,
            message="fsdp.activationOffload moves activations from GPUs to host memory, but workers.gpusPerNode is "
            "{workers.gpusPerNode}; turn activationOffload off, or use GPUs",
            field="fsdp.activationOffload",
        ),
        Rule(
            cel="{fsdp.version} == 2 || {workers.gpusPerNode} > 0",
            holds=lambda spec: spec.fsdp.version == 2 or spec.workers.gpus_per_node > 0,
            message="fsdp.version 1 runs on GPUs only, but workers.gpusPerNode is {workers.gpusPerNode}; use version 2",
            field="fsdp.version",
        ),
        Rule(
            cel="{fsdp.version} == 2 || !{training.compile}",
            holds=lambda spec: spec.fsdp.version == 2 or not spec.training.compile,
            message="fsdp.version 1 flattens weights, which torch.compile cannot follow, but training.compile is "
            "{training.compile}; turn it off, or use version 2",
            field="training.compile",
        ),
        Rule(
            cel="!has(self.quantization) || {fsdp.version} == 2 || {quantization.storageDtype} == {training.precision}",
            holds=lambda spec: (
                spec.quantization is None
                or spec.fsdp.version == 2
                or spec.quantization.storage_dtype == spec.training.precision
            ),
            message="fsdp.version 1 flattens weights of one type only, but quantization.storageDtype is "
            '"{quantization.storageDtype}" and training.precision is "{training.precision}"; '
            "use the same type for both, or version 2",
            field="quantization.storageDtype",
        ),
        Rule(
            cel="!has(self.evaluation) || has(self.dataset.evalSplit)",
            holds=lambda spec: spec.evaluation is None or spec.dataset.eval_split is not None,
            message="evaluation needs data to evaluate on; set dataset.evalSplit or remove evaluation",
            field="evaluation",
        ),
        Rule(
            cel="!{dataset.streaming} || (has(self.training) && has(self.training.maxSteps))",
            holds=lambda spec: not spec.dataset.streaming or spec.training.max_steps is not None,
            message="dataset.streaming is {dataset.streaming}, so nobody knows how many steps an epoch has; "
            "set training.maxSteps, or turn streaming off",
            field="training.maxSteps",
        ),
        Rule(
            cel="!{dataset.streaming} || !has(self.checkpoint) || !has(self.checkpoint.every) || "
            "!has(self.checkpoint.every.epochs)",
            holds=lambda spec: not spec.dataset.streaming or spec.checkpoint.every.epochs is None,
            message="dataset.streaming is {dataset.streaming}, so the end of an epoch is no time for a checkpoint; "
            "set checkpoint.every to steps or minutes, or turn streaming off",
            field="checkpoint.every",
        ),
        Rule(
            cel="!{dataset.streaming} || !has(self.dataset.evalSplit) || (has(self.evaluation) && "
            "has(self.evaluation.every) && !has(self.evaluation.every.epochs))",
            holds=lambda spec: (
                not spec.dataset.streaming
                or spec.dataset.eval_split is None
                or (spec.evaluation is not None and spec.evaluation.every.epochs is None)
            ),
            message="dataset.streaming is {dataset.streaming}, so the end of an epoch is no time for an evaluation; "
            "set evaluation.every to steps or minutes, or turn streaming off",
            field="evaluation.every",
        ),
        Rule(
            cel='!{dataset.streaming} || !{hub.offline} || {dataset.source}.startsWith("/")',
            holds=lambda spec: (
                not spec.dataset.streaming or not spec.hub.offline or spec.dataset.source.startswith("/")
            ),
            message='dataset.streaming reads "{dataset.source}" from the Hub while training, but hub.offline is '
            "{hub.offline}; give a path, or turn one of them off",
            field="dataset.streaming",
        ),
        Rule(
            cel="!has(self.output.pushToHub) || !{hub.offline}",
            holds=lambda spec: spec.output.push_to_hub is None or not spec.hub.offline,
            message="output.pushToHub needs the Hub, but hub.offline is {hub.offline}; remove one of them",
            field="output.pushToHub",
        ),
        Rule(
            cel="!has(self.output.pushToHub) || (has(self.hub) && has(self.hub.tokenSecret))",
            holds=lambda spec: spec.output.push_to_hub is None or spec.hub.token_secret is not None,
            message="output.pushToHub needs a token with write access; set hub.tokenSecret",
            field="output.pushToHub",
        ),
        Rule(
            cel='!{hub.offline} || has(self.cache) || {model.source}.startsWith("/")',
            holds=lambda spec: not spec.hub.offline or spec.cache is not None or spec.model.source.startswith("/"),
            message='model.source "{model.source}" is a Hub id, but hub.offline is {hub.offline} and there is no cache '
            "to find it in; give a path or a cache, or remove offline",
            field="model.source",
        ),
        Rule(
            cel='!{hub.offline} || has(self.cache) || {dataset.source}.startsWith("/")',
            holds=lambda spec: not spec.hub.offline or spec.cache is not None or spec.dataset.source.startswith("/"),
            message='dataset.source "{dataset.source}" is a Hub id, but hub.offline is {hub.offline} and there is no '
            "cache to find it in; give a path or a cache, or remove offline",
            field="dataset.source",
        ),
        Rule(
            cel='!({model.attention} in ["flash_attention_2", "flex_attention"]) || {workers.gpusPerNode} > 0',
            holds=lambda spec: (
                spec.model.attention not in ("flash_attention_2", "flex_attention") or spec.workers.gpus_per_node > 0
            ),
            message='model.attention "{model.attention}" trains on GPUs only, but workers.gpusPerNode is '
            "{workers.gpusPerNode}; use auto, sdpa or eager",
            field="model.attention",
        ),
        Rule(
            cel='{model.attention} != "flash_attention_2" || {training.precision} != "float32"',
            holds=lambda spec: spec.model.attention != "flash_attention_2" or spec.training.precision != "float32",
            message='model.attention "flash_attention_2" computes in 16 bit, but training.precision is '
            '"{training.precision}"; use bfloat16, or another kernel',
            field="model.attention",
        ),
    )


class ObjectMeta(BaseModel):
    """The part of a Kubernetes object's metadata that the contract speaks about."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: JobName
    namespace: str = "default"
    uid: str = ""
    generation: int = 1


class PeftFsdpJob(ApiModel):
    """One fine-tuning run: LoRA or QLoRA on a base model, sharded by FSDP over all the GPUs asked for."""

    api_version: Literal["training.peft-fsdp.io/v1alpha1"]
    kind: Literal["PeftFsdpJob"]
    metadata: ObjectMeta
    spec: JobSpec

    @property
    def name(self) -> str:
        """Name of the object, and of its Service and ConfigMap."""
        return self.metadata.name


class InvalidJob(ValueError):
    """A job that breaks the contract; carries every problem that could be told, never an empty list."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


def parse_job(raw: Mapping[str, Any]) -> PeftFsdpJob:
    """The job in a raw object, as YAML or the API server give it; status and managed fields are passed over.

    Raises InvalidJob with all problems of the schema, or, where the schema holds, all broken rules.
    """
    try:
        observed = {key: value for key, value in raw.items() if key != "status"}
        observed["spec"] = _whole_numbers(raw.get("spec"))
        # By alias only: the API server knows no `gpus_per_node`.
        job = PeftFsdpJob.model_validate(observed, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidJob([problem(detail) for detail in error.errors(include_url=False)]) from error
    problems = list(broken_rules(job))
    if problems:
        raise InvalidJob(problems)
    return job


def _whole_numbers(value: Any) -> Any:
    """JSON has one kind of number: `8.0` is the integer 8, as it is for the API server."""
    if isinstance(value, dict):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
