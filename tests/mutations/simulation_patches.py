"""Mutations that simulated histories must detect; they show that the invariants can fail."""

from __future__ import annotations

from tests.mutations.patch import Patch

_BY_SEED = "tests/database/services/test_simulator.py::test_jobs_are_not_lost_or_doubled_when_faults_are_drawn_by_seed"

_BY_OPERATOR = (
    "tests/database/services/test_reconcile_histories.py"
    "::test_reconcile_does_only_what_it_reported_when_run_at_any_moment"
)

SIMULATION_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="in simulations: publishing does not set the pointer",
        promise=2,
        file="tasks/services/container_api/publish.py",
        old="    _point_video_at(job, shown_edit=edition.edits.number if edition else 0)\n",
        new="",
        tests=(f"{_BY_SEED}[41]",),
    ),
    Patch(
        name="in simulations: an ended attempt can still claim and finish units",
        promise=3,
        file="tasks/services/container_api/claim.py",
        old="    if attempt.state == AttemptState.RUNNING and attempt.claim_id == claim.claim_id:\n        return attempt\n",
        new="    return attempt\n",
        tests=(f"{_BY_SEED}[6]",),
    ),
    Patch(
        name="in simulations: heartbeat timeouts ignore gaps between ticks",
        promise=5,
        file="tasks/services/ticks/rescue.py",
        old="    return silent & _watched_for(continuous_since, conf.silence_threshold_s)\n",
        new="    return silent\n",
        tests=(f"{_BY_SEED}[5]",),
    ),
    Patch(
        name="in simulations: ticks that have stopped count as continuous",
        promise=5,
        file="tasks/services/state/tick_gaps.py",
        old="    return Tick.objects.filter(recent, name=name).values_list(",
        new="    return Tick.objects.filter(name=name).values_list(",
        tests=(f"{_BY_OPERATOR}[2]",),
    ),
    Patch(
        name="in simulations: reconcile without --apply terminates",
        promise=9,
        file="tasks/services/reconcile.py",
        old="    if not apply_changes:\n        report.terminated = snapshot.terminated\n        return report\n",
        new="",
        tests=(f"{_BY_OPERATOR}[2]",),
    ),
    Patch(
        name="in simulations: Batch jobs of live attempts are reaped",
        promise=5,
        file="tasks/services/ticks/reap.py",
        old='        if owned.get(each.name, "nobody") not in {None, each.batch_job_id} and each.created_at_ms < old_ms\n',
        new="        if each.created_at_ms < old_ms\n",
        tests=(f"{_BY_SEED}[0]",),
    ),
    Patch(
        name="in simulations: a job is DEAD one attempt too early",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if usage.counted >= max_attempts:\n",
        new="    if usage.counted >= max_attempts - 1:\n",
        tests=(f"{_BY_SEED}[2]",),
    ),
    Patch(
        name="in simulations: one attempt too many is granted",
        promise=6,
        file="tasks/services/state/budget.py",
        old="    return decide(budget_usage(job), max_attempts=conf.max_attempts,",
        new="    return decide(budget_usage(job), max_attempts=conf.max_attempts + 1,",
        tests=(f"{_BY_SEED}[2]",),
    ),
    Patch(
        name="in simulations: SubmitJob is repeated without a lookup",
        promise=10,
        file="tasks/services/ticks/submit.py",
        old="        summary.ambiguous += 1\n",
        new="        defer_submission(attempt, wait_s=0)\n        summary.ambiguous += 1\n",
        tests=(f"{_BY_SEED}[5]",),
    ),
)
