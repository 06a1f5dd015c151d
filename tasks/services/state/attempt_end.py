"""How an attempt ends, whether it counts against the attempt limit, and what happens to its job.

An attempt is one container run: one Batch job. It ends once, as SUCCEEDED, FAILED, LOST or
CANCELLED; a report that arrives later no longer changes its state. The row then has a reason (none
if SUCCEEDED) and `counted`: True, False, or NULL while undecided. docs/reference/reasons.md lists every
reason, and docs/reference/observations.md how they follow from AWS's texts and exit codes.

| what happened                               | state: reason                 | counted   | module  |
|---------------------------------------------|-------------------------------|-----------|---------|
| container: nothing left to do               | SUCCEEDED                     | no        | finish  |
| container: published the job                | SUCCEEDED                     | no        | publish |
| container: error                            | FAILED: TRANSCODE_FAILED, ... | yes       | finish  |
| container: its machine's disk at fault      | FAILED: DISK_FULL, ...        | no        | finish  |
| container: SIGTERM                          | FAILED: SIGTERM               | undecided | finish  |
| container: others work with another engine  | FAILED: ENGINE_DIFFERS        | no        | finish  |
| container: input rejected, job FAILED too   | FAILED: INPUT_REJECTED        | yes       | finish  |
| container: input suspected                  | FAILED: INPUT_SUSPECT         | no        | suspect |
| container: encoder crashed on two machines  | FAILED: TRANSCODE_FAILED      | yes       | suspect |
| Batch: FAILED, container exited             | FAILED: EXIT_CODE, ...        | yes       | observe |
| Batch: FAILED, attempt timeout              | FAILED: TIMED_OUT             | yes       | observe |
| Batch: FAILED, machine lost or no start     | FAILED: SPOT_INTERRUPTION,... | no        | observe |
| Batch: FAILED, exit code 31                 | FAILED: DATABASE_UNAVAILABLE  | no        | observe |
| Batch: FAILED, terminated by an operator    | FAILED: TERMINATED            | no        | observe |
| Batch: FAILED, terminated by the bridge     | FAILED: REPLACED              | see below | observe |
| Batch: FAILED, cause unknown                | FAILED: UNKNOWN_CAUSE         | undecided | observe |
| Batch: SUCCEEDED, row live after the grace  | FAILED: UNFINISHED            | yes       | observe |
| Batch: job missing, and no heartbeat        | LOST: BATCH_JOB_MISSING       | undecided | observe |
| started, but not claimed in time            | LOST: START_TIMEOUT           | no        | rescue  |
| no heartbeat                                | LOST: HEARTBEAT_TIMEOUT       | undecided | rescue  |
| Batch: no capacity on Spot for too long     | LOST: NO_CAPACITY             | no        | capacity|
| silent or not claimed, after a break        | LOST: CONNECTION_LOST         | no        | rescue  |
| heartbeats, but no progress                 | LOST: STALLED                 | yes       | rescue  |
| job cancelled by a person                   | CANCELLED: CANCELLED          | no        | cancel  |
| job replaced by one for a newer source      | CANCELLED: SUPERSEDED         | no        | request |
| video deleted                               | CANCELLED: VIDEO_DELETED      | no        | delete  |
| helper waiting, and its round is over       | CANCELLED: ROUND_ENDED        | no        | retry   |
| helper, and its round failed to plan        | CANCELLED: ROUND_ENDED        | no        | retry   |
| helper waiting, and little work is left     | CANCELLED: NOT_NEEDED         | no        | helpers |
| job published by another attempt            | CANCELLED: JOB_ENDED          | no        | publish |
| job failed by another attempt               | CANCELLED: JOB_ENDED          | no        | finish  |

`end_attempt` writes FAILED and LOST, `end_job_attempts` writes CANCELLED. SUCCEEDED and
INPUT_REJECTED need no retry and are written by their modules. A SubmitJob that AWS rejects, denies
or throttles does not end its attempt: `ticks.submit` repeats it, and `ticks.ambiguous` looks up one
with unknown effect.

A job's first container is its lead, others help it (`lifecycle.scaling`). A lead and its helpers are
a round. The attempt limit is one of rounds: a round counts if one of its attempts counts and none
finished a video or audio unit, and it is a loss if all of its attempts are.

An attempt that finished a video or audio unit never counts, whatever ended it: the job came forward.
The number of units is finite, and a unit is redone 3 times at most after a failed verification, so
a job cannot continue like that forever.

REPLACED counts if Batch reports an exit code (a container was there and hung), and does not count
without one (the machine was already gone). Before `rescue` gives an attempt up it polls Batch,
whose final status then takes precedence.

INPUT_SUSPECT: reading the file crashed, hung, or used up its CPU time or memory, the encoder crashed, or
the source is missing, which the file or the machine may have caused. It does not count, or a machine
with bad memory, which fails fast and so draws the next job, would use up the attempts of good files.
It is a loss, so that it cannot be repeated forever. `container_api.suspect` rejects the input, or
counts a crash of the encoder, once machines agree.

Undecided attempts: the observe and reap ticks keep polling their Batch jobs. The final status
decides `counted` by the rules above; the reason stays. If no final status with a known cause
arrives within `final_status_wait_s` of the end, `state.budget` treats the attempt as counted from
then on. The column stays NULL. A final status that arrives even later can still decide it, but one
of unknown cause is never replaced by another.

A final status of OUT_OF_MEMORY becomes the reason of any FAILED or LOST attempt, decided or not,
because the memory of the next attempt depends on it.

The job: when its last container has ended and no lead waits for a machine, an active job enters
RETRY_WAIT (`retry_if_idle`) with a backoff that grows with the rounds since the last finished unit.
Once it is due, the submit tick applies `lifecycle.retry.decide` to the rounds since the job was
created or last revived, in this order:

1. `max_attempts` counted rounds: DEAD, reason ATTEMPTS_EXHAUSTED.
2. The newest `max_consecutive_losses` rounds were losses (`Reason.is_loss`, counted or not) and
   finished no unit: DEAD, reason TOO_MANY_LOSSES.
3. Counted and undecided rounds together reach `max_attempts`: the job waits until one of them is
   decided, or until the first wait for a final status runs out.
4. Otherwise: another round, which begins with a lead.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.db.models import F, Max, Q, Sum
from django.db.models.functions import Extract, Now

from ...conf import bridge_settings
from ...lifecycle.reasons import Reason
from ...lifecycle.retry import backoff_s
from ...lifecycle.states import (
    LIVE_ATTEMPT_STATES,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    UnitKind,
    UnitState,
)
from ...models import Attempt, Job, Unit
from .rounds import ROUND, ended_rounds
from .transition import transition


def end_attempt(attempt: Attempt, event: AttemptEvent, *, reason: Reason, text: str = "", **columns: Any) -> None:
    """End a live attempt of a locked job (`attempt.job`), and retry the job if it has no other live attempt.

    `counted` follows from the reason unless `columns` contains it, and is False in any case if the
    attempt finished a media unit.
    """
    units_in_progress = unfinished_units(attempt)
    values = {
        "counted": reason.counts.value,
        "units_in_progress": units_in_progress,
        "lost_work_s": lost_work_s(attempt),
        "ended_at": Now(),
        **columns,
    }
    if values["counted"] is not False and attempt.units_done:
        values["counted"] = False
    transition(attempt, event, reason=reason, text=_with_units(text or reason.message, units_in_progress), **values)
    if values["counted"] and UnitKind.PLAN in {name.partition(" ")[0] for name in units_in_progress}:
        # Each helper in turn would fetch the source and fail in the same way: that is for the next round.
        _cancel(live_attempts(attempt.job), attempt.job, reason=Reason.ROUND_ENDED)
    retry_if_idle(attempt.job, reason=reason, text=text)


def unfinished_units(attempt: Attempt) -> list[str]:
    """Return the names ("video 3") of the units that the attempt holds and has not finished."""
    held = Unit.objects.filter(attempt=attempt, state=UnitState.LEASED).order_by("kind", "index")
    return [f"{kind} {index}" for kind, index in held.values_list("kind", "index")]


def lost_work_s(attempt: Attempt) -> float:
    """Return the seconds for which the attempt has held the units that it has not finished, added up."""
    held_s: Any = Extract(Now() - F("leased_at"), "epoch")
    held = Unit.objects.filter(attempt=attempt, state=UnitState.LEASED).aggregate(s=Sum(held_s, default=0.0))
    return max(0.0, float(held["s"]))


def _with_units(text: str, units_in_progress: list[str]) -> str:
    return f"{text.rstrip('.')}. Units in progress: {', '.join(units_in_progress)}." if units_in_progress else text


def suspect_units(job: Job) -> list[str]:
    """Return the units that some container of every counted or undecided round had in progress when it ended.

    One of them may be what makes the containers fail.
    """
    held = [
        {name for attempt in each.attempts if attempt.counted is not False for name in attempt.units_in_progress}
        for each in ended_rounds(job)
        if each.counted or each.undecided
    ]
    return sorted(set.intersection(*held)) if held else []


def retry_if_idle(job: Job, *, reason: Reason, text: str = "") -> None:
    """Move the job to RETRY_WAIT, with a backoff, if it is QUEUED or RUNNING and nobody works on it.

    That ends the round: helpers that still wait for a machine are cancelled.
    """
    if job.state not in (JobState.QUEUED, JobState.RUNNING) or at_work(job).exists():
        return
    _cancel(live_attempts(job), job, reason=Reason.ROUND_ENDED)
    wait_s = backoff_s(
        failures_in_a_row=attempts_since_progress(job),
        first_s=bridge_settings().backoff_first_s,
        cap_s=bridge_settings().backoff_cap_s,
        jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
    )
    transition(
        job,
        JobEvent.RETRY,
        reason=reason,
        text=text,
        next_attempt_at=Now() + timedelta(seconds=wait_s),
    )


def end_job_attempts(job: Job, *, reason: Reason) -> None:
    """Cancel all live attempts of a locked job that has itself ended. Their containers stop at the next heartbeat."""
    _cancel(live_attempts(job), job, reason=reason)


def _cancel(attempts: Any, job: Job, *, reason: Reason) -> None:
    for attempt in attempts:
        attempt.job = job
        lost_s = lost_work_s(attempt)
        transition(attempt, AttemptEvent.CANCEL, reason=reason, counted=False, lost_work_s=lost_s, ended_at=Now())


def live_attempts(job: Job) -> Any:
    """Return the attempts of the job that have a container or may still get one."""
    return Attempt.objects.filter(job=job, state__in=LIVE_ATTEMPT_STATES)


def at_work(job: Any) -> Any:
    """Return the attempts that keep a job going: its containers, and a lead that waits for a machine.

    A helper that waits may wait for hours, so it keeps nothing going.
    """
    working = Q(state=AttemptState.RUNNING) | Q(state__in=LIVE_ATTEMPT_STATES, helps=None)
    return Attempt.objects.filter(working, job=job)


def attempts_since_progress(job: Job) -> int:
    """Return the number of rounds that ended without success since the last one that finished a unit.

    The backoff grows with it.
    """
    rounds = Attempt.objects.filter(job=job, number__gt=job.budget_from).annotate(round_number=ROUND)
    last_with_progress = rounds.filter(units_done__gt=0).aggregate(last=Max("round_number"))["last"] or 0
    ended = rounds.exclude(state__in=LIVE_ATTEMPT_STATES | {AttemptState.SUCCEEDED})
    return ended.filter(round_number__gt=last_with_progress).values("round_number").distinct().count()
