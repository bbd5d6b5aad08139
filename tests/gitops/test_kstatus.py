"""What Flux waits for, asked of kstatus itself."""

import pytest

from dev.gitops.verdict import kstatus
from tests.gitops.states import states

pytestmark = pytest.mark.slow


def test_kstatus_of_every_state():
    table = states()
    assert dict(zip([one.name for one in table], kstatus([one.object for one in table]), strict=True)) == {
        one.name: one.kstatus for one in table
    }


def test_a_job_without_any_status_would_be_taken_for_a_finished_one():
    """Why the CRD has a default for the status."""
    new = {key: value for key, value in states()[0].object.items() if key != "status"}
    assert kstatus([new]) == ["Current"]
