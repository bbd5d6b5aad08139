"""Where it goes and where it comes from: the output volume, the Hub and the shared cache."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..schema import ApiModel, Rule
from ..text import VISIBLE, Text
from .model import HUB_ID_PATTERN

ObjectName = Annotated[
    str,
    Field(max_length=253),
    Text(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "the name of an object: lower case letters, digits, hyphens and dots",
    ),
]
# One or more path segments, none of which starts with a dot: no "..", no hidden folder, no leading slash.
RelativePath = Annotated[
    str,
    Field(max_length=512),
    Text(
        r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*",
        "a relative path such as llama/run-1: no leading slash, no part that begins with a dot",
    ),
]
HubId = Annotated[str, Field(max_length=256), Text(HUB_ID_PATTERN, "a name on the Hub such as my-org/my-adapter")]
WebAddress = Annotated[
    str, Field(max_length=512), Text(rf"https?://{VISIBLE}+", "an address such as https://hub.example.com")
]


class PushToHubSpec(ApiModel):
    """Upload of the adapter to the Hub. The token comes from hub.tokenSecret."""

    repo: HubId
    """Repository to push to, such as me/adapter; without a namespace it is in that of the token's owner. It is created
    when it does not exist."""
    private: bool = True
    """Create the repository as a private one."""
    when: Literal["end", "checkpoint"] = "end"
    """Push once at the end, or the adapter of every checkpoint too."""


class OutputSpec(ApiModel):
    """Where adapter and checkpoints are written."""

    claim: ObjectName
    """PersistentVolumeClaim in the job's namespace. With several nodes it must be ReadWriteMany."""
    path: RelativePath | None = None
    """Folder inside the claim; the job's name by default. The adapter is in its `adapter` folder."""
    push_to_hub: PushToHubSpec | None = None
    """Upload to the Hub; absent means none."""
    merge: bool = False
    """Also write the base model with the adapter merged in, in 16 bit, into the `merged` folder."""


class HubSpec(ApiModel):
    """Access to the Hugging Face Hub."""

    token_secret: ObjectName | None = None
    """Secret whose key `token` holds the access token, for gated models and for pushing. Absent means no
    token."""
    endpoint: WebAddress | None = None
    """Address of a mirror; absent means huggingface.co."""
    offline: bool = False
    """Never contact the Hub; everything must be in the cache or under a path."""

    RULES: ClassVar = (
        Rule(
            cel="!has(self.endpoint) || !{offline}",
            holds=lambda hub: hub.endpoint is None or not hub.offline,
            message="endpoint names a mirror, but offline is {offline} and nothing is asked there; remove one of them",
            field="endpoint",
        ),
    )


class CacheSpec(ApiModel):
    """Storage shared by jobs for downloads and tokenized data."""

    claim: ObjectName
    """PersistentVolumeClaim in the job's namespace. Without a cache each pod downloads into its scratch volume."""
