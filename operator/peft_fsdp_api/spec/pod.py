"""The parts of a worker pod that users may add to: environment, volumes, mounts, tolerations, amounts, labels."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from typing_extensions import TypedDict

from ..names import (
    GROUP,
    LABEL_MANAGED_BY,
    RESERVED_ENV,
    RESERVED_ENV_PREFIXES,
    RESERVED_MOUNTS,
    RESERVED_VOLUME_PREFIX,
)
from ..quantity import Quantity
from ..schema import ApiModel, Rule
from ..text import Described, Keys, Text
from .output import ObjectName, RelativePath

LABEL_KEY: Final = Text(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    "a key such as app or example.com/queue",
)
_LABEL_VALUE: Final = Text(
    r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
    "letters, digits, hyphens, dots and underscores, with a letter or digit at both ends",
)
LabelValue = Annotated[str, Field(max_length=63), _LABEL_VALUE, Described("Value of the label.")]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64), Keys(LABEL_KEY)]
AnnotationValue = Annotated[str, Field(max_length=4096), Described("Value of the annotation.")]
Annotations = Annotated[dict[str, AnnotationValue], Field(max_length=64), Keys(LABEL_KEY)]
Amounts = Annotated[dict[str, Quantity], Field(max_length=32), Keys(LABEL_KEY)]
OBJECT_LEVELS: Final = 32


def _check_levels(given: dict[str, Any]) -> dict[str, Any]:
    """`given` itself, or an error where it is nested more deeply than any object of Kubernetes. The one rule that the
    API server cannot check: to CEL an open object has no fields."""
    level: list[Any] = [given]
    for _ in range(OBJECT_LEVELS):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in level if isinstance(inner, dict | list)]
        if not level:
            return given
    sentence = (
        f"is nested more than {OBJECT_LEVELS} levels deep, which no object of Kubernetes is; remove what is too deep"
    )
    raise PydanticCustomError("wrong_text", "{sentence}", {"sentence": sentence})


KubernetesObject = Annotated[dict[str, Any], AfterValidator(_check_levels)]
"""An object whose schema belongs to Kubernetes: passed on as it is, checked by the API server at pod creation."""
EnvSource = Annotated[KubernetesObject, Described("A Secret or ConfigMap as in envFrom of a pod.")]
VolumeName = Annotated[
    str,
    Field(max_length=63),
    Text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", "the name of a volume: lower case letters, digits and hyphens"),
]


class _NamedVolume(TypedDict):
    """A volume as in a pod."""

    __pydantic_config__ = ConfigDict(extra="allow", use_attribute_docstrings=True)  # type: ignore[misc]

    name: VolumeName
    """Name for workers.volumeMounts."""


class _VolumeShape:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(_NamedVolume)


Volume = Annotated[dict[str, Any], AfterValidator(_check_levels), _VolumeShape()]


def quoted(names: tuple[str, ...]) -> str:
    """Names as a CEL list."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


class EnvVar(ApiModel):
    """An environment variable of the trainer container."""

    name: Annotated[
        str,
        Field(max_length=256),
        Text(r"[A-Za-z_][A-Za-z0-9_.-]*", "letters, digits, underscores, dots and hyphens, with no digit in front"),
    ]
    """Name of the variable. The variables of the rendezvous belong to the operator."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Literal value; absent means valueFrom, or an empty value without that."""
    value_from: KubernetesObject | None = None
    """Source of the value as in a pod: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef. Absent where
    value is given."""

    RULES: ClassVar = (
        Rule(
            cel=f"!(self.name in {quoted(RESERVED_ENV)}) && "
            f"!{quoted(RESERVED_ENV_PREFIXES)}.exists(prefix, self.name.startsWith(prefix))",
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


def _overlap(mount: str, reserved: str) -> bool:
    return f"{mount}/".startswith(f"{reserved}/") or f"{reserved}/".startswith(f"{mount}/")


class VolumeMount(ApiModel):
    """A mount of one of workers.volumes in the trainer container."""

    name: VolumeName
    """Name of the volume."""
    mount_path: Annotated[
        str,
        Field(max_length=512),
        Text(r"(/[A-Za-z0-9_@%+=,~-][A-Za-z0-9._@%+=,~-]*)+", "an absolute path without . or .. such as /data"),
    ]
    """Absolute path in the container."""
    sub_path: RelativePath | None = None
    """Path inside the volume; absent means its root."""
    read_only: bool = True
    """Mount without write access."""

    RULES: ClassVar = (
        Rule(
            cel=f"!{quoted(RESERVED_MOUNTS)}.exists(path, self.mountPath == path || "
            'self.mountPath.startsWith(path + "/") || path.startsWith(self.mountPath + "/"))',
            holds=lambda mount: not any(_overlap(mount.mount_path, path) for path in RESERVED_MOUNTS),
            message='"{mountPath}" belongs to the operator; mount the volume elsewhere',
            field="mountPath",
        ),
        Rule(
            cel=f'!self.name.startsWith("{RESERVED_VOLUME_PREFIX}")',
            holds=lambda mount: not mount.name.startswith(RESERVED_VOLUME_PREFIX),
            message='"{name}" is a volume of the operator, which mounts it by itself; mount one of workers.volumes',
            field="name",
        ),
    )


class Toleration(ApiModel):
    """A taint the pods may run in spite of, as in a pod."""

    key: Annotated[str, Field(max_length=317), LABEL_KEY] | None = None
    """Key of the taint; absent matches every key with operator Exists."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Comparison with the taint's value."""
    value: LabelValue | None = None
    """Value of the taint for operator Equal; absent means an empty value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent matches all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Seconds for which NoExecute is tolerated; absent means for ever."""

    RULES: ClassVar = (
        Rule(
            cel='{operator} == "Equal" || !has(self.value)',
            holds=lambda toleration: toleration.operator == "Equal" or toleration.value is None,
            message="operator Exists compares no value; remove value, or use operator Equal",
            field="value",
        ),
        Rule(
            cel='{operator} == "Exists" || has(self.key)',
            holds=lambda toleration: toleration.operator == "Exists" or toleration.key is not None,
            message="operator Equal needs a key; set key, or use operator Exists to tolerate every taint",
            field="key",
        ),
        Rule(
            cel='!has(self.tolerationSeconds) || (has(self.effect) && self.effect == "NoExecute")',
            holds=lambda toleration: toleration.toleration_seconds is None or toleration.effect == "NoExecute",
            message="tolerationSeconds counts for effect NoExecute only; set effect to NoExecute or remove it",
            field="tolerationSeconds",
        ),
    )


class Resources(ApiModel):
    """CPU, memory and other resources of each pod, besides the GPUs."""

    requests: Amounts = {}
    """Guaranteed amounts, such as `{cpu: 8, memory: 64Gi}`."""
    limits: Amounts = {}
    """Upper bounds."""


class LocalObjectReference(ApiModel):
    """A reference to an object in the job's namespace."""

    name: ObjectName
    """Name of the object."""


class PodMetadata(ApiModel):
    """Labels and annotations added to every pod."""

    labels: Labels = {}
    """Labels, such as the queue name of a scheduler. None by default."""
    annotations: Annotations = {}
    """Annotations. None by default."""

    RULES: ClassVar = (
        Rule(
            cel="!has(self.labels) || self.labels.all(key, "
            f'!key.startsWith("{GROUP}/") && key != "{LABEL_MANAGED_BY}")',
            holds=lambda metadata: (
                not any(key.startswith(f"{GROUP}/") or key == LABEL_MANAGED_BY for key in metadata.labels)
            ),
            message=f"{LABEL_MANAGED_BY} and keys of {GROUP} are set by the operator; remove them",
            field="labels",
        ),
    )
