"""States of jobs, attempts, units and deliveries, and the events that change them.

`TRANSITIONS` is the single source of truth for state changes. Tests keep the database's constraints,
the diagram in docs/reference/states.md and the one function that writes states (`tasks.services.state.transition`)
consistent with it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class JobState(enum.StrEnum):
    """State of the durable request "make this video playable"."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRY_WAIT = "RETRY_WAIT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    DEAD = "DEAD"


class AttemptState(enum.StrEnum):
    """State of one attempt: one container run, which is one Batch job."""

    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"
    CANCELLED = "CANCELLED"


class UnitState(enum.StrEnum):
    """State of one unit of a job's work."""

    PENDING = "PENDING"
    LEASED = "LEASED"
    DONE = "DONE"


class UnitKind(enum.StrEnum):
    """Kind of a unit.

    The plan comes first; video and audio are media; speech is for automatic captions; publishing is last.
    """

    PLAN = "plan"
    VIDEO = "video"
    AUDIO = "audio"
    SPEECH = "speech"
    PUBLISH = "publish"


class JobPriority(enum.StrEnum):
    """Who waits for a job: a person at a page, or nobody in particular.

    `tasks.lifecycle.turns` explains the order that follows from it.
    """

    UPLOAD = "upload"
    BULK = "bulk"


class OutboxKind(enum.StrEnum):
    """Kind of an event in the outbox. The values are public: webhooks carry them as `type`."""

    PLAYABLE = "video.playable"
    """The uploaded file can be watched for the first time, at least its beginning. Once per uploaded file."""
    PUBLISHED = "video.published"
    FAILED = "video.failed"
    DELETED = "video.deleted"


class DeliveryState(enum.StrEnum):
    """State of one event's delivery to one receiver."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


class Channel(enum.StrEnum):
    """Way on which events leave the site."""

    SIGNAL = "signal"
    MAIL = "mail"
    WEBHOOK = "webhook"


ACTIVE_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.RETRY_WAIT})
"""States in which a job continues without user action. A video has at most one such job."""

OPEN_JOB_STATES = ACTIVE_JOB_STATES | {JobState.DEAD}
"""States in which someone still has to act on a job: the bridge, or for a DEAD one an operator."""

LIVE_ATTEMPT_STATES = frozenset({AttemptState.SUBMITTING, AttemptState.SUBMITTED, AttemptState.RUNNING})
"""States in which an attempt may have a container, or may still get one."""

AWAIT_PLAN_STAGE = "await_plan"

WAITING_STAGES = ("claim", "reserve", AWAIT_PLAN_STAGE)
"""Stages of a container that does not work yet: it has only just claimed its attempt, or waits for room on its
machine's disk, or for another container's plan."""

MEDIA_UNIT_KINDS = frozenset({UnitKind.VIDEO, UnitKind.AUDIO})

WORK_UNIT_KINDS = MEDIA_UNIT_KINDS | {UnitKind.SPEECH}
"""Units for which publishing waits. Those of speech cannot fail: at worst, the video has no automatic captions."""


class JobEvent(enum.StrEnum):
    """Events of a job."""

    GRANT = "job.grant"
    HELP = "job.help"
    CLAIM = "job.claim"
    RETRY = "job.retry"
    PUBLISH = "job.publish"
    REJECT = "job.reject"
    DEAD = "job.dead"
    CANCEL = "job.cancel"
    REVIVE = "job.revive"


class AttemptEvent(enum.StrEnum):
    """Events of an attempt."""

    SUBMIT = "attempt.submit"
    CLAIM = "attempt.claim"
    SUCCEED = "attempt.succeed"
    FAIL = "attempt.fail"
    LOSE = "attempt.lose"
    CANCEL = "attempt.cancel"


class UnitEvent(enum.StrEnum):
    """Events of a unit."""

    LEASE = "unit.lease"
    FINISH = "unit.finish"
    REDO = "unit.redo"


AnyEvent = JobEvent | AttemptEvent | UnitEvent

_J, _A, _U = JobState, AttemptState, UnitState

TRANSITIONS: Mapping[AnyEvent, Mapping[str, str]] = MappingProxyType(
    {
        JobEvent.GRANT: {_J.QUEUED: _J.QUEUED, _J.RETRY_WAIT: _J.QUEUED},
        JobEvent.HELP: {_J.QUEUED: _J.QUEUED, _J.RUNNING: _J.RUNNING},
        JobEvent.CLAIM: {_J.QUEUED: _J.RUNNING},
        JobEvent.RETRY: {_J.QUEUED: _J.RETRY_WAIT, _J.RUNNING: _J.RETRY_WAIT},
        JobEvent.PUBLISH: {_J.RUNNING: _J.SUCCEEDED},
        JobEvent.REJECT: {_J.RUNNING: _J.FAILED},
        JobEvent.DEAD: {_J.QUEUED: _J.DEAD, _J.RETRY_WAIT: _J.DEAD},
        JobEvent.CANCEL: {
            _J.QUEUED: _J.CANCELLED,
            _J.RUNNING: _J.CANCELLED,
            _J.RETRY_WAIT: _J.CANCELLED,
            _J.DEAD: _J.CANCELLED,
        },
        JobEvent.REVIVE: {_J.DEAD: _J.QUEUED},
        AttemptEvent.SUBMIT: {_A.SUBMITTING: _A.SUBMITTED},
        AttemptEvent.CLAIM: {_A.SUBMITTING: _A.RUNNING, _A.SUBMITTED: _A.RUNNING},
        AttemptEvent.SUCCEED: {_A.RUNNING: _A.SUCCEEDED},
        AttemptEvent.FAIL: {_A.SUBMITTING: _A.FAILED, _A.SUBMITTED: _A.FAILED, _A.RUNNING: _A.FAILED},
        AttemptEvent.LOSE: {_A.SUBMITTING: _A.LOST, _A.SUBMITTED: _A.LOST, _A.RUNNING: _A.LOST},
        AttemptEvent.CANCEL: {_A.SUBMITTING: _A.CANCELLED, _A.SUBMITTED: _A.CANCELLED, _A.RUNNING: _A.CANCELLED},
        UnitEvent.LEASE: {_U.PENDING: _U.LEASED, _U.LEASED: _U.LEASED},
        UnitEvent.FINISH: {_U.LEASED: _U.DONE},
        UnitEvent.REDO: {_U.DONE: _U.PENDING},
    }
)
"""event -> {from: to}. Any other transition is illegal."""


def target_state(event: AnyEvent, state: str) -> str | None:
    """Return the state that `event` leads to from `state`, or None if the event is not allowed there."""
    return TRANSITIONS[event].get(state)
