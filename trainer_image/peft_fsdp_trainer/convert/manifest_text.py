"""The text of a converted job: YAML whose comments say which flag a line stands for. Called by `command`."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from peft_fsdp_api.job import JobSpec
from peft_fsdp_api.manifest import load_documents
from peft_fsdp_api.schema import ApiModel, nested_model

from .conversion import Conversion

WIDTH: Final = 120


def manifest_text(conversion: Conversion, source: str) -> str:
    """The YAML file; `source` names the Accelerate file."""
    manifest = conversion.manifest
    head = [f"From {source} and the flags of the guide's script, by `peft-fsdp convert`."]
    if conversion.idle:
        head += ["", "Flags and keys that have no meaning in this job, and why:", *_reasons(conversion)]
    if conversion.choices:
        head += ["", "What nobody said:", *(f"- {choice}" for choice in conversion.choices)]
    lines = [comment for line in head for comment in _comment(line)]
    lines += [f"apiVersion: {manifest['apiVersion']}", f"kind: {manifest['kind']}"]
    lines += ["metadata:", f"  name: {_scalar(manifest['metadata']['name'])}", "spec:"]
    lines += _section(manifest["spec"], JobSpec, "", conversion.origins)
    return "\n".join(lines) + "\n"


def _reasons(conversion: Conversion) -> Iterator[str]:
    """One line per reason, with all the flags and keys that share it."""
    shared: dict[str, list[str]] = {}
    for shown, why in conversion.idle:
        shared.setdefault(why, []).append(shown)
    for why, names in shared.items():
        yield f"- {', '.join(names)}: {why}"


def _comment(line: str) -> list[str]:
    wrapped = textwrap.wrap(
        line, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
    )
    return wrapped or ["#"]


def _section(
    content: Mapping[str, Any], model: type[ApiModel] | None, path: str, origins: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * (path.count(".") + 1)
    annotations = {field.alias: field.annotation for field in model.model_fields.values()} if model else {}
    for name in sorted(content, key=list(annotations).index) if annotations else content:
        value, origin = content[name], origins.get(f"{path}{name}")
        comment = f" # {origin}" if origin else ""
        if isinstance(value, dict):
            yield f"{indent}{name}:{comment}"
            yield from _section(value, nested_model(annotations.get(name)), f"{path}{name}.", origins)
        else:
            yield f"{indent}{name}: {_value(value)}{comment}"


def _value(value: Any) -> str:
    return "[" + ", ".join(_scalar(item) for item in value) + "]" if isinstance(value, list) else _scalar(value)


def _scalar(value: Any) -> str:
    """A scalar that kubectl reads back as it is: quoted where it would be taken for something else."""
    if isinstance(value, str):
        return value if _reads_back(value) else json.dumps(value)
    return str(yaml.safe_dump(value)).removesuffix("\n...\n").strip()


def _reads_back(text: str) -> bool:
    try:
        return load_documents(f"[{text}]") == [[text]]
    except yaml.YAMLError:
        return False
