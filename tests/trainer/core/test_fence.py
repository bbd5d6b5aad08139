"""Two attempts over one output: the older one changes nothing there any more, wherever it is when the newer starts."""

import pytest

from peft_fsdp_api.trainer_config import JobIdentity
from peft_fsdp_trainer.checkpoint_folders import CheckpointFolders
from peft_fsdp_trainer.errors import OutputConflict, Superseded
from peft_fsdp_trainer.fence import newest_attempt
from peft_fsdp_trainer.output import Output


def attempt(volume, number, uid="uid-1"):
    output = Output(volume / "tiny", volume, JobIdentity(name="tiny", namespace="team", uid=uid), number)
    output.claim()
    return output


def begin(output, step):
    """A checkpoint that is written and not committed."""
    place = CheckpointFolders(output).of_step(step)
    partial = output.begin_folder(place)
    (partial / "state").write_text(f"attempt {output.attempt}")
    return partial, place


def commit(output, partial, place):
    CheckpointFolders(output).commit(partial, place, {"attempt": output.attempt})


def files(volume):
    return {str(path.relative_to(volume)): path.read_text() for path in volume.rglob("*") if path.is_file()}


def export(output):
    with output.complete_folder(output.adapter) as folder:
        (folder / "adapter_model.safetensors").write_text(f"attempt {output.attempt}")


def merge(output):
    partial = output.begin_folder(output.merged)
    output.end_folder(partial, output.merged)


ACTS = {
    "begins a checkpoint": lambda old: begin(old, 50),
    "exports": export,
    "merges": merge,
    "removes old checkpoints": lambda old: CheckpointFolders(old).prune(1),
    "looks for a checkpoint": lambda old: CheckpointFolders(old).newest(),
    "starts once more": Output.claim,
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_an_old_attempt_changes_nothing(tmp_path, act):
    old = attempt(tmp_path, 1)
    for step in (10, 20, 30):
        commit(old, *begin(old, step))
    new = attempt(tmp_path, 2)
    begin(new, 50)
    before = files(tmp_path)
    with pytest.raises(Superseded, match="attempt 2 of this job"):
        act(old)
    assert files(tmp_path) == before


def test_a_checkpoint_that_was_begun_before_is_not_committed(tmp_path):
    old = attempt(tmp_path, 1)
    partial, place = begin(old, 50)
    attempt(tmp_path, 2)
    with pytest.raises(Superseded):
        commit(old, partial, place)
    assert not place.exists()


def test_an_export_that_was_begun_before_is_not_put_into_place(tmp_path):
    old = attempt(tmp_path, 1)
    partial = old.begin_folder(old.adapter)
    attempt(tmp_path, 2)
    with pytest.raises(Superseded):
        old.end_folder(partial, old.adapter)
    assert not old.adapter.exists()


def test_the_new_attempt_removes_what_the_old_one_writes_and_that_ends_it(tmp_path):
    old = attempt(tmp_path, 1)
    partial, _ = begin(old, 50)
    new = attempt(tmp_path, 2)
    assert CheckpointFolders(new).newest() is None
    with pytest.raises(Superseded, match="attempt 2 of this job has taken over"), old.fence.around():
        (partial / "random-0.pt").write_text("old")


def test_an_error_with_no_newer_attempt_is_what_it_was(tmp_path):
    old = attempt(tmp_path, 1)
    with pytest.raises(FileNotFoundError), old.fence.around():
        (tmp_path / "nowhere" / "file").write_text("old")


def test_the_number_is_raised_again_where_an_older_attempt_wrote_last(tmp_path):
    new = attempt(tmp_path, 2)
    late = Output(new.folder, tmp_path, new.job, 1)
    late.fence._write()
    assert newest_attempt(new.folder, "uid-1") == 1
    new.confirm()
    assert newest_attempt(new.folder, "uid-1") == 2
    with pytest.raises(Superseded):
        late.confirm()


def test_a_job_that_takes_a_folder_over_counts_anew(tmp_path):
    gone = attempt(tmp_path, 5)
    attempt(tmp_path, 1, uid="uid-2").confirm()
    with pytest.raises(OutputConflict, match="taken over by another job"):
        gone.confirm()


def test_a_refused_job_leaves_the_number_alone(tmp_path):
    old = attempt(tmp_path, 3)
    export(old)
    with pytest.raises(OutputConflict):
        attempt(tmp_path, 1, uid="uid-2")
    assert newest_attempt(old.folder, "uid-1") == 3


def test_a_number_that_cannot_be_read_is_named(tmp_path):
    old = attempt(tmp_path, 1)
    (old.folder / ".peft-fsdp-attempt.json").write_text("{")
    with pytest.raises(OutputConflict, match=r"attempt\.json cannot be read"):
        old.confirm()
