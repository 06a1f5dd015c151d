"""Mutations of helpers, rounds and the queue of On-Demand machines."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SCALE = "tests/database/services/test_scale.py"
_CAPACITY = "tests/database/services/test_capacity.py"

SCALE_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="helpers are submitted without regard to their queue's size",
        promise=16,
        file="tasks/services/ticks/scale.py",
        old="    return max(0, can_run - (live if shares_queue else live.filter(helps__isnull=False)).count())\n",
        new="    return 10_000\n",
        tests=(f"{_SCALE}::test_helpers_stop_at_the_queues_size_when_many_jobs_want_them",),
    ),
    Patch(
        name="helpers of cancelled jobs do not count while they run",
        promise=16,
        file="tasks/services/ticks/scale.py",
        old="    live = Attempt.objects.filter(in_batch())\n",
        new="    live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)\n",
        tests=(f"{_SCALE}::test_helpers_of_a_cancelled_job_take_up_room_when_their_batch_jobs_have_not_ended",),
    ),
    Patch(
        name="a guess of the work gets as many helpers as a plan",
        promise=16,
        file="tasks/lifecycle/scaling.py",
        old="        most = min(most, rule.max_early_helpers)\n",
        new="        pass\n",
        tests=(
            "tests/unit/lifecycle/test_scaling.py::test_few_helpers_are_wanted_when_the_work_is_only_guessed",
            f"{_SCALE}::test_helpers_start_with_their_lead_when_the_source_is_large",
        ),
    ),
    Patch(
        name="imported videos take machines before their plan",
        promise=16,
        file="tasks/services/ticks/scale.py",
        old="    if job.priority != JobPriority.UPLOAD or job.video.source.name != job.source_name:\n",
        new="    if job.video.source.name != job.source_name:\n",
        tests=(f"{_SCALE}::test_no_helper_starts_with_the_lead_when_nobody_waits_for_the_video",),
    ),
    Patch(
        name="units leave many slots without work at the end",
        promise=16,
        file="tasks/transcode/plan/planning.py",
        old="    return min(ways, key=lambda firsts: _needed(firsts, segments, slots=slots, extra_segments=extra_segments))\n",
        new="    return ways[-1]\n",
        tests=("tests/unit/transcode/test_planning.py::test_slots_end_together_when_several_containers_work",),
    ),
    Patch(
        name="objects are read back one at a time",
        promise=16,
        file="tasks/transcode/verify/objects.py",
        old='    with ThreadPoolExecutor(connections, thread_name_prefix="verify") as pool:\n',
        new='    with ThreadPoolExecutor(1, thread_name_prefix="verify") as pool:\n',
        tests=("tests/media/test_output.py::test_verification_reads_several_objects_at_a_time_when_it_may",),
    ),
    Patch(
        name="two runs grant the same helpers",
        promise=8,
        file="tasks/services/ticks/scale.py",
        old="GrantCounter.objects.select_for_update(skip_locked=True).filter(name=HELPER_COUNTER)",
        new="GrantCounter.objects.filter(name=HELPER_COUNTER)",
        tests=(f"{_SCALE}::test_number_of_helpers_is_exact_when_many_runs_grant_at_once",),
    ),
    Patch(
        name="helpers that are not needed keep waiting for machines",
        promise=11,
        file="tasks/services/ticks/scale.py",
        old="            _cancel_waiting(help_.job_id, surplus)\n",
        new="            pass\n",
        tests=(f"{_SCALE}::test_waiting_helpers_are_cancelled_when_little_work_is_left",),
    ),
    Patch(
        name="failing helpers are replaced forever",
        promise=6,
        file="tasks/services/ticks/scale.py",
        old='    return bool(counts["failed"] >= _FAILED_HELPERS_LIMIT or counts["all"] >= lost_limit)\n',
        new="    return False\n",
        tests=(f"{_SCALE}::test_round_gets_no_more_helpers_when_five_of_them_failed",),
    ),
    Patch(
        name="each container of a round counts",
        promise=6,
        file="tasks/services/state/rounds.py",
        old="groupby(attempts, lambda each: each.round)]\n",
        new="groupby(attempts, lambda each: each.number)]\n",
        tests=(
            f"{_SCALE}::test_round_counts_once_when_all_its_containers_fail",
            f"{_SCALE}::test_zone_is_one_loss_when_it_takes_thirty_helpers",
        ),
    ),
    Patch(
        name="a round counts although it finished a unit",
        promise=6,
        file="tasks/services/state/rounds.py",
        old="        return any(each.units_done for each in self.attempts)\n",
        new="        return False\n",
        tests=(f"{_SCALE}::test_round_does_not_count_when_one_of_its_containers_finished_a_unit",),
    ),
    Patch(
        name="helpers that wait for machines keep a job from its retry",
        promise=1,
        file="tasks/services/state/attempt_end.py",
        old="    if job.state not in (JobState.QUEUED, JobState.RUNNING) or at_work(job).exists():\n",
        new="    if job.state not in (JobState.QUEUED, JobState.RUNNING) or live_attempts(job).exists():\n",
        tests=(f"{_SCALE}::test_job_is_retried_when_only_waiting_helpers_are_left",),
    ),
    Patch(
        name="reclaimed leads stay on Spot",
        promise=6,
        file="tasks/services/ticks/capacity.py",
        old="    return sum(reclaims) >= conf.reclaims_before_on_demand\n",
        new="    return False\n",
        tests=(f"{_CAPACITY}::test_lead_gets_an_on_demand_machine_when_two_in_a_row_were_reclaimed",),
    ),
    Patch(
        name="any end of a lead leads to On-Demand machines",
        promise=6,
        file="tasks/services/ticks/capacity.py",
        old="    reclaims = [reason in _RECLAIMED or (reason in _SILENT and counted is False) for reason, counted in newest]\n",
        new="    reclaims = [True for _ in newest]\n",
        tests=(f"{_CAPACITY}::test_lead_stays_on_spot_when_only_one_machine_in_a_row_was_reclaimed",),
    ),
    Patch(
        name="a lead without capacity is moved again and again",
        promise=6,
        file="tasks/services/ticks/capacity.py",
        old="        on_demand=False,\n",
        new="",
        tests=(f"{_CAPACITY}::test_lead_gets_an_on_demand_machine_when_spot_had_no_capacity_for_ten_minutes",),
    ),
    Patch(
        name="a lead leaves Spot whatever AWS Batch waits for",
        promise=6,
        file="tasks/services/ticks/capacity.py",
        old="    lacks = status_reason.startswith(NO_CAPACITY_PREFIX)\n",
        new="    lacks = True\n",
        tests=(f"{_CAPACITY}::test_lead_waits_on_spot_when_capacity_is_not_what_has_been_missing",),
    ),
    Patch(
        name="a lead leaves Spot for the time that it waited for something else",
        promise=6,
        file="tasks/services/ticks/capacity.py",
        old="        no_capacity_since__lt=Now() -",
        new="        no_capacity_since__isnull=False,\n        batch_status_at__lt=Now() -",
        tests=(f"{_CAPACITY}::test_lead_waits_on_spot_when_it_has_waited_for_something_else_until_now",),
    ),
)
