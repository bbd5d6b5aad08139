"""The termination message: whatever happened, it fits and can be read back."""

from hypothesis import given
from hypothesis import strategies as st

from peft_fsdp_api.names import TERMINATION_MESSAGE_BYTES
from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import CheckpointStatus

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50).map(lambda text: text * 200)


@given(message=TEXT, traceback=TEXT, hint=TEXT)
def test_it_always_fits_and_comes_back(message: str, traceback: str, hint: str) -> None:
    outcome = Outcome(reason=Reason.APPLICATION_ERROR, message=message, traceback=traceback, hint=hint, rank=3)
    text = outcome.to_termination_message()
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    back = parse_outcome(text)
    assert back is not None
    assert (back.reason, back.rank) == (Reason.APPLICATION_ERROR, 3)
    assert traceback.endswith(back.traceback)
    assert message.startswith(back.message)


def test_the_traceback_gives_way_first() -> None:
    outcome = Outcome(reason=Reason.OUT_OF_MEMORY, message="rank 3 is out of memory", traceback="x\n" * 4000 + "last")
    back = parse_outcome(outcome.to_termination_message())
    assert back is not None
    assert back.message == outcome.message
    assert back.traceback.endswith("x\nlast")


def test_what_fits_is_untouched() -> None:
    checkpoint = CheckpointStatus(step=5, path="run/checkpoints/5", time="2026-11-22T18:00:00Z")
    outcome = Outcome(reason=Reason.PREEMPTED, step=5, checkpoint=checkpoint)
    assert parse_outcome(outcome.to_termination_message()) == outcome


def test_what_cannot_be_read_is_no_outcome() -> None:
    for text in (None, "", "Killed", "{}", '{"reason": "Nonsense"}', '{"reason":"Succeeded"'):
        assert parse_outcome(text) is None
