"""The CustomResourceDefinition of PeftFsdpJob, made from the models.

Called by `generate` and by `peft-fsdp-operator crd`.
"""

from typing import Any, Final

import yaml

from . import names
from .job import JOB_NAME, JobSpec, PeftFsdpJob
from .status import JobStatus
from .structural import NotStructural, Schema, inline_schema, optional_without_default, structural
from .text import VALIDATIONS

# Sections that may change at any time; all others, also those of later versions, are fixed by the first attempt.
MUTABLE: Final = frozenset(
    {
        *("suspend", "startDeadline", "activeDeadline", "stallTimeout", "stallAction", "nodeLostTimeout"),
        *("ttlAfterFinished", "cleanup", "restart"),
    }
)

# What the API server shows until the operator has written: kstatus takes a job without a status for a finished one.
UNSEEN: Final = {"observedGeneration": -1}

_NOT_STARTED: Final = (
    "!has(self.spec) || !has(oldSelf.spec) || "
    "!has(oldSelf.status) || !has(oldSelf.status.attempt) || oldSelf.status.attempt < 1"
)

PRINTER_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", 0, "Summary of the conditions."),
    ("Attempt", "integer", ".status.attempt", 0, "Number of the current attempt."),
    ("Progress", "string", ".status.progress.summary", 0, "Optimizer steps done and in all."),
    ("Loss", "number", ".status.progress.loss", 0, "Training loss of the last logged step."),
    ("Remaining", "string", ".status.progress.remaining", 0, "Estimated time to the end of the training."),
    ("Tokens/s", "number", ".status.progress.tokensPerSecond", 1, "Tokens of all ranks per second."),
    ("Waiting", "string", ".status.waiting.reason", 1, "What the job waits for."),
    ("Failure", "string", ".status.lastFailure.reason", 1, "Why the last failed attempt ended."),
    ("Adapter", "string", ".status.adapter.path", 1, "Folder of the finished adapter inside the output claim."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "Time since the job was created."),
)


def crd() -> dict[str, Any]:
    """The whole object, ready for `kubectl apply`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def crd_yaml() -> str:
    """The same as YAML, keys in the order in which people read them."""
    return yaml.dump(crd(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: they are legal, but no one expects them in a manifest."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _version() -> Schema:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description}
            | ({"priority": priority} if priority else {})
            for name, kind, path, priority, description in PRINTER_COLUMNS
        ],
        "schema": {"openAPIV3Schema": job_schema()},
    }


def job_schema() -> Schema:
    """The structural schema of the whole object."""
    return {
        "type": "object",
        "description": PeftFsdpJob.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of this schema: {names.API_VERSION}."},
            "kind": {"type": "string", "description": f"Kind of the object: {names.KIND}."},
            "metadata": {"type": "object"},  # the API server allows no description here and has its own
            "spec": structural(spec_tree(), "spec"),
            "status": {**structural(inline_schema(JobStatus), "status"), "default": UNSEEN},
        },
        VALIDATIONS: [*_name_rules(), *_immutability_rules()],
    }


def spec_tree() -> Schema:
    """The spec's tree, every field of which says what happens when it is left out."""
    tree = inline_schema(JobSpec)
    silent = list(optional_without_default(tree, "spec"))
    if silent:
        raise NotStructural(f"{', '.join(silent)}: the description must say what the absence of the field means")
    return tree


def _name_rules() -> list[Schema]:
    """The name's own check, moved to the root: a CRD sees nothing of the metadata but the name."""
    form = JOB_NAME.rule("self.metadata.name", "metadata.name: ")
    limit = names.JOB_NAME_MAX_LENGTH
    length = {
        "rule": f"self.metadata.name.size() <= {limit}",
        "messageExpression": "'metadata.name: too long: may not be more than "
        f"{limit} characters, which leaves room for the names of its pods, but it has %s'"
        ".format([self.metadata.name.size()])",
    }
    return [length, form]


def _immutability_rules() -> list[Schema]:
    sections = [field.alias or name for name, field in JobSpec.model_fields.items()]
    return [
        {
            "rule": f"{_unchanged(section)} || {_NOT_STARTED}",
            "message": f"spec.{section} is fixed once the first attempt has started; make a new job to change it",
            "fieldPath": f".spec.{section}",
        }
        for section in sections
        if section not in MUTABLE
    ]


def _unchanged(section: str) -> str:
    """Comes first and takes few steps: every status write evaluates it for every section, and each step into `spec`
    costs the API server a map of all its fields. These rules were a third of its work for a status write."""
    new, old = f"self.spec.{section}", f"oldSelf.spec.{section}"
    return f"has(self.spec) && has(oldSelf.spec) && (has({new}) ? has({old}) && {new} == {old} : !has({old}))"
