"""A checkpoint is not taken up by a job or by data that are others by now, and is not harmed by the attempt."""

import json
import os

import pytest

from peft_fsdp_trainer.checkpoint_origin import FIXED, Origin
from peft_fsdp_trainer.errors import DatasetInvalid, Unsupported
from tests.trainer.core.conftest import write_documents
from tests.trainer.core.gang import run_ranks, train_rank

FIELDS = dict.fromkeys(FIXED, "same")


def _run(config, folder, *arguments):
    return run_ranks(train_rank, 1, folder, config, *arguments)[0].value


@pytest.mark.slow
def test_what_was_changed_is_named_and_put_back_the_run_goes_on(make_config, tmp_path):
    data = write_documents(tmp_path / "data")
    config = make_config(dataset={"source": str(data)})
    _run(config, tmp_path / "first", 2)
    larger = config.model_copy(update={"lora": config.lora.model_copy(update={"rank": 8})})
    ended = _run(larger, tmp_path / "larger")
    assert (ended["reason"], ended["losses"]) == ("Unsupported", [])
    assert ended["message"] == "tiny/checkpoints/step-00000002 was written with lora.rank 4, this is 8"

    file = data / "train.jsonl"
    was, facts = file.read_text(), file.stat()
    file.write_text(was.replace("house 7 ", "house 8 "))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # same size, same time
    ended = _run(config, tmp_path / "other-rows")
    assert (ended["reason"], ended["losses"]) == ("DatasetInvalid", [])
    assert "the data is not what it was when tiny/checkpoints/step-00000002 was written" in ended["message"]

    file.write_text(was)
    assert len(_run(config, tmp_path / "again")["losses"]) == 2


@pytest.mark.parametrize(
    ("changes", "words", "hint"),
    [
        ({"training.seed": 7}, "written with training.seed 7, this is same", "Set training.seed to 7 to go on"),
        ({"dataset.textField": None}, "written with dataset.textField nothing", "or give another output.path"),
        ({"dataset.packing": True, "lora.targets": ["q", "v"]},
         "written with dataset.packing true, lora.targets q, v, this is same, same",
         "Set dataset.packing to true and lora.targets to q, v to go on"),
    ],
)  # fmt: skip
def test_every_changed_field_is_named(changes, words, hint):
    written = json.loads(json.dumps(Origin({**FIELDS, **changes}, "rows").facts()))
    with pytest.raises(Unsupported, match=words) as caught:
        Origin(FIELDS, "rows").check("step-1", written)
    assert hint in caught.value.hint


def test_what_an_older_trainer_did_not_write_down_is_not_compared():
    Origin(FIELDS, "rows").check("step-1", {"worldSize": 2})
    fewer = {path: value for path, value in FIELDS.items() if path != "training.seed"}
    Origin(FIELDS, "rows").check("step-1", {"fields": fewer})


def test_the_rows_of_a_stream_are_told_by_the_cursor_alone():
    Origin(FIELDS, None).check("step-1", Origin(FIELDS, "rows").facts())
    Origin(FIELDS, "rows").check("step-1", Origin(FIELDS, None).facts())
    with pytest.raises(DatasetInvalid):
        Origin(FIELDS, "rows").check("step-1", Origin(FIELDS, "others").facts())
