"""What makes the engine look at a job."""

import pytest

from peft_fsdp_operator.cluster import Cluster
from peft_fsdp_operator.engine import Engine
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_operator.settings import Settings


@pytest.fixture
async def engine():
    settings = Settings("image", (), False, None, "lease", "me", "", 0, 16, "text", "INFO")
    return Engine(settings, "n", Cluster(None, ""), Metrics())


def raw(version):
    return {"metadata": {"namespace": "n", "name": "job", "uid": "u", "resourceVersion": version}}


async def test_a_new_version_is_looked_at(engine):
    engine.take("ADDED", raw("1"))
    assert len(engine._queue) == 1


async def test_what_an_own_write_has_told_already_is_not_looked_at_again(engine):
    engine.jobs.keep(raw("2"))
    for echo in (raw("1"), raw("2")):
        engine.take("MODIFIED", echo)
    assert len(engine._queue) == 0
