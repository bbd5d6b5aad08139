"""What the operator and the API server make of a generated job, and whether they make the same of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from peft_fsdp_api import names
from peft_fsdp_api.job import InvalidJob, PeftFsdpJob
from peft_fsdp_api.schema import Problem
from peft_fsdp_api.status import JobStatus
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide, report_invalid
from peft_fsdp_operator.jobs import JobRecord
from peft_fsdp_operator.observe import see_status
from peft_fsdp_operator.render import render_configmap, render_pods, render_service
from peft_fsdp_operator.seen import Observed
from tests.controller.builders import NOW
from tests.specs.generator import Generated

SHOWN = 300
PATH = f"/apis/{names.API_VERSION}/namespaces/default/{names.PLURAL}"
PODS_RENDERED = 3
BEYOND_CEL = "levels deep"
"""In the sentence of the one rule that the API server cannot check."""


@dataclass(frozen=True)
class Answer:
    """The API server's: its code and its words."""

    code: int
    message: str

    @property
    def accepts(self) -> bool:
        return self.code == 201


def as_kubectl_sends(value: Any) -> Any:
    """Go writes the float 16.0 as `16`. As `16.0` the API server takes it for an integer too, but its CEL rules fail to
    read it; nothing in a CRD can change that."""
    if isinstance(value, dict):
        return {key: as_kubectl_sends(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_kubectl_sends(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


async def ask(session: aiohttp.ClientSession, server: str, job: dict[str, Any]) -> Answer:
    """Create it, as kubectl would, without keeping it."""
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    headers, body = {"Content-Type": "application/json"}, json.dumps(as_kubectl_sends(job))
    async with session.post(server + PATH, params=query, data=body, headers=headers) as response:
        answer = json.loads(await response.text())
        return Answer(response.status, str(answer.get("message", "")))


def problems_of(job: dict[str, Any]) -> list[Problem]:
    """What the operator says of it, none where it is valid. Whatever is not a refusal is a crash, and raises."""
    stored = {**job, "metadata": {**job["metadata"], "namespace": "default", "uid": "u1", "generation": 1}}
    parsed = JobRecord(stored).parsed
    if isinstance(parsed, InvalidJob):
        invalid = report_invalid(JobStatus(), 1, parsed.problems, [], False, NOW)
        told = with_conditions(invalid, [], NOW)
        assert see_status({"status": told.to_wire()}) == told
        return parsed.problems
    _live(parsed)
    return []


def _live(job: PeftFsdpJob) -> None:
    """The first two passes of a valid job, and everything that is rendered for it."""
    seen = Observed(job, JobStatus(), ())
    first = decide(seen, NOW)
    status = with_conditions(first, [], NOW)
    assert see_status({"status": status.to_wire()}) == status
    decide(replace(seen, status=status), NOW)
    pods = render_pods(job, 1, range(min(job.spec.workers.nodes, PODS_RENDERED)), "image")
    json.dumps([render_service(job), render_configmap(job), *pods])


def complaints(generated: Generated, answer: Answer) -> Iterator[str]:
    """What is wrong with the verdicts on a job."""
    try:
        problems = problems_of(generated.job)
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        yield f"the operator crashes: {type(error).__name__}: {str(error)[:SHOWN]}"
        return
    if answer.code not in (201, 400, 422):
        yield f"the API server answers {answer.code}: {answer.message[:SHOWN]}"
    seen_by_both = [problem for problem in problems if BEYOND_CEL not in problem.message]
    if seen_by_both if answer.accepts else not problems:
        said = "; ".join(map(str, problems))[:SHOWN] or "valid"
        yield f"the operator says: {said}; the API server: {answer.code} {answer.message[:SHOWN] or 'valid'}"
    for problem in problems:
        if not problem.message or not any(_is_about(problem, place) for place in generated.touched):
            yield f"nobody touched what this names: {str(problem)[:SHOWN]}"
    named = any(_is_named(problem.field, answer.message) for problem in seen_by_both)
    if seen_by_both and not answer.accepts and not named:
        yield f"the API server names none of {[one.field for one in problems]}: {answer.message[:SHOWN]}"


def _is_about(problem: Problem, place: str) -> bool:
    """The field is the place, above or below it, or misses beside it; or the sentence of a rule speaks of the place."""
    field, section = problem.field, problem.field.rpartition(".")[0]
    related = field == place or _is_below(field, place) or _is_below(place, field)
    beside = section != "spec" and _is_below(place, section)
    return related or beside or place.rsplit(".", 1)[-1].split("[")[0] in problem.message


def _is_below(path: str, above: str) -> bool:
    return path.startswith((f"{above}.", f"{above}["))


def _is_named(field: str, message: str) -> bool:
    """The API server writes the key of a map in brackets where a rule is broken, and after a dot elsewhere."""
    return _dotted(field) in _dotted(message)


def _dotted(text: str) -> str:
    return text.replace("[", ".").replace("]", "")
