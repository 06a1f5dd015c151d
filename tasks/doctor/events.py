"""Checks of the events' way: rules, the queue and its policy, the dead-letter queue, and the listeners."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import DurationField, Exists, ExpressionWrapper, F
from django.db.models.functions import Now

from ..batch.control import error_line, suggested_fix
from ..batch.errors import BatchDeniedError, BatchError
from ..batch.event_queue import (
    MESSAGES,
    dead_letter_url,
    describe_event_queue,
    rules_of_queue,
)
from ..batch.events import KINDS, STATE_CHANGE
from ..conf import bridge_settings
from ..models import Listener
from ..services.state.push import NAME, unannounced
from .finding import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..batch.event_queue import QueueState, Rule
    from .finding import Finding

_FOR_ROLE = "Allow it in the policy of the site's role: scripts/infra/roles.tf has the least privilege policy."
_CREATE = "Create it as scripts/infra/events.tf does."


def check_events() -> Iterator[Finding]:
    """Yield findings for the way of an event from AWS Batch to its attempt, or one if no queue is set."""
    url = bridge_settings().event_queue_url
    if not url:
        yield ok("events", "VIDEO_BATCH_EVENT_QUEUE_URL is not set, so attempts are only polled.")
        return
    try:
        yield from _way(url)
    except BatchError as error:
        fix = _FOR_ROLE if isinstance(error, BatchDeniedError) else suggested_fix(error)
        finding = failed if isinstance(error, BatchDeniedError) else unknown
        yield finding("event queue", f"{error_line(error)}.", fix=fix)
    try:
        yield _listener()
    finally:
        connection.close()


def _way(url: str) -> Iterator[Finding]:
    queue = describe_event_queue(url)
    yield _queue(queue)
    yield _dead_letters(url, queue)
    try:
        yield _rules(rules_of_queue(queue.arn), queue)
    except BatchDeniedError as error:
        yield unknown("event rules", f"{error_line(error)}.", fix=_FOR_ROLE)


def _queue(queue: QueueState) -> Finding:
    needed_s = MESSAGES * bridge_settings().event_time_limit_s
    if queue.visibility_timeout_s <= needed_s:
        return failed(
            "event queue",
            f"Its visibility timeout is {queue.visibility_timeout_s} s, but {MESSAGES} events may take {needed_s:g} s.",
            fix="Raise the queue's visibility timeout, or lower event_time_limit_s in BATCHREEL.",
        )
    return ok("event queue", f"{queue.arn} has {queue.waiting} events.")


def _dead_letters(url: str, queue: QueueState) -> Finding:
    part = "dead letters"
    if not queue.dead_letter_arn:
        return warning(
            part, "The event queue has no dead-letter queue: a bad event is received again and again.", fix=_CREATE
        )
    waiting = describe_event_queue(dead_letter_url(url, queue.dead_letter_arn)).waiting
    if waiting:
        return warning(
            part,
            f"{waiting} events could not be applied, or not be delivered to the queue.",
            fix="EVENT_FAILED and EVENT_INVALID in the listener's log have the causes. Nothing is lost: attempts are also"
            " polled. Fix the cause, then purge the dead-letter queue.",
        )
    return ok(part, "Every event was applied.")


def _rules(rules: Sequence[Rule], queue: QueueState) -> Finding:
    part = "event rules"
    if disabled := [rule.name for rule in rules if not rule.enabled]:
        return failed(part, f"{', '.join(disabled)} is disabled.", fix="Enable it in EventBridge.")
    matched = {kind for rule in rules for kind in rule.kinds or KINDS}
    if missing := [kind for kind in KINDS if kind not in matched]:
        return failed(part, f"No EventBridge rule sends {', '.join(missing)} to the queue.", fix=_CREATE)
    ours = [rule for rule in rules if not rule.kinds or STATE_CHANGE in rule.kinds]
    if silent := [name for name in bridge_settings().queues if not any(_matches_queue(rule, name) for rule in ours)]:
        return failed(
            part,
            f"No EventBridge rule sends the events of {', '.join(silent)} to the queue.",
            fix="Add its ARN to detail.jobQueue in the rule's pattern.",
        )
    if refused := [rule.name for rule in rules if not {rule.arn, "*"} & set(queue.senders)]:
        return failed(
            part,
            f"The queue's policy does not let EventBridge send for {', '.join(refused)}.",
            fix="Allow sqs:SendMessage to events.amazonaws.com with the rule's ARN as aws:SourceArn, as in"
            " scripts/infra/events.tf.",
        )
    return ok(part, f"{len(rules)} rules send to the queue.")


def _matches_queue(rule: Rule, queue: str) -> bool:
    """Return whether the rule matches a job queue, which the settings have by name or ARN."""
    return not rule.queues or any(queue in {arn, arn.rpartition("/")[2]} for arn in rule.queues)


def _listener() -> Finding:
    part = "listener"
    limit_s = bridge_settings().push_timeout_s
    row = (
        Listener.objects.filter(name=NAME)
        .annotate(
            age=ExpressionWrapper(Now() - F("seen_at"), output_field=DurationField()),
            late=ExpressionWrapper(Now() - F("late_at"), output_field=DurationField()),
            is_unannounced=Exists(unannounced()),
        )
        .first()
    )
    start = "Start one: `manage.py listen`, the line `listen` of the Procfile. Until then attempts are polled as without events."
    if row is None:
        return failed(part, "No listener has ever read the queue.", fix=start)
    if row.error_code:
        return failed(part, f"It cannot read the queue: {row.error_code}: {row.error_message}", fix=_FOR_ROLE)
    if row.age is None or row.age > timedelta(seconds=limit_s):
        age = "never" if row.age is None else f"{row.age.total_seconds():.0f} s ago"
        return failed(part, f"A listener last read the queue {age}.", fix=start)
    if row.late is not None and row.late < timedelta(seconds=limit_s):
        return warning(
            part,
            f"Events wait in the queue for more than {limit_s:g} s.",
            fix="Start more listeners. If there are few events: EVENT_FAILED in the listener's log.",
        )
    if row.is_unannounced:
        return failed(
            part,
            "Containers have started since the last event, so no events arrive.",
            fix="See the finding about the event rules: a rule or the queue's policy is wrong.",
        )
    return ok(part, f"A listener read the queue {row.age.total_seconds():.0f} s ago.")
