"""Mutations of the backlog, of breaks between containers and database, and of reconciling."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"
_GRANT = "tasks/services/ticks/grant.py"
_TURNS = "tasks/lifecycle/turns.py"
_HOLD = "tasks/services/ticks/hold.py"
_RESCUE = "tasks/services/ticks/rescue.py"
_PHASES = f"{_SERVICES}/test_hold_phases.py"
_NOT_SPLIT = "test_no_container_is_replaced_when_a_tick_comes_while_a_break_silences_one_after_another"
_NO_STARVING = f"{_SERVICES}/test_grant.py::test_no_job_starves_and_owners_take_turns_when_jobs_never_end"
_UPLOAD = f"{_SERVICES}/test_grant.py::test_new_upload_is_submitted_within_two_ticks_when_20000_lectures_were_imported"

BACKLOG_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a break between containers and database is not recognised",
        promise=5,
        file=_HOLD,
        old="    if not silent:\n        return 0\n",
        new="    if silent or not silent:\n        return 0\n",
        tests=(
            f"{_SERVICES}/test_hold.py::test_containers_are_held_and_operators_alerted_when_many_are_silent_at_once",
        ),
    ),
    Patch(
        name="containers get no time to return from a break",
        promise=5,
        file=_RESCUE,
        old="    silent = Q(heartbeat_at__lt=deadline) & not_held_for(conf.silence_threshold_s)\n",
        new="    silent = Q(heartbeat_at__lt=deadline)\n",
        tests=(f"{_SERVICES}/test_hold.py::test_work_continues_when_containers_return_from_a_break",),
    ),
    Patch(
        name="waiting out a break counts as a stall",
        promise=5,
        file=_RESCUE,
        old="        late = Q(stage=stage, progressed_at__lt=deadline) & not_held_for(limit_s)\n",
        new="        late = Q(stage=stage, progressed_at__lt=deadline)\n",
        tests=(f"{_SERVICES}/test_hold.py::test_work_continues_when_containers_return_from_a_break",),
    ),
    Patch(
        name="containers that start during a break are replaced",
        promise=5,
        file=_HOLD,
        old="    return _running().filter(Q(state=AttemptState.RUNNING) & claimed | Q(state=AttemptState.SUBMITTED) & unclaimed)\n",
        new="    return _running().filter(Q(state=AttemptState.RUNNING) & claimed)\n",
        tests=(f"{_SERVICES}/test_hold.py::test_starting_containers_are_held_when_none_of_them_reaches_the_database",),
    ),
    Patch(
        name="a tick sees only the first part of a break",
        promise=5,
        file=_HOLD,
        old="    return conf.silence_threshold_s - _SPREAD_HEARTBEATS * conf.heartbeat_s\n",
        new="    return conf.silence_threshold_s\n",
        tests=(f"{_PHASES}::{_NOT_SPLIT}[half]", f"{_PHASES}::{_NOT_SPLIT}[two-fifths]"),
    ),
    Patch(
        name="containers that are almost silent are not held",
        promise=5,
        file=_HOLD,
        old="    count = _almost_silent().filter(",
        new="    count = _silent().filter(",
        tests=(f"{_PHASES}::{_NOT_SPLIT}[all]",),
    ),
    Patch(
        name="starting containers show a break only after their own threshold",
        promise=5,
        file=_HOLD,
        old="unclaimed_s=_almost_silent_s())",
        new="unclaimed_s=bridge_settings().start_timeout_s)",
        tests=(f"{_PHASES}::test_starting_containers_are_held_when_they_started_one_after_another",),
    ),
    Patch(
        name="containers that have only just started outvote a break",
        promise=5,
        file=_HOLD,
        old="    return _running().exclude(just_started)\n",
        new="    return _running()\n",
        tests=(f"{_PHASES}::test_containers_are_held_when_others_have_only_just_started",),
    ),
    Patch(
        name="a few missed heartbeats count as a break",
        promise=5,
        file=_HOLD,
        old="_SPREAD_HEARTBEATS = 2\n",
        new="_SPREAD_HEARTBEATS = 5\n",
        tests=(f"{_PHASES}::test_dead_container_is_replaced_when_healthy_ones_have_missed_a_few_heartbeats",),
    ),
    Patch(
        name="a break spares silent containers forever",
        promise=5,
        file=_HOLD,
        old='        return Q(**{f"{column}__lt": newest, f"{column}__gt": oldest})\n',
        new='        return Q(**{f"{column}__lt": newest}) & ~Q(**{f"{column}": oldest})\n',
        tests=(
            f"{_SERVICES}/test_hold.py::test_containers_are_given_up_uncounted_when_a_break_outlasts_their_retries",
        ),
    ),
    Patch(
        name="reconcile ends containers during a break",
        promise=5,
        file="tasks/services/reconcile.py",
        old="    spared = frozenset(cut_off())\n",
        new="    spared: frozenset[int] = frozenset(cut_off()[:0])\n",
        tests=(f"{_SERVICES}/test_hold.py::test_reconcile_spares_silent_containers_when_there_is_a_break",),
    ),
    Patch(
        name="attempts that are given up after a break are counted",
        promise=6,
        file="tasks/lifecycle/reasons.py",
        old='        "CONNECTION_LOST",\n        Counts.NO,\n',
        new='        "CONNECTION_LOST",\n        Counts.YES,\n',
        tests=(
            f"{_SERVICES}/test_hold.py::test_container_that_never_returns_is_replaced_uncounted_when_a_break_ended",
        ),
    ),
    Patch(
        name="reconcile holds the locks of all jobs",
        promise=8,
        file="tasks/services/reconcile.py",
        old="    with _own_events() as events:\n        _fix(snapshot, apply_changes=apply_changes)\n",
        new="    with _own_events() as events, transaction.atomic():\n        _fix(snapshot, apply_changes=apply_changes)\n",
        tests=(f"{_SERVICES}/test_reconcile.py::test_other_jobs_are_not_locked_when_one_is_reconciled",),
    ),
    Patch(
        name="ambiguous submissions do not stop a run",
        promise=9,
        file="tasks/services/ticks/submit.py",
        old="        failures = summary.rejections + summary.ambiguous\n",
        new="        failures = summary.rejections\n",
        tests=(f"{_SERVICES}/test_submit.py::test_run_stops_after_a_few_calls_when_each_response_is_lost",),
    ),
    Patch(
        name="uploads wait behind bulk jobs",
        promise=16,
        file=_TURNS,
        old="            return Turn.RETRY, Turn.UPLOAD, Turn.BULK\n",
        new="            return Turn.BULK, Turn.UPLOAD, Turn.RETRY\n",
        tests=(_UPLOAD,),
    ),
    Patch(
        name="retries wait behind uploads",
        promise=16,
        file=_GRANT,
        old="    Turn.RETRY: \"job.fence > 0 AND job.priority = 'upload'\",\n",
        new='    Turn.RETRY: "job.priority IS NULL",\n',
        tests=(f"{_SERVICES}/test_grant_reserve.py::test_reclaimed_upload_is_next_when_other_uploads_wait",),
    ),
    Patch(
        name="uploads starve while retries never end",
        promise=16,
        file=_TURNS,
        old="        case n if n == _UPLOADS_FIRST:\n",
        new="        case n if n == -_UPLOADS_FIRST:\n",
        tests=("tests/unit/lifecycle/test_turns.py",),
    ),
    Patch(
        name="bulk jobs starve while uploads never end",
        promise=16,
        file=_TURNS,
        old="        case n if n == _BULK_FIRST:\n",
        new="        case n if n == -_BULK_FIRST:\n",
        tests=(_NO_STARVING,),
    ),
    Patch(
        name="bulk jobs may fill the reserve",
        promise=16,
        file=_TURNS,
        old=" or live < limits.bulk\n",
        new=" or live < limits.total\n",
        tests=(_UPLOAD,),
    ),
    Patch(
        name="owners take no turns",
        promise=16,
        file=_GRANT,
        old="row_number() OVER (PARTITION BY owner, is_new ORDER",
        new="row_number() OVER (PARTITION BY is_new ORDER",
        tests=(f"{_SERVICES}/test_grant.py::test_owners_turns_differ_by_at_most_one_when_one_has_most_jobs",),
    ),
    Patch(
        name="the next run forgets which owner was served",
        promise=16,
        file=_GRANT,
        old="            served[owner, turn] = granted + 1\n",
        new="            served[owner, turn] = 1\n",
        tests=(_NO_STARVING,),
    ),
    Patch(
        name="everything is submitted at once",
        promise=16,
        file=_TURNS,
        old="    if live >= limits.total:\n        return None\n",
        new="",
        tests=(f"{_SERVICES}/test_grant.py::test_grants_stop_at_the_limit_when_more_jobs_are_due",),
    ),
    Patch(
        name="concurrent runs exceed the limit together",
        promise=16,
        file=_GRANT,
        old="GrantCounter.objects.select_for_update(skip_locked=True).filter(name=_COUNTER)",
        new="GrantCounter.objects.filter(name=_COUNTER)",
        tests=(f"{_SERVICES}/test_grant.py::test_limit_is_exact_when_many_runs_grant_at_once",),
    ),
    Patch(
        name="imported videos are requested as uploads",
        promise=16,
        file="tasks/services/requests/request.py",
        old="request_automatically(video_id=video_id, priority=JobPriority.BULK)",
        new="request_automatically(video_id=video_id, priority=JobPriority.UPLOAD)",
        tests=(f"{_SERVICES}/test_grant.py::test_imported_video_is_a_bulk_job_when_only_a_tick_found_it",),
    ),
    Patch(
        name="the queue's size is ignored",
        promise=16,
        file=_GRANT,
        old="    return limits_of(max_in_batch=2 * max(1, counter.queue_vcpus // conf.vcpus))\n",
        new="    return limits_of(max_in_batch=UNKNOWN_QUEUE)\n",
        tests=(f"{_SERVICES}/test_grant.py::test_limit_follows_the_queue_when_aws_reports_its_vcpus",),
    ),
    Patch(
        name="one owner's uploads may fill AWS Batch",
        promise=16,
        file=_GRANT,
        old="        if turn is not Turn.UPLOAD:\n",
        new="        if True:\n",
        tests=(
            f"{_SERVICES}/test_grant.py::test_next_upload_waits_behind_few_others_when_one_owner_uploads_very_many",
        ),
    ),
    Patch(
        name="an owner's full share is an alarm",
        promise=9,
        file=_GRANT,
        old="Q(fence=0, video__owner__in=full)\n",
        new="Q(pk__in=[])\n",
        tests=(
            f"{_SERVICES}/test_grant.py::test_next_upload_waits_behind_few_others_when_one_owner_uploads_very_many",
        ),
    ),
    Patch(
        name="a full AWS Batch is an alarm",
        promise=9,
        file=_GRANT,
        old="        return Q(pk__isnull=False)\n",
        new="        return Q()\n",
        tests=(f"{_SERVICES}/test_grant.py::test_waiting_backlog_is_not_overdue_when_batch_is_full",),
    ),
    Patch(
        name="one job that cannot be granted stops all others",
        promise=1,
        file=_GRANT,
        old="    except (DatabaseError, ArithmeticError, ValueError):\n",
        new="    except ZeroDivisionError:\n",
        tests=(f"{_SERVICES}/test_grant.py::test_others_are_granted_when_a_jobs_rows_cannot_be_used",),
    ),
    Patch(
        name="bulk retries use the reserve of uploads",
        promise=16,
        file="tasks/services/ticks/grant.py",
        old="    Turn.RETRY: \"job.fence > 0 AND job.priority = 'upload'\",\n",
        new='    Turn.RETRY: "job.fence > 0",\n',
        tests=(
            "tests/database/services/test_grant_reserve.py::test_upload_is_submitted_next_when_a_zone_lost_a_hundred_bulk_jobs",
        ),
    ),
    Patch(
        name="reclaimed bulk jobs wait behind the others",
        promise=16,
        file="tasks/services/ticks/grant.py",
        old="     ORDER BY is_new, place,\n",
        new="     ORDER BY place,\n",
        tests=(
            "tests/database/services/test_grant_reserve.py::test_reclaimed_bulk_jobs_are_next_when_other_bulk_jobs_wait",
        ),
    ),
    Patch(
        name="deleted videos do not count while their containers run",
        promise=16,
        file="tasks/services/state/in_batch.py",
        old="    return Q(state__in=LIVE_ATTEMPT_STATES) | ended\n",
        new="    return Q(state__in=LIVE_ATTEMPT_STATES)\n",
        tests=(
            "tests/database/services/test_grant_reserve.py::test_deleted_video_makes_room_when_its_batch_job_has_ended",
            "tests/database/web/test_quotas.py::test_upload_is_refused_when_deleted_videos_are_still_in_batch",
        ),
    ),
    Patch(
        name="requests of operators use up the retries of owners",
        promise=17,
        file="tasks/services/requests/request.py",
        old="    if owner is not None:\n        append_event(RETRY_EVENT",
        new="    if True:\n        append_event(RETRY_EVENT",
        tests=("tests/database/web/test_quotas.py::test_owner_can_retry_when_operators_requested_the_video_often",),
    ),
    Patch(
        name="the only machine of a job is taken for the only one of the site",
        promise=6,
        file="tasks/services/container_api/suspect.py",
        old='    return elsewhere.filter(this_job | (at_any & ~Q(machine_id=""))).exists()\n',
        new="    return elsewhere.filter(this_job).exists()\n",
        tests=(
            "tests/database/services/test_suspect_input.py::test_one_machine_is_not_enough_when_another_one_works_on_other_jobs",
        ),
    ),
)
