"""A file that a machine failed to read, which may be the fault of the file or of the machine.

A decoder that crashes, hangs or uses up its CPU time or memory may have met a damaged file, or bad
memory or a dying disk. So one machine's word fails only its attempt. If another machine fails in
the same way, it is the file, and the job fails with the message for its owner. The same holds for a
source that the storage, as one machine sees it, does not have.

An encoder that crashes in a unit is suspected alike. If the encoder of another machine crashed with
that unit in progress, the attempt counts. The job does not fail at once: finished units are kept, and
another version of the encoder may succeed.

A site with a single machine, such as a laptop, has no second one to ask. There, the agreement of
several containers is enough (`one_machine_verdicts`). A machine with bad memory fails so fast that it
may get all attempts of a job, so what decides is whether the site has another machine, not whether
the job was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.exit_codes import ExitCode
from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptEvent, AttemptState, JobState
from ...models import Attempt, Job
from ..state.attempt_end import end_attempt
from ..state.locking import lock_job
from ..state.rounds import ended_attempts
from .claim import Claim, require_running_attempt
from .finish import fail_job, has_failed

_RECENTLY = timedelta(hours=1)
"""A machine that claimed an attempt within this time may be the site's only other one. A laptop's
machine id changes when it restarts, so an older one proves nothing."""


@transaction.atomic
def suspect_input(
    claim: Claim, *, code: str, message: str, details: Mapping[str, Any] | None = None, crashed_unit: str = ""
) -> ExitCode:
    """Fail the attempt, and the job as well if it is certain that the file is bad. Return the container's exit code.

    `message` is for the person who uploaded the file, and is shown only in the latter case; `details` are for it
    in other languages (`transcode.rejections`). With
    `crashed_unit`, such as "video 3", it is for operators, and certainty counts the attempt. Repeating
    the call, after a lost response, changes nothing. Raises FencedError, AttemptCancelledError or
    NotFoundError.
    """
    job = lock_job(claim.job_id)
    if has_failed(job, claim):
        return ExitCode.INPUT_REJECTED if job.state == JobState.FAILED else ExitCode.FAILED
    attempt = require_running_attempt(job, claim)
    if attempt is None or job.state != JobState.RUNNING:
        return ExitCode.FAILED
    is_certain = _is_certain(job, attempt, code, crashed_unit)
    if is_certain and not crashed_unit:
        exit_code = ExitCode.INPUT_REJECTED
        fail_job(job, attempt, code=code, message=message, details=details, exit_code=int(exit_code))
        return exit_code
    end_attempt(
        attempt,
        AttemptEvent.FAIL,
        reason=Reason.TRANSCODE_FAILED if is_certain else Reason.INPUT_SUSPECT,
        text=f"{code}: {message}" if is_certain else "",
        error_code=code,
        exit_code=int(ExitCode.FAILED),
    )
    return ExitCode.FAILED


def _is_certain(job: Job, attempt: Attempt, code: str, crashed_unit: str) -> bool:
    same = ended_attempts(job).filter(reason__in=[Reason.INPUT_SUSPECT, Reason.TRANSCODE_FAILED], error_code=code)
    if crashed_unit:
        same = same.filter(units_in_progress__contains=[crashed_unit])
    if attempt.machine_id and same.exclude(machine_id__in=["", attempt.machine_id]).exists():
        return True
    return same.count() + 1 >= bridge_settings().one_machine_verdicts and not _has_other_machines(job, attempt)


def _has_other_machines(job: Job, attempt: Attempt) -> bool:
    """Return whether another machine worked on this job, or works on any now, or did within the last hour."""
    this_job = Q(job=job, number__gt=job.budget_from, claimed_at__isnull=False)
    recent: Any = Now() - _RECENTLY
    at_any = Q(state=AttemptState.RUNNING) | Q(claimed_at__gt=recent)
    elsewhere = Attempt.objects.exclude(machine_id=attempt.machine_id)
    return elsewhere.filter(this_job | (at_any & ~Q(machine_id=""))).exists()
