"""Reasons and exit codes are one to one, and each failure says what to do."""

import pytest

from peft_fsdp_api.reasons import EXIT_CODES, REASONS, Budget, Reason, exit_code


def test_every_reason_has_facts() -> None:
    assert list(REASONS.keys() ^ set(Reason)) == []
    assert [reason for reason, facts in REASONS.items() if not facts.hint] == [Reason.SUCCEEDED]


def test_exit_codes_are_distinct_and_clear_of_signals() -> None:
    codes = [facts.exit_code for facts in REASONS.values() if facts.exit_code is not None]
    assert len(codes) == len(set(codes)) == len(EXIT_CODES)
    assert all(0 <= code < 126 for code in codes)


def test_user_errors_are_never_retried() -> None:
    for reason in (Reason.DATASET_INVALID, Reason.MODEL_NOT_AVAILABLE, Reason.OUT_OF_MEMORY, Reason.OUTPUT_CONFLICT):
        assert REASONS[reason].budget is Budget.NONE


def test_a_job_that_is_superseded_by_nobody_is_told_what_to_remove() -> None:
    assert "If no newer attempt runs" in REASONS[Reason.SUPERSEDED].hint
    assert ".peft-fsdp-attempt.json" in REASONS[Reason.SUPERSEDED].hint


def test_a_process_cannot_exit_with_what_only_the_operator_sees() -> None:
    assert EXIT_CODES[exit_code(Reason.DISK_FULL)] is Reason.DISK_FULL
    with pytest.raises(ValueError, match="NodeLost"):
        exit_code(Reason.NODE_LOST)
