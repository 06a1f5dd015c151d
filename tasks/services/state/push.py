"""Whether AWS Batch's events arrive: what listeners write, and what slows polling down.

Events arrive while all of this holds: a listener has read the queue within `push_timeout_s`; what
it received had not waited for longer than that; and a container that started since then was
announced by an event. The last condition finds a rule or a permission that is missing in front of
the queue, which the queue itself cannot show.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from ...conf import bridge_settings
from ...lifecycle.states import AttemptState
from ...models import Attempt, Listener

NAME = "events"

_MESSAGE_CHARACTERS = 300


def record_read(*, announced: bool, oldest_s: float) -> None:
    """Record that a listener has read the queue, and the age of the oldest event that it received.

    `announced` is whether one of them was about a Batch job of this site. Others do not show that its events
    arrive: they may come through another rule.
    """
    columns: dict[str, Any] = {"seen_at": Now(), "error_code": "", "error_message": ""}
    if announced:
        columns["event_at"] = Now()
    if oldest_s > bridge_settings().push_timeout_s:
        columns["late_at"] = Now()
    _write(**columns)


def record_read_error(*, code: str, message: str) -> None:
    """Record why a listener could not read the queue."""
    _write(error_code=code, error_message=message[:_MESSAGE_CHARACTERS])


def is_push_healthy() -> bool:
    """Return whether events arrive, and in time, so that an audit every `audit_s` suffices."""
    conf = bridge_settings()
    if not conf.event_queue_url:
        return False
    long_ago = Now() - timedelta(seconds=conf.push_timeout_s)
    return (
        Listener.objects.filter(Q(late_at=None) | Q(late_at__lt=long_ago), name=NAME, error_code="")
        .filter(seen_at__gt=long_ago)
        .filter(~Exists(unannounced()))
        .exists()
    )


def unannounced() -> Any:
    """Return the running containers that started after the last event, for use in a query of Listener.

    Their events were due before: AWS Batch reports STARTING and RUNNING as the container claims its
    attempt. A container that has just started may still get its event.
    """
    margin = timedelta(seconds=bridge_settings().push_timeout_s)
    return Attempt.objects.filter(
        state=AttemptState.RUNNING,
        claimed_at__lt=Now() - margin,
        # Before the first event, every container is unannounced.
        claimed_at__gt=Coalesce(OuterRef("event_at"), F("claimed_at") - 2 * margin) + margin,
    )


def _write(**columns: Any) -> None:
    if not Listener.objects.filter(name=NAME).update(**columns):
        Listener.objects.bulk_create([Listener(name=NAME)], ignore_conflicts=True)
        Listener.objects.filter(name=NAME).update(**columns)
