"""Reads manifests as kubectl does, so that a file means the same to `validate`, to a local run and to the cluster.

PyYAML alone takes `1e-4` for a string, a date for a date and the second of two equal keys without a word.
Called by the operator's CLI and by `peft-fsdp run`.
"""

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from . import names

_FLOAT: Final = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_FLOAT_TAG: Final = "tag:yaml.org,2002:float"
_REPLACED_TAGS: Final = frozenset({_FLOAT_TAG, "tag:yaml.org,2002:timestamp"})


class _Loader(yaml.SafeLoader):
    """YAML with kubectl's scalars, in which a key may stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'key "{key}" is set twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag not in _REPLACED_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# After the integers, which the form of a float would take too.
_Loader.add_implicit_resolver(_FLOAT_TAG, re.compile(rf"^(?:{_FLOAT})$"), list("-+.0123456789"))


def load_documents(text: str) -> list[Any]:
    """The documents of a YAML text that are not empty. Raises yaml.YAMLError, which names line and column."""
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply to be read") from error


def load_jobs(text: str) -> list[dict[str, Any]]:
    """The jobs of a manifest, those in a List too; other objects, such as a claim beside its job, are passed over.

    A manifest with a single object gives that object, whatever it is: `parse_job` says what is wrong with it.
    Raises yaml.YAMLError, or ValueError where a document is no object or nothing is a job.
    """
    objects = [one for document in load_documents(text) for one in _members(document)]
    if not all(isinstance(one, dict) for one in objects):
        raise ValueError("it holds a document that is no Kubernetes object")
    jobs = objects if len(objects) == 1 else [one for one in objects if one.get("kind") == names.KIND]
    if not jobs:
        raise ValueError(f"it holds no object of kind {names.KIND}")
    return jobs


def _members(document: Any) -> list[Any]:
    """The items of a List of any kind, as `kubectl get -o yaml` writes it, or the document itself."""
    is_list = isinstance(document, dict) and str(document.get("kind", "")).endswith("List")
    items = document.get("items") if is_list else None
    return items if isinstance(items, list) else [document]
