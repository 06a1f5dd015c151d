"""Patches that take protections out of asking: the request, its hint, and the constraints of the database."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"
_FAULTS = "tests/integration/faults"
_MIGRATION = "tasks/migrations/0001_initial.py"

REQUEST_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="overlooked videos stay overlooked",
        promise=1,
        file="tasks/tasks.py",
        old="    request_missing_jobs(limit=bridge_settings().submit_limit)\n",
        new="",
        tests=(
            "tests/integration/test_path_once.py::test_one_tick_submits_it_when_a_bulk_created_video_sent_no_signal",
        ),
    ),
    Patch(
        name="doubts are never settled",
        promise=1,
        file="tasks/tasks.py",
        old="    resolve_ambiguous(batch=batch)\n",
        new="",
        tests=(f"{_FAULTS}/test_ambiguous_submissions.py",),
    ),
    Patch(
        name="a state is written without comparing it",
        promise=3,
        file="tasks/services/state/transition.py",
        old='    expected: dict[str, Any] = {"pk": row.pk, "state": row.state}\n',
        new='    expected: dict[str, Any] = {"pk": row.pk}\n',
        tests=(
            f"{_SERVICES}/test_transition.py::test_superseded_writer_changes_nothing_when_the_state_was_changed_behind_its_back",
        ),
    ),
    Patch(
        name="a fence is not compared",
        promise=3,
        file="tasks/services/state/transition.py",
        old='        expected["fence"] = row.fence\n',
        new="        pass\n",
        tests=(f"{_SERVICES}/test_transition.py::test_superseded_writer_changes_nothing_when_the_fence_has_grown",),
    ),
    Patch(
        name="a process that hangs keeps its row locks",
        promise=3,
        file="project/settings.py",
        old='    DATABASES["default"]["OPTIONS"]["options"] = session_options\n',
        new="    pass\n",
        tests=("tests/database/doctor/test_doctor.py",),
    ),
    Patch(
        name="the job's row is not locked",
        promise=3,
        file="tasks/services/state/locking.py",
        old='Job.objects.select_for_update(of=("self",)).defer(',
        new="Job.objects.defer(",
        tests=(f"{_FAULTS}/test_races.py",),
    ),
    Patch(
        name="a second active job is allowed",
        promise=4,
        file="tasks/migrations/0001_initial.py",
        old="fields=('video',), name='one_active_job_per_video'",
        new="fields=('video', 'id'), name='one_active_job_per_video'",
        tests=(f"{_SERVICES}/test_request.py",),
    ),
    Patch(
        name="a retried request makes a job by itself",
        promise=4,
        file="tasks/services/requests/request.py",
        old="    Job.objects.bulk_create([job], ignore_conflicts=True)\n",
        new="    Job.objects.bulk_create([job])\n",
        tests=(
            f"{_SERVICES}/test_request.py",
            "tests/integration/test_path_once.py::test_one_job_is_submitted_once_when_a_video_is_saved_twenty_times_at_once",
        ),
    ),
    Patch(
        name="one source may have two automatic jobs",
        promise=4,
        file=_MIGRATION,
        old="fields=('video', 'source_name', 'profile'), name='one_automatic_job_per_source'",
        new="fields=('id', 'video', 'source_name', 'profile'), name='one_automatic_job_per_source'",
        tests=(
            f"{_SERVICES}/test_indexes.py::test_database_refuses_a_second_automatic_job_of_one_source_when_code_forgets_to_look",
        ),
    ),
    Patch(
        name="the older source's job goes on",
        promise=4,
        file="tasks/services/requests/request.py",
        old="        cancel_locked(lock_job(older.pk), reason=Reason.SUPERSEDED)\n",
        new="        lock_job(older.pk)\n",
        tests=(f"{_SERVICES}/test_request.py::test_older_job_is_superseded_when_a_new_source_is_uploaded",),
    ),
    Patch(
        name="a save asks again after a job that ended",
        promise=4,
        file="tasks/services/requests/request.py",
        old="Job.objects.filter(video=video, source_name=str(video.source)).exists()",
        new="Job.objects.filter(video=video, source_name=str(video.source), state__in=ACTIVE_JOB_STATES).exists()",
        tests=(
            f"{_SERVICES}/test_request_guards.py::test_nothing_is_asked_for_twice_when_the_first_request_was_not_noted",
        ),
    ),
    Patch(
        name="a save undoes what services wrote",
        promise=2,
        file="tasks/models/video.py",
        old=" - _WRITTEN_BY_SERVICES",
        new="",
        tests=(
            f"{_SERVICES}/test_request_guards.py::test_what_services_wrote_stays_when_an_older_copy_of_the_video_is_saved",
        ),
    ),
    Patch(
        name="a request is not noted at its video",
        promise=13,
        file="tasks/services/requests/request.py",
        old='    _note_request(video)\n    append_event("job.request"',
        new='    append_event("job.request"',
        tests=(f"{_SERVICES}/test_request_guards.py::test_nothing_is_looked_at_again_when_its_job_was_asked_for",),
    ),
    Patch(
        name="a revived job keeps its spent budget",
        promise=6,
        file="tasks/services/requests/request.py",
        old='reason=Reason.REVIVED, budget_from=F("fence"),',
        new="reason=Reason.REVIVED,",
        tests=(f"{_SERVICES}/test_request.py::test_dead_job_gets_a_new_budget_when_an_operator_revives_it",),
    ),
    Patch(
        name="each hint is tried whatever became of the last",
        promise=7,
        file="tasks/wakeup.py",
        old="    if not breaker.is_closed():\n        return\n",
        new="",
        tests=(
            f"{_FAULTS}/test_redis_down.py::test_fifty_videos_are_saved_at_once_and_all_submitted_later_when_redis_was_away",
        ),
    ),
    Patch(
        name="a request waits for the broker",
        promise=7,
        file="tasks/wakeup.py",
        old="    sending.join(timeout=bridge_settings().broker_timeout_s)\n",
        new="    sending.join()\n",
        tests=(f"{_SERVICES}/test_wakeup.py::test_saving_does_not_wait_when_redis_answers_a_byte_at_a_time",),
    ),
    Patch(
        name="a hint for each video of a transaction",
        promise=7,
        file="tasks/wakeup.py",
        old="    if not any(function is send_wakeup for _, function, *_ in connection.run_on_commit):\n",
        new="    if True:\n",
        tests=(f"{_SERVICES}/test_wakeup.py::test_one_wakeup_is_sent_when_a_transaction_saves_many_videos",),
    ),
    Patch(
        name="a hint is sent before the commit",
        promise=7,
        file="tasks/wakeup.py",
        old="        transaction.on_commit(send_wakeup, robust=True)\n",
        new="        send_wakeup()\n",
        tests=(f"{_SERVICES}/test_wakeup.py::test_one_wakeup_is_sent_when_a_transaction_saves_many_videos",),
    ),
    Patch(
        name="a number may have two attempts",
        promise=10,
        file=_MIGRATION,
        old="fields=('job', 'number'), name='one_attempt_per_fence'",
        new="fields=('id', 'job', 'number'), name='one_attempt_per_fence'",
        tests=(
            f"{_SERVICES}/test_indexes.py::test_database_refuses_a_second_attempt_of_one_number_when_code_forgets_to_look",
        ),
    ),
    Patch(
        name="a Batch job may have two attempts",
        promise=10,
        file=_MIGRATION,
        old="fields=('batch_job_id',), name='one_attempt_per_batch_job'",
        new="fields=('batch_job_id', 'id'), name='one_attempt_per_batch_job'",
        tests=(
            f"{_SERVICES}/test_indexes.py::test_database_refuses_a_second_attempt_of_one_batch_job_when_code_forgets_to_look",
        ),
    ),
    Patch(
        name="cancelled jobs keep their attempts",
        promise=11,
        file="tasks/services/requests/cancel.py",
        old="    end_job_attempts(job, reason=reason)\n",
        new="",
        tests=(
            f"{_SERVICES}/test_cancel_delete_reap.py::test_batch_job_is_terminated_until_aws_says_it_ended_when_its_job_is_cancelled",
        ),
    ),
    Patch(
        name="a request does not look whether the video was deleted",
        promise=11,
        file="tasks/services/state/locking.py",
        old='Video.objects.select_for_update(no_key=True, of=("self",)).filter(pk=video_id, deleted_at=None)',
        new="Video.objects.filter(pk=video_id, deleted_at=None)",
        tests=(f"{_FAULTS}/test_races.py::test_deleted_video_has_no_active_job_when_a_request_meets_the_deletion",),
    ),
    Patch(
        name="finished work is cancelled",
        promise=11,
        file="tasks/services/requests/cancel.py",
        old="    if job.state not in ACTIVE_JOB_STATES | {JobState.DEAD}:\n        return False\n",
        new="",
        tests=(f"{_SERVICES}/test_cancel_delete_reap.py::test_finished_work_stays_finished_when_a_cancel_comes_late",),
    ),
    Patch(
        name="a deleted video's jobs go on",
        promise=11,
        file="tasks/services/requests/delete.py",
        old="        cancel_locked(lock_job(job_id), reason=Reason.VIDEO_DELETED)\n",
        new="        lock_job(job_id)\n",
        tests=(f"{_SERVICES}/test_cancel_delete_reap.py::test_deleted_video_ends_its_work_then_objects_then_rows_go",),
    ),
    Patch(
        name="a place of the plan may have two units",
        promise=12,
        file=_MIGRATION,
        old="fields=('job', 'kind', 'index'), name='one_unit_per_place'",
        new="fields=('id', 'job', 'kind', 'index'), name='one_unit_per_place'",
        tests=(
            f"{_SERVICES}/test_indexes.py::test_database_refuses_a_second_unit_in_one_place_when_code_forgets_to_look",
        ),
    ),
)
