"""Whether the claims of a job can serve its pods: checked before any pod is made. Called by `rules`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from peft_fsdp_api.reasons import Reason

from ..seen import ClaimSeen

SHARED: Final = frozenset({"ReadWriteMany", "ReadOnlyMany"})
WRITABLE: Final = frozenset({"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"})
WRITTEN: Final = frozenset({"output.claim", "cache.claim"})
"""Fields whose claims every worker writes to; others may hold what is only read."""


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
        modes = set(claim.access_modes)
        named = f'spec.{claim.field} names the claim "{claim.name}" ({", ".join(claim.access_modes)})'
        if claim.field in WRITTEN and not modes & WRITABLE:
            return ClaimProblem(Reason.CLAIM_NOT_WRITABLE, f"{named}, which no pod can write to", may_pass=False)
        if nodes > 1 and not modes & (SHARED & WRITABLE if claim.field in WRITTEN else SHARED):
            return ClaimProblem(Reason.CLAIM_NOT_SHARED, f"{named}, but workers.nodes is {nodes}", may_pass=False)
    return None
