"""Who says how a container ended, when several have a say."""

from __future__ import annotations

import threading

from tasks.container.outcome import Outcome
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.services.container_api.claim import NothingToClaim


def test_publishing_is_told_as_its_own_when_the_heartbeat_heard_of_it_first() -> None:
    outcome = Outcome(stop=threading.Event())
    outcome.nothing_left(NothingToClaim.JOB_DONE)
    assert outcome.event == "IDEMPOTENT_READY"
    outcome.published_here()
    outcome.nothing_left(NothingToClaim.JOB_DONE)
    assert (outcome.event, outcome.text, outcome.exit_code) == ("BATCH_JOB_COMPLETED", "published", ExitCode.DONE)


def test_failure_is_told_when_a_slot_fails_after_another_found_nothing_left() -> None:
    stop = threading.Event()
    outcome = Outcome(stop=stop)
    outcome.nothing_left(NothingToClaim.OTHERS_AT_WORK)
    outcome.failed(ExitCode.FAILED, Reason.ENCODE_FAILED, "the encoder failed")
    outcome.ended(ExitCode.FENCED, "too late to matter")
    assert (outcome.event, outcome.exit_code, outcome.reason) == (
        "BATCH_JOB_FAILED",
        ExitCode.FAILED,
        Reason.ENCODE_FAILED,
    )
    assert stop.is_set()
