"""The heartbeat: one fenced UPDATE that records liveness and progress, and returns whether to continue."""

from __future__ import annotations

import enum

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest, Now

from ...lifecycle.states import AttemptState, JobState
from ...models import Attempt
from .claim import Claim


class HeartbeatReply(enum.Enum):
    """The result of a heartbeat."""

    ALIVE = "continue"
    LEAVING = "EC2 takes the machine back: finish what is in progress, and lease no more"
    CANCELLED = "the attempt was cancelled"
    FENCED = "the attempt was superseded"
    DONE = "the job or the attempt has succeeded"


def send_heartbeat(claim: Claim, *, stage: str, count: int, encoded_frames: int) -> HeartbeatReply:
    """Record one heartbeat.

    `count` is any number that grows with progress within the stage. A change of `stage` or `count`
    is progress.
    """
    mine = Attempt.objects.filter(pk=claim.attempt_id, claim_id=claim.claim_id)
    same = Q(stage=stage, count=count)
    columns = {
        "heartbeat_at": Now(),
        "progressed_at": Case(When(same, then=F("progressed_at")), default=Now()),
        "stage": Value(stage),
        "count": Value(count),
        "encoded_frames": Greatest(F("encoded_frames"), Value(encoded_frames)),
    }
    running = mine.filter(state=AttemptState.RUNNING)
    if running.filter(leaving_at=None).update(**columns):
        return HeartbeatReply.ALIVE
    if running.update(**columns):
        return HeartbeatReply.LEAVING
    row = mine.values_list("state", "job__state").first()
    if row is None:
        return HeartbeatReply.FENCED
    attempt_state, job_state = row
    if job_state == JobState.SUCCEEDED or attempt_state == AttemptState.SUCCEEDED:
        return HeartbeatReply.DONE
    return HeartbeatReply.CANCELLED if attempt_state == AttemptState.CANCELLED else HeartbeatReply.FENCED
