"""Observations of Batch jobs: they become columns of the attempt, and end it only if that is certain.

`attempt_end` explains when that is, and which attempts count. An observation is a response of DescribeJobs or an
event of AWS Batch. An event may be late or repeated: no observation returns a Batch job to an earlier status.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.timezone import get_default_timezone, make_naive

from ...conf import bridge_settings
from ...lifecycle.errors import NotFoundError
from ...lifecycle.observation import (
    FINAL_STATUSES,
    TERMINATE_REASON_PREFIX,
    BatchStatus,
    Observation,
    failure_reason,
    goes_back,
)
from ...lifecycle.reasons import Reason
from ...lifecycle.states import LIVE_ATTEMPT_STATES, AttemptEvent, AttemptState, JobState
from ...models import Attempt, Job
from ...schedule.ticks import OBSERVE
from .attempt_end import end_attempt
from .budget import final_status_deadlines
from .locking import lock_job
from .tick_gaps import had_gap
from .transition import append_event

NO_CAPACITY_PREFIX = "CAPACITY:"
"""Prefix of AWS Batch's status reason if it has no machine ("Jobs stuck in a RUNNABLE status" of its user guide)."""


def apply_observation(attempt: Attempt, seen: Observation) -> bool:
    """Store the observation if it differs from the row, and draw the conclusions.

    Return False if nothing was written.
    """
    if not is_news(attempt, seen):
        return False
    with transaction.atomic():
        try:
            job = lock_job(attempt.job_id)
        except NotFoundError:  # its video was deleted, and purged
            return False
        current = Attempt.objects.filter(pk=attempt.pk, batch_job_id=seen.batch_job_id).first()
        if current is None:
            return False
        if not is_news(current, seen):  # another observation was applied since the row was read
            return False
        current.job = job
        _write(current, seen)
        if current.state in LIVE_ATTEMPT_STATES:
            _conclude(current, seen)
        elif seen.status in FINAL_STATUSES:
            _correct_reason(current, seen)
            if current.counted is None:
                _decide_counted(current, seen)
    return True


def is_news(attempt: Attempt, seen: Observation) -> bool:
    """Return whether applying the observation may change the attempt."""
    if goes_back(attempt.batch_status, seen.status):
        return False
    return _differs(attempt, seen) or _is_due_for_conclusion(attempt, seen)


def _differs(attempt: Attempt, seen: Observation) -> bool:
    if seen.status is BatchStatus.ABSENT:
        return attempt.missing_responses < bridge_settings().missing_responses_limit
    kept = _known_from_now(attempt, seen)
    if seen.pushed and attempt.batch_status == seen.status:
        # A repeated event may lack what a later one contained, so it only adds.
        kept["batch_status_reason"] = seen.status_reason or attempt.batch_status_reason
        return any(getattr(attempt, name) != value for name, value in kept.items())
    shown = {"batch_status": seen.status, "batch_status_reason": seen.status_reason, **kept}
    return attempt.missing_responses > 0 or any(getattr(attempt, name) != value for name, value in shown.items())


def _known_from_now(attempt: Attempt, seen: Observation) -> dict[str, Any]:
    """Return the columns that keep their value once AWS has reported it."""
    names_machine = seen.machine_arn and (not attempt.machine_arn or ":container-instance/" in seen.machine_arn)
    return {
        "batch_log_stream": seen.log_stream or attempt.batch_log_stream,
        "started_at": _as_stored(seen.started_at) or attempt.started_at,
        "stopped_at": _as_stored(seen.stopped_at) or attempt.stopped_at,
        # On EC2, the cluster may be known before the machine.
        "machine_arn": seen.machine_arn if names_machine else attempt.machine_arn,
    }


def _as_stored(at: datetime | None) -> datetime | None:
    """Return the time as rows have it: without a zone on a site with USE_TZ=False, or it would differ from itself."""
    return at if at is None or settings.USE_TZ else make_naive(at, get_default_timezone())


def _is_due_for_conclusion(attempt: Attempt, seen: Observation) -> bool:
    """Return whether the Batch job has ended or is missing while its attempt is live: a grace period may be over."""
    over = FINAL_STATUSES | {BatchStatus.ABSENT}
    return seen.status in over and attempt.state in LIVE_ATTEMPT_STATES


def _write(attempt: Attempt, seen: Observation) -> None:
    if seen.status is BatchStatus.ABSENT:
        # Counted only up to the limit, so that the row does not change at each tick.
        columns: dict[str, Any] = {
            "missing_responses": min(attempt.missing_responses + 1, bridge_settings().missing_responses_limit)
        }
    else:
        columns = {
            "batch_status": seen.status.value,
            "batch_status_reason": seen.status_reason,
            **_known_from_now(attempt, seen),
        }
        if not seen.pushed:  # an event may be older than the responses in which the Batch job was missing
            columns["missing_responses"] = 0
        elif attempt.batch_status == seen.status:
            columns["batch_status_reason"] = seen.status_reason or attempt.batch_status_reason
        if attempt.exit_code is None:
            columns["exit_code"] = seen.exit_code
        columns |= _capacity_columns(attempt, columns["batch_status_reason"])
    if attempt.batch_status != columns.get("batch_status", attempt.batch_status):
        columns["batch_status_at"] = Now()
        append_event(
            "batch.status",
            job=attempt.job,
            attempt_number=attempt.number,
            from_state=attempt.batch_status,
            to_state=seen.status.value,
            text=seen.status_reason,
        )
    Attempt.objects.filter(pk=attempt.pk).update(**columns)
    for name, value in columns.items():
        if name not in {"batch_status_at", "no_capacity_since"}:
            setattr(attempt, name, value)


def _capacity_columns(attempt: Attempt, status_reason: str) -> dict[str, Any]:
    """Return since when AWS Batch has had no capacity for the attempt, if that begins or ends with this reason."""
    lacks = status_reason.startswith(NO_CAPACITY_PREFIX)
    if lacks == (attempt.no_capacity_since is not None):
        return {}
    return {"no_capacity_since": Now() if lacks else None}


def _conclude(attempt: Attempt, seen: Observation) -> None:
    if seen.status is BatchStatus.FAILED:
        reason = failure_reason(seen)
        text = " AWS: ".join(part for part in (reason.message, _aws_text(seen)) if part)
        end_attempt(attempt, AttemptEvent.FAIL, reason=reason, text=text, counted=_counts(seen))
    elif seen.status is BatchStatus.SUCCEEDED and _grace_is_over(attempt):
        end_attempt(attempt, AttemptEvent.FAIL, reason=Reason.UNFINISHED, text=_aws_text(seen))
    elif seen.status is BatchStatus.ABSENT and _is_lost(attempt):
        end_attempt(attempt, AttemptEvent.LOSE, reason=Reason.BATCH_JOB_MISSING)


def _grace_is_over(attempt: Attempt) -> bool:
    grace = timedelta(seconds=bridge_settings().succeeded_grace_s)
    return Attempt.objects.filter(pk=attempt.pk, batch_status_at__lte=Now() - grace).exists()


def _is_lost(attempt: Attempt) -> bool:
    """Return whether the Batch job is gone.

    That takes several missing responses, no heartbeat although the tick was running, and a minimum
    age: never just one of them.
    """
    conf = bridge_settings()
    silent = Now() - timedelta(seconds=conf.missing_heartbeat_s)
    old = Now() - timedelta(seconds=conf.missing_min_age_s)
    return (
        attempt.missing_responses >= conf.missing_responses_limit
        and Attempt.objects.filter(
            Q(heartbeat_at=None) | Q(heartbeat_at__lt=silent), pk=attempt.pk, created_at__lt=old
        ).exists()
        and not had_gap(OBSERVE.name, period_s=conf.observe_tick_s, within_s=conf.missing_heartbeat_s)
    )


def _correct_reason(attempt: Attempt, seen: Observation) -> None:
    """Set the reason to OUT_OF_MEMORY if Batch reports that, because the next attempt's memory depends on it.

    The kernel kills ffmpeg first, so the container could only report that its encoder was killed.
    """
    cause = Reason.OUT_OF_MEMORY
    ended_otherwise = attempt.state in {AttemptState.FAILED, AttemptState.LOST} and attempt.reason != cause
    if ended_otherwise and seen.status is BatchStatus.FAILED and failure_reason(seen) is cause:
        Attempt.objects.filter(pk=attempt.pk).update(reason=cause.value, reason_message=cause.message)
        append_event(
            "attempt.reason", job=attempt.job, attempt_number=attempt.number, reason=cause, text=_aws_text(seen)
        )


def _decide_counted(attempt: Attempt, seen: Observation) -> None:
    """Decide by Batch's final status whether an attempt that ended undecided counts."""
    reason = failure_reason(seen) if seen.status is BatchStatus.FAILED else Reason.UNFINISHED
    counted = _counts(seen)
    if counted is None:
        return
    # The job may be waiting for a final status. A backoff that is still running is not cut short.
    waiting = Job.objects.filter(pk=attempt.job_id, state=JobState.RETRY_WAIT)
    waiting.filter(next_attempt_at__in=final_status_deadlines(attempt.job)).update(next_attempt_at=Now())
    Attempt.objects.filter(pk=attempt.pk, counted=None).update(counted=counted)
    append_event(
        "attempt.counted",
        job=attempt.job,
        attempt_number=attempt.number,
        reason=reason,
        text=f"{'counted' if counted else 'not counted'}: {_aws_text(seen)}",
    )


def _counts(seen: Observation) -> bool | None:
    """Return whether an attempt with this final status counts; None if it stays undecided.

    `attempt_end` explains the rule for Batch jobs that the bridge terminated.
    """
    if seen.status is BatchStatus.FAILED and seen.status_reason.startswith(TERMINATE_REASON_PREFIX):
        return seen.exit_code is not None
    reason = failure_reason(seen) if seen.status is BatchStatus.FAILED else Reason.UNFINISHED
    counts: bool | None = reason.counts.value
    return counts


def _aws_text(seen: Observation) -> str:
    exit_code = "" if seen.exit_code is None else f"exit code {seen.exit_code}"
    return "; ".join(part for part in (seen.status_reason, seen.container_reason, exit_code) if part)
