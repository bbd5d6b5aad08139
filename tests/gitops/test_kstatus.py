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


def test_nobody_can_tell_a_job_without_a_status_from_a_finished_one():
    new = {**states()[0].object, "status": {}}
    assert kstatus([new]) == ["Current"]
