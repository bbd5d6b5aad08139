"""Whether the claims of a job can serve its pods: checked before any pod is made. Called by `rules`."""

from collections.abc import Iterable
from dataclasses import dataclass

from peft_fsdp_api.reasons import Reason

from ..seen import ClaimSeen

SHARED_MODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})


@dataclass(frozen=True)
class ClaimProblem:
    """What is wrong with a claim. A missing one may still be on its way: people apply job and claim together."""

    reason: Reason
    message: str
    may_pass: bool


def find_problem(claims: Iterable[ClaimSeen], nodes: int, namespace: str) -> ClaimProblem | None:
    """The first problem, or None."""
    for claim in claims:
        if claim.access_modes is None:
            message = (
                f'spec.{claim.field} names the claim "{claim.name}", which does not exist in namespace {namespace}'
            )
            return ClaimProblem(Reason.CLAIM_NOT_FOUND, message, may_pass=True)
        if nodes > 1 and not SHARED_MODES & set(claim.access_modes):
            modes = ", ".join(claim.access_modes)
            message = f'spec.{claim.field} names the claim "{claim.name}" ({modes}), but workers.nodes is {nodes}'
            return ClaimProblem(Reason.CLAIM_NOT_SHARED, message, may_pass=False)
    return None
