"""When it is tried again: the restart budgets."""

from typing import Annotated

from pydantic import Field

from ..durations import Deadline
from ..schema import ApiModel


class BudgetSpec(ApiModel):
    """How often one kind of failure is answered with a new attempt."""

    limit: Annotated[int, Field(ge=0, le=10000)]
    """New attempts; 0 means none."""
    window: Deadline | None = None
    """Time for which limit counts, from the first new attempt in it; after it the count begins anew. Absent means
    the whole life of the job."""


class RestartSpec(ApiModel):
    """Budgets for new attempts. A user error, such as a dataset that does not exist, is never retried."""

    application: BudgetSpec = BudgetSpec(limit=3)
    """Errors of the training program."""
    infrastructure: BudgetSpec = BudgetSpec(limit=10)
    """Lost nodes, deleted pods, broken network."""
    preemption: BudgetSpec = BudgetSpec(limit=100)
    """Pods that the cluster took away: preemption, eviction, drain."""
