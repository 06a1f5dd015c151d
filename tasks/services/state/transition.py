"""The only function that changes a state: compare-and-set on (id, state, fence), with an event row for each change.

What receivers outside should learn of a job's change goes into the outbox in the same transaction.

The fence is a fencing token: it grows with each attempt of a job and each lease of a unit, so a
write with an older one changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import connection, models

from ...lifecycle.errors import FencedError, IllegalTransitionError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import AnyEvent, target_state
from ...models import Attempt, Event, Job, Unit
from ..outbox.announce import announce_change

Row = Job | Attempt | Unit


def transition(
    row: Row,
    event: AnyEvent,
    *,
    reason: Reason | str | None = None,
    text: str = "",
    details: Mapping[str, Any] | None = None,
    **columns: Any,
) -> None:
    """Apply `event` to `row`: write the new state along with `columns`, and append the event.

    The caller is in a transaction and holds the job's row lock. `columns` may contain expressions
    such as `Now()`; the instance reloads those when they are first accessed. `reason` and `text` go
    into the event and, if a reason is given, into the row's own columns, which a Unit does not
    have. `details` are what `texts` needs to show the text in another language: they go into the event, and into a
    job. A reason that is not a Reason is an error code of the media engine, or empty to clear the
    row's previous one.

    Raises IllegalTransitionError if the event is not possible in the row's state, and FencedError
    if another writer has changed the row since it was read. Neither writes anything.
    """
    if not connection.in_atomic_block:
        message = "transition() requires a transaction that holds the job's row lock"
        raise RuntimeError(message)
    origin = row.state
    target = target_state(event, origin)
    if target is None:
        message = f"{event} is not possible for {row}"
        raise IllegalTransitionError(message)
    if reason is not None and not isinstance(row, Unit):
        columns = {"reason": str(reason), "reason_message": text or _message(reason), **columns}
        if isinstance(row, Job):
            columns["reason_details"] = details and dict(details)
    _compare_and_set(row, state=target, **columns)
    append_event(
        event,
        job=row if isinstance(row, Job) else row.job,
        attempt_number=_attempt_number(row),
        from_state=origin,
        to_state=target,
        reason=reason,
        text=text or _describe(row),
        details=details,
    )
    if isinstance(row, Job):
        announce_change(event, row)


def _compare_and_set(row: Row, **columns: Any) -> None:
    expected: dict[str, Any] = {"pk": row.pk, "state": row.state}
    if not isinstance(row, Attempt):
        expected["fence"] = row.fence
    if not type(row).objects.filter(**expected).update(**columns):
        message = f"{row} was changed by another writer"
        raise FencedError(message)
    for name, value in columns.items():
        if isinstance(value, models.Expression | models.F):
            # Django reloads a missing attribute on access. Most of these are timestamps that are never read again.
            delattr(row, name)
        else:
            setattr(row, name, value)


def append_event(
    kind: str,
    *,
    job: Job | None = None,
    video_id: uuid.UUID | None = None,
    attempt_number: int | None = None,
    from_state: str = "",
    to_state: str = "",
    reason: Reason | str | None = None,
    text: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append an event. Pass `video_id` only for an event of the video as a whole: a job has its own."""
    Event.objects.create(
        kind=str(kind),
        video_id=job.video_id if job else video_id,
        job_id=job.pk if job else None,
        attempt_number=attempt_number,
        from_state=from_state,
        to_state=to_state,
        reason=str(reason or ""),
        text=text,
        details=details and dict(details),
    )


def _message(reason: Reason | str) -> str:
    return reason.message if isinstance(reason, Reason) else ""


def _attempt_number(row: Row) -> int | None:
    if isinstance(row, Attempt):
        return row.number
    if isinstance(row, Unit):
        return row.attempt.number if row.attempt else None
    return row.fence or None


def _describe(row: Row) -> str:
    return f"{row.kind} {row.index}" if isinstance(row, Unit) else ""
