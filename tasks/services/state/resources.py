"""What the next attempt of a job gets: memory and time, from what earlier attempts used and what is left to do."""

from __future__ import annotations

import math

from django.db.models import Max, Q, Sum

from ...conf import bridge_settings
from ...lifecycle.reasons import Reason
from ...lifecycle.states import WORK_UNIT_KINDS, UnitState
from ...models import Attempt, Job, Unit

_START_S = 3600
"""Part of an attempt's time limit for download, plan and verification."""


def memory_mib(job: Job) -> int:
    """Return the configured memory, or more if an attempt of this job ran out of memory."""
    conf = bridge_settings()
    ran_out = Attempt.objects.filter(job=job, reason=Reason.OUT_OF_MEMORY).aggregate(most=Max("memory_mib"))["most"]
    if ran_out is None:
        return conf.memory_mib
    return min(conf.memory_cap_mib, int(ran_out * conf.out_of_memory_factor))


def timeout_s(job: Job) -> int:
    """Return the attempt's time limit: the maximum, or less if the plan shows how much work is left.

    A container may also wait for disk space and for the database, each up to its own limit.
    """
    conf = bridge_settings()
    units = Unit.objects.filter(job=job, kind__in=WORK_UNIT_KINDS)
    weights = units.aggregate(all=Sum("weight_frames"), left=Sum("weight_frames", filter=~Q(state=UnitState.DONE)))
    if job.encode_cost_s is None or not math.isfinite(job.encode_cost_s) or not weights["all"]:
        return conf.attempt_timeout_s
    left_s: float = job.encode_cost_s * (weights["left"] or 0) / weights["all"] / conf.vcpus
    waits_s = conf.scratch_wait_s + conf.database_retry_s
    return min(conf.attempt_timeout_s, round(_START_S + waits_s + conf.attempt_timeout_factor * left_s))
