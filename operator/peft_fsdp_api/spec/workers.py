"""On what it runs: number and shape of the pods."""

from typing import Annotated, ClassVar

from pydantic import Field

from ..names import RESERVED_VOLUME_PREFIX
from ..quantity import Quantity
from ..schema import ApiModel, Rule
from ..text import VISIBLE, Keyed, Text
from .output import ObjectName
from .pod import (
    LABEL_KEY,
    EnvSource,
    EnvVar,
    KubernetesObject,
    Labels,
    LocalObjectReference,
    PodMetadata,
    Resources,
    Toleration,
    Volume,
    VolumeMount,
)

GpuResource = Annotated[
    str,
    Field(max_length=317),
    Text(r"[a-z0-9.-]+/[A-Za-z0-9._-]+", "the name of an extended resource such as nvidia.com/gpu"),
]

ImageName = Annotated[str, Field(max_length=512), Text(rf"{VISIBLE}+", "the name of an image without blanks")]


class WorkersSpec(ApiModel):
    """Number and shape of the pods; one pod per node."""

    nodes: Annotated[int, Field(ge=1, le=4096)] = 1
    """Pods, each on its own node where that is possible."""
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 1
    """GPUs and ranks per pod. 0 trains on CPUs over gloo."""
    gpu_resource: GpuResource = "nvidia.com/gpu"
    """Name of the extended resource."""
    processes_per_node: Annotated[int, Field(ge=1, le=256)] | None = None
    """Ranks per pod when gpusPerNode is 0; 1 by default."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    shared_memory: Quantity | None = None
    """Size of /dev/shm; 16Gi with GPUs and 1Gi without by default. It counts against the memory limit."""
    image: ImageName | None = None
    """Trainer image; the one the operator was installed with by default."""
    node_selector: Labels = {}
    """Labels a node must have; any node by default."""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] = []
    """Taints the pods tolerate, besides the one of the GPU resource."""
    affinity: KubernetesObject | None = None
    """Affinity as in a pod. Absent means a preference for a node each, and for neighbours in topologyKey."""
    topology_key: Annotated[str, Field(max_length=317), LABEL_KEY] | None = None
    """Node label whose value the pods should share, such as a rack or a network block; preferred, not
    required, and without effect for one node; absent means no such preference."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods; absent means the cluster's default."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pods, such as nvidia where GPUs need one; absent means the nodes' default runtime."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods; its token is not mounted. Absent means the namespace's default."""
    env: Annotated[list[EnvVar], Field(max_length=256), Keyed("name")] = []
    """Environment variables of the trainer."""
    env_from: Annotated[list[EnvSource], Field(max_length=64)] = []
    """Secrets and ConfigMaps whose keys become environment variables, as in a pod."""
    volumes: Annotated[list[Volume], Field(max_length=64), Keyed("name")] = []
    """Additional volumes, as in a pod."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=64), Keyed("mountPath")] = []
    """Mounts of these volumes."""
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16), Keyed("name")] = []
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
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(mount, "
            "!has(mount.name) || has(self.volumes) && "
            "self.volumes.exists(volume, has(volume.name) && volume.name == mount.name))",
            holds=lambda workers: (
                {mount.name for mount in workers.volume_mounts} <= {volume["name"] for volume in workers.volumes}
            ),
            message="every entry of volumeMounts must name one of volumes; add the volume or correct the name",
            field="volumeMounts",
        ),
        Rule(
            cel="!has(self.volumes) || "
            "!self.volumes.exists(volume, has(volume.name) && "
            f'volume.name.startsWith("{RESERVED_VOLUME_PREFIX}"))',
            holds=lambda workers: (
                not any(volume["name"].startswith(RESERVED_VOLUME_PREFIX) for volume in workers.volumes)
            ),
            message=f"names that begin with {RESERVED_VOLUME_PREFIX} belong to volumes of the operator; "
            "rename the volume",
            field="volumes",
        ),
        Rule(
            cel="!has(self.resources) || "
            "(!has(self.resources.requests) || !({gpuResource} in self.resources.requests)) && "
            "(!has(self.resources.limits) || !({gpuResource} in self.resources.limits))",
            holds=lambda workers: (
                workers.gpu_resource not in workers.resources.requests
                and workers.gpu_resource not in workers.resources.limits
            ),
            message='resources has "{gpuResource}", which gpusPerNode asks for already; remove it there',
            field="resources",
        ),
        Rule(
            cel="{gpuResource} == 'nvidia.com/gpu' || {gpusPerNode} > 0",
            holds=lambda workers: workers.gpu_resource == "nvidia.com/gpu" or workers.gpus_per_node > 0,
            message='gpuResource is "{gpuResource}", but gpusPerNode is {gpusPerNode}, so none is asked for; '
            "remove gpuResource, or raise gpusPerNode",
            field="gpuResource",
        ),
        Rule(
            cel="!has(self.topologyKey) || !has(self.affinity)",
            holds=lambda workers: workers.topology_key is None or workers.affinity is None,
            message="affinity replaces the preference that topologyKey states; remove one of them",
            field="topologyKey",
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
