"""From flags and an Accelerate file to a job that the contract accepts. Called by `command`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft_fsdp_api.job import InvalidJob, PeftFsdpJob, parse_job
from peft_fsdp_api.names import API_VERSION, KIND
from peft_fsdp_api.schema import Problem

from .accelerate_file import read_accelerate_file
from .arguments import read_arguments
from .choices import choose
from .draft import Draft
from .options import OPTION_OF, Options
from .rules import RULES
from .script_flags import GUIDE


@dataclass(frozen=True)
class Conversion:
    """The job and what is to be said about it."""

    manifest: dict[str, Any]
    origins: Mapping[str, str]
    """Path below spec -> flags and keys it stands for."""
    idle: Sequence[tuple[str, str]]
    """Flags and keys without a meaning in the job, and why."""
    choices: Sequence[str]
    """What was chosen because nobody said it."""


def convert(arguments: Sequence[str], accelerate_config: str, options: Options) -> Conversion:
    """The job of a run of the guide.

    Raises:
        InvalidJob: with every problem, each named after the flag or key it comes from.
    """
    sources = (read_arguments(arguments), read_accelerate_file(accelerate_config))
    draft = Draft({key: said for source in sources for key, said in source.said.items()})
    draft.problems += [problem for source in sources for problem in source.problems]
    draft.choices += [remark for source in sources for remark in source.remarks]
    _take_rows(draft)
    for rule in RULES:
        rule(draft)
    name = choose(draft, options)
    draft.problems += [Problem(shown, "convert does not know what it means here") for shown in draft.unspoken]
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": _nested(draft.fields)}
    job = _validated(manifest, draft)
    draft.choices += _defaults(job, draft)
    return Conversion(manifest, draft.origins, draft.idle, draft.choices)


def _take_rows(draft: Draft) -> None:
    """The rows that stand for themselves: one field, or nothing at all."""
    for key, said in draft.said.items():
        setting = said.setting
        if not setting.fields:
            draft.drop(key, setting.remark)
        elif not setting.combined:
            draft.put(setting.fields[0], said.value, key)
    if not draft.has("--packing"):
        draft.put("dataset.packing", False)
        draft.choices.append("dataset.packing is false: --packing is not given, and the script packs only with it.")


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for path, value in fields.items():
        *sections, last = path.split(".")
        place = spec
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return spec


def _validated(manifest: Mapping[str, Any], draft: Draft) -> PeftFsdpJob:
    """The job by the contract; its problems are told in the words of the flags, after those of the flags."""
    problems, job = list(draft.problems), None
    try:
        job = parse_job(manifest)
    except InvalidJob as error:
        # A flag that could not be read may leave a required field empty; saying so twice would not help.
        told = {problem.field for problem in problems}
        named = (_named(problem, draft) for problem in error.problems)
        problems += [problem for problem in named if told.isdisjoint(problem.field.split(", "))]
    if job is None or problems:
        raise InvalidJob(problems)
    return job


def _named(problem: Problem, draft: Draft) -> Problem:
    if problem.field.startswith("metadata.name"):
        return Problem("--name", f"{problem.message} ({problem.field})")
    path = problem.field.removeprefix("spec.").split("[")[0]
    origin = draft.origins.get(path) or OPTION_OF.get(path) or _flags_of(path)
    return Problem(origin, f"{problem.message} ({problem.field})") if origin else problem


def _flags_of(path: str) -> str:
    """The flags that would give a field; of a section, the first."""
    flags = [setting.name for setting in GUIDE if path in setting.fields and not setting.same_as]
    below = [setting.name for setting in GUIDE for field in setting.fields if field.startswith(f"{path}.")]
    return ", ".join(flags or below[:1])


def _defaults(job: PeftFsdpJob, draft: Draft) -> list[str]:
    """The fields of the guide's flags that nobody gave, with what the job has in their place."""
    wire = job.spec.to_wire()
    left = {}
    for path in (field for setting in GUIDE for field in setting.fields):
        value = _at(wire, path.split("."))
        if path not in draft.fields and value is not None and not isinstance(value, dict):
            left[path] = value
    told = ", ".join(f"{path} {_spelled(value)}" for path, value in left.items())
    return [f"Not given, so the job's own defaults hold: {told}."] if told else []


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
