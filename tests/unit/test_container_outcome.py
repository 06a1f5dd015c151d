"""Outcome of a container run if several parts of the program report one."""

from __future__ import annotations

import threading

from tasks.container.outcome import Outcome
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.services.container_api.claim import NothingToLease


def test_outcome_is_published_when_the_heartbeat_received_it_first() -> None:
    outcome = Outcome(stop=threading.Event())
    outcome.record_nothing_to_lease(NothingToLease.JOB_DONE)
    assert outcome.event == "IDEMPOTENT_READY"
    outcome.record_published()
    outcome.record_nothing_to_lease(NothingToLease.JOB_DONE)
    assert (outcome.event, outcome.text, outcome.exit_code) == ("BATCH_JOB_COMPLETED", "published", ExitCode.DONE)


def test_outcome_is_failed_when_a_slot_fails_after_another_finished() -> None:
    stop = threading.Event()
    outcome = Outcome(stop=stop)
    outcome.record_nothing_to_lease(NothingToLease.HELD_BY_OTHERS)
    outcome.fail(ExitCode.FAILED, Reason.TRANSCODE_FAILED, "the encoder failed")
    outcome.end(ExitCode.FENCED, "too late to matter")
    assert (outcome.event, outcome.exit_code, outcome.reason) == (
        "BATCH_JOB_FAILED",
        ExitCode.FAILED,
        Reason.TRANSCODE_FAILED,
    )
    assert stop.is_set()
