"""What makes the engine look at a job, and what it forgets when the job is gone."""

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_operator.cluster import Cluster
from peft_fsdp_operator.engine import Engine
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_operator.settings import Settings
from tests.controller.builders import failed, job

SETTINGS = Settings("image", (), False, None, "lease", "me", "", 0, 16, "text", "INFO")


@pytest.fixture
async def engine():
    return Engine(SETTINGS, "n", Cluster(None, ""), Metrics())


def raw(version, uid="u1"):
    return {"metadata": {"namespace": "team", "name": "tune", "uid": uid, "resourceVersion": version}}


async def test_a_new_version_is_looked_at(engine):
    engine.take("ADDED", raw("1"))
    assert len(engine._queue) == 1


async def test_of_a_namespace_that_is_left_nothing_is_known(engine):
    engine.take("ADDED", raw("1"))
    engine.leave("another")
    assert len(engine.jobs) == 1
    engine.leave("team")
    assert len(engine.jobs) == 0


async def test_what_an_own_write_has_told_already_is_not_looked_at_again(engine):
    engine.jobs.keep(raw("2"))
    for echo in (raw("1"), raw("2")):
        engine.take("MODIFIED", echo)
    assert len(engine._queue) == 0


@pytest.fixture
def lose_pods(engine):
    """Two pods of a job that failed go, as the reflector tells of them."""

    def lose():
        for worker in (0, 1):
            pod = failed(worker, Reason.DATASET_INVALID)
            engine._pod_went(pod, pod)

    return lose


def kept(engine):
    return len(engine._mirrors.last_words), engine._children.rendered


async def test_of_a_job_that_is_there_the_pods_last_words_are_kept_until_it_is_deleted(engine, lose_pods):
    engine.take("ADDED", raw("1"))
    engine._children._render_shared(job())
    lose_pods()
    assert kept(engine) == (2, 1)
    engine.take("DELETED", raw("2"))
    assert kept(engine) == (0, 0)


@pytest.mark.parametrize("known", [None, raw("9", uid="u2")], ids=["deleted", "made again"])
async def test_pods_that_go_after_their_job_leave_nothing(engine, lose_pods, known):
    if known is not None:
        engine.take("ADDED", known)
    lose_pods()
    assert kept(engine) == (0, 0)


async def test_nothing_stays_of_a_job_that_another_one_took_the_name_of(engine, lose_pods):
    engine.take("ADDED", raw("1"))
    engine._children._render_shared(job())
    lose_pods()
    engine.take("ADDED", raw("9", uid="u2"))
    assert kept(engine) == (0, 0)


async def test_nothing_stays_of_a_job_that_was_deleted_during_its_pass(engine, monkeypatch):
    class Pass:
        async def reconcile(self, key):
            engine.take("DELETED", raw("2"))
            engine._children._render_shared(job())

    engine.take("ADDED", raw("1"))
    monkeypatch.setattr(engine, "_reconciler", Pass())
    await engine._pass(("team", "tune"))
    assert kept(engine) == (0, 0)
