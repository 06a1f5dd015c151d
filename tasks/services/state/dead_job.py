"""Why a job is DEAD, from its attempts: a message for its owner, and the facts for operators."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...conf import bridge_settings
from ...lifecycle.dead_message import cause_of, dead_message
from ...lifecycle.reasons import Reason
from ...models import Job
from ...texts.stored import DEAD
from .attempt_end import suspect_units
from .rounds import ended_rounds


class DeadJob(NamedTuple):
    """What a job's death leaves behind for people."""

    message: str
    """For the owner: `reason_message` of the job."""
    details: dict[str, Any]
    """What the message needs in other languages (`texts.stored`)."""
    event_text: str
    """For operators: the message, the units that all attempts had in progress, and the text of the last attempt."""
    cause: str
    """Reason and error code of the last attempt."""


def explain_dead(job: Job, reason: Reason) -> DeadJob:
    """Explain why the locked job is now DEAD with this reason, ATTEMPTS_EXHAUSTED or TOO_MANY_LOSSES."""
    rounds = ended_rounds(job)
    limit = bridge_settings().max_consecutive_losses
    led_to_it = rounds[-limit:] if reason is Reason.TOO_MANY_LOSSES else [each for each in rounds if each.counted]
    ends = [each.last for each in led_to_it]
    causes = [cause_of(each.reason, each.reason_message, each.error_code) for each in ends]
    message = dead_message(reason, causes)
    suspects = suspect_units(job) if reason is Reason.ATTEMPTS_EXHAUSTED else []
    parts = [message]
    if suspects:
        parts.append(f"Units in progress at the end of each of them: {', '.join(suspects)}.")
    if ends:
        parts.append(f"Last attempt: {ends[-1].reason_message}")
    details = {"text": DEAD, "reason": str(reason), "causes": causes}
    return DeadJob(message, details, event_text=" ".join(parts), cause=str(causes[-1]) if causes else "")
