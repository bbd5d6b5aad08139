"""On what it runs: number and shape of the pods."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ..names import RESERVED_ENV, RESERVED_ENV_PREFIXES, RESERVED_MOUNTS
from ..schema import ApiModel, Rule
from .output import ObjectName

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=32)]
"""The only type with two forms, as everywhere in Kubernetes: `8` or `500m`, `64Gi`."""
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
Labels = Annotated[dict[LabelKey, Annotated[str, Field(max_length=63)]], Field(max_length=64)]
Annotations = Annotated[dict[LabelKey, Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
KubernetesObject = dict[str, Any]
"""An object whose schema belongs to Kubernetes: passed on as it is, checked by the API server at pod creation."""


def _quoted(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


class EnvVar(ApiModel):
    """An environment variable of the trainer container."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", min_length=1, max_length=256)]
    """Name of the variable. The variables of the rendezvous belong to the operator."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Literal value."""
    value_from: KubernetesObject | None = None
    """Source of the value as in a pod: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef."""

    RULES: ClassVar = (
        Rule(
            cel=f"!(self.name in {_quoted(RESERVED_ENV)}) && "
            f"!{_quoted(RESERVED_ENV_PREFIXES)}.exists(prefix, self.name.startsWith(prefix))",
            holds=lambda env: env.name not in RESERVED_ENV and not env.name.startswith(RESERVED_ENV_PREFIXES),
            message='"{name}" is set by the operator; remove it',
            field="name",
        ),
        Rule(
            cel="!has(self.value) || !has(self.valueFrom)",
            holds=lambda env: env.value is None or env.value_from is None,
            message="value and valueFrom exclude each other; remove one of them",
        ),
    )


class VolumeMount(ApiModel):
    """A mount of one of workers.volumes in the trainer container."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the volume."""
    mount_path: Annotated[str, Field(pattern=r"^/[^:]*[^/:]$", max_length=512)]
    """Absolute path in the container."""
    sub_path: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Path inside the volume."""
    read_only: bool = True
    """Mount without write access."""

    RULES: ClassVar = (
        Rule(
            cel=f"!{_quoted(RESERVED_MOUNTS)}.exists(path, self.mountPath == path || "
            'self.mountPath.startsWith(path + "/"))',
            holds=lambda mount: (
                not any(mount.mount_path == path or mount.mount_path.startswith(path + "/") for path in RESERVED_MOUNTS)
            ),
            message='"{mountPath}" belongs to the operator; mount the volume elsewhere',
            field="mountPath",
        ),
    )


class Toleration(ApiModel):
    """A taint the pods may run in spite of, as in a pod."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """Key of the taint; absent matches every key with operator Exists."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Comparison with the taint's value."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent matches all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Seconds for which NoExecute is tolerated."""


class Resources(ApiModel):
    """CPU, memory and other resources of each pod, besides the GPUs."""

    requests: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] = {}
    """Guaranteed amounts, such as `{cpu: 8, memory: 64Gi}`."""
    limits: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] = {}
    """Upper bounds."""


class LocalObjectReference(ApiModel):
    """A reference to an object in the job's namespace."""

    name: ObjectName
    """Name of the object."""


class PodMetadata(ApiModel):
    """Labels and annotations added to every pod."""

    labels: Labels = {}
    """Labels, such as the queue name of a scheduler."""
    annotations: Annotations = {}
    """Annotations."""


class WorkersSpec(ApiModel):
    """Number and shape of the pods; one pod per node."""

    nodes: Annotated[int, Field(ge=1, le=4096)] = 1
    """Pods, each on its own node where that is possible."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 1
    """GPUs and ranks per pod. 0 trains on CPUs over gloo."""
    gpu_resource: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", max_length=317)] = "nvidia.com/gpu"
    """Name of the extended resource."""
    processes_per_node: Annotated[int, Field(ge=1, le=256)] | None = None
    """Ranks per pod when gpusPerNode is 0; 1 by default."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    shared_memory: Quantity | None = None
    """Size of /dev/shm; 16Gi with GPUs and 1Gi without by default. It counts against the memory limit."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Trainer image; the one the operator was installed with by default."""
    node_selector: Labels = {}
    """Labels a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] = []
    """Taints the pods tolerate, besides the one of the GPU resource."""
    affinity: KubernetesObject | None = None
    """Affinity as in a pod; replaces the preference for neighbouring nodes."""
    topology_key: Annotated[str, Field(min_length=1, max_length=317)] | None = None
    """Node label whose value the pods should share, such as a rack or a network block; preferred, not required."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods; its token is not mounted."""
    env: Annotated[list[EnvVar], Field(max_length=256)] = []
    """Environment variables of the trainer."""
    env_from: Annotated[list[KubernetesObject], Field(max_length=64)] = []
    """Secrets and ConfigMaps whose keys become environment variables, as in a pod."""
    volumes: Annotated[list[KubernetesObject], Field(max_length=64)] = []
    """Additional volumes, as in a pod."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=64)] = []
    """Mounts of these volumes."""
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16)] = []
    """Secrets for pulling the image."""
    pod_metadata: PodMetadata = PodMetadata()
    """Labels and annotations added to every pod."""

    RULES: ClassVar = (
        Rule(
            cel="!has(self.processesPerNode) || {gpusPerNode} == 0",
            holds=lambda workers: workers.processes_per_node is None or workers.gpus_per_node == 0,
            message="processesPerNode is for CPU training, but gpusPerNode is {gpusPerNode} and each GPU gets one "
            "process; remove processesPerNode or set gpusPerNode to 0",
            field="processesPerNode",
        ),
    )

    @property
    def ranks_per_node(self) -> int:
        """Training processes in each pod."""
        return self.gpus_per_node or self.processes_per_node or 1

    @property
    def world_size(self) -> int:
        """Training processes of the whole job."""
        return self.nodes * self.ranks_per_node
