"""What the operator keeps of the jobs: the newest version of each, and how many are in which phase."""

from peft_fsdp_operator.jobs import JobKey, Jobs


def raw(name: str, version: int, phase: str | None = None, uid: str = "u"):
    status = {"phase": phase} if phase else {}
    return {"metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version)}, "status": status}


def test_phases_are_counted_as_they_change():
    jobs = Jobs()
    for job in (raw("a", 1), raw("b", 2), raw("a", 3, "Running"), raw("b", 1, "Failed")):
        jobs.keep(job)
    assert jobs.phases() == {"Running": 1, "New": 1}


def test_a_job_that_is_gone_or_made_again_counts_no_more():
    jobs = Jobs()
    jobs.keep(raw("a", 1, "Running"))
    jobs.keep(raw("a", 9, uid="v"))
    assert jobs.phases() == {"New": 1}
    jobs.drop(JobKey("n", "a"))
    jobs.drop(JobKey("n", "a"))
    assert jobs.phases() == {}


def test_jobs_on_their_way_to_running_are_alike():
    jobs = Jobs()
    for version, (name, phase) in enumerate([("a", None), ("b", "Pending"), ("c", "Starting"), ("d", "Running")]):
        jobs.keep(raw(name, version, phase))
    assert [jobs.alike(phase) for phase in ("Pending", "Starting", "Running", "Failed", None)] == [3, 3, 1, 0, 0]


def test_an_old_list_does_not_bring_back_the_job_that_had_the_name_before():
    jobs = Jobs()
    jobs.keep(raw("a", 9, uid="new"))
    jobs.keep(raw("a", 5, "Running", uid="old"))
    record = jobs.get(JobKey("n", "a"))
    assert record is not None
    assert record.uid == "new"


def test_a_version_is_known_once_it_or_a_newer_one_of_the_same_job_was_kept():
    jobs = Jobs()
    jobs.keep(raw("a", 5))
    asked = [raw("a", 4), raw("a", 5), raw("a", 6), raw("a", 4, uid="v"), raw("b", 1)]
    assert [jobs.knows(one) for one in asked] == [True, True, False, False, False]
