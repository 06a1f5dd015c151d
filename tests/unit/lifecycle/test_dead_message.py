"""What the owner of a DEAD job reads: the same cause is named with the way out, others are not made up."""

from __future__ import annotations

import re

import pytest

from tasks.lifecycle.dead_message import Cause, cause_of, dead_message, explain
from tasks.lifecycle.reasons import Counts, Reason

FAILED = Reason.TRANSCODE_FAILED
CAN_LEAD_TO_DEAD = [
    reason
    for reason in Reason
    if (reason.counts is not Counts.NO or reason.is_loss) and reason is not Reason.INPUT_REJECTED
]
TECHNICAL = re.compile(
    r"\b(AWS|Batch|ffmpeg|exit code|SIGTERM|heartbeats?|container|host|attempt limit)\b", re.IGNORECASE
)
WAY_OUT = re.compile(r"Retry|[Uu]pload|operator")


@pytest.mark.parametrize("reason", CAN_LEAD_TO_DEAD)
def test_owner_reads_a_cause_and_a_way_out_when_a_job_can_die_of_it(reason: Reason) -> None:
    what, way_out = explain(Cause(reason, ""))
    assert what != explain(Cause("NO_SUCH_REASON", "")).what
    assert not TECHNICAL.search(f"{what} {way_out}")
    assert WAY_OUT.search(way_out)
    assert what[0].islower()
    assert not what.endswith(".")
    assert way_out.endswith(".")


@pytest.mark.parametrize(
    ("reason", "text", "cause"),
    [
        (FAILED, "ENCODER_FAILED: ffmpeg failed with exit code 1 (aresample).", Cause(FAILED, "ENCODER_FAILED")),
        (FAILED, "Essential container in task exited", Cause(FAILED, "")),
        (FAILED, "", Cause(FAILED, "")),
        (Reason.OUT_OF_MEMORY, "ENCODER_KILLED: ffmpeg was killed", Cause(Reason.OUT_OF_MEMORY, "")),
        (Reason.CONTAINER_ERROR, "KeyError: 'x'", Cause(Reason.CONTAINER_ERROR, "")),
    ],
)
def test_cause_has_the_error_code_when_the_media_engine_gave_one(reason: Reason, text: str, cause: Cause) -> None:
    assert cause_of(reason, text) == cause


@pytest.mark.parametrize(
    ("reason", "causes", "opening", "way_out"),
    [
        (
            Reason.ATTEMPTS_EXHAUSTED,
            [Cause(FAILED, "ENCODER_FAILED")] * 5,
            "5 attempts failed, each the same way: the encoder cannot process this file.",
            "Export the file again",
        ),
        (
            Reason.ATTEMPTS_EXHAUSTED,
            [Cause(Reason.OUT_OF_MEMORY, "")] * 5,
            "5 attempts failed, each the same way: the machine ran out of memory.",
            "lower resolution",
        ),
        (
            Reason.ATTEMPTS_EXHAUSTED,
            [Cause(FAILED, "ENCODER_FAILED")] * 4 + [Cause(Reason.DISK_FULL, "")],
            "5 attempts failed, not all the same way. The last one: the machine's disk was full.",
            "Ask an operator",
        ),
        (
            Reason.ATTEMPTS_EXHAUSTED,
            [Cause(Reason.STORAGE_FAILED, "")],
            "The attempt failed: a file could not be read from or written to the site's storage.",
            "Press Retry later",
        ),
        (
            Reason.TOO_MANY_LOSSES,
            [Cause(Reason.SPOT_INTERRUPTION, "")] * 20,
            "20 attempts were lost in a row, each the same way: the cloud provider took the machine back.",
            "Press Retry later",
        ),
        (
            Reason.TOO_MANY_LOSSES,
            [Cause(Reason.SPOT_INTERRUPTION, ""), Cause(Reason.START_FAILED, "")],
            "2 attempts were lost in a row, not all the same way. The last one: the program that processes videos could not",
            "Ask an operator",
        ),
        (Reason.ATTEMPTS_EXHAUSTED, [], "The attempt failed: the cause is unknown.", "Press Retry later"),
    ],
)
def test_message_names_the_cause_as_certain_only_when_all_attempts_had_it(
    reason: Reason, causes: list[Cause], opening: str, way_out: str
) -> None:
    message = dead_message(reason, causes)
    assert message.startswith(opening)
    assert way_out in message
