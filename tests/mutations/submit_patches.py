"""Mutations of submitting: attempts, SubmitJob, ambiguous submissions, and the attempt limit."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"
_FAULTS = "tests/integration/faults"

SUBMIT_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="an overdue final status still counts as undecided",
        promise=1,
        file="tasks/services/state/rounds.py",
        old="        if self.has_progressed or self.counted:\n",
        new="        if self.has_progressed:\n",
        tests=(
            f"{_SERVICES}/test_attempt_limit.py::test_job_gets_another_attempt_when_a_few_final_statuses_never_come",
        ),
    ),
    Patch(
        name="a sixth attempt is granted",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if usage.counted >= max_attempts:\n",
        new="    if usage.counted > max_attempts:\n",
        tests=(f"{_FAULTS}/test_budget.py::test_job_is_dead_after_exactly_five_attempts_when_each_is_counted",),
    ),
    Patch(
        name="undecided attempts are ignored",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if usage.counted + usage.undecided >= max_attempts:\n",
        new="    if usage.counted >= max_attempts:\n",
        tests=("tests/unit/lifecycle",),
    ),
    Patch(
        name="a Spot interruption is counted",
        promise=6,
        file="tasks/lifecycle/reasons.py",
        old='    SPOT_INTERRUPTION = "SPOT_INTERRUPTION", Counts.NO,',
        new='    SPOT_INTERRUPTION = "SPOT_INTERRUPTION", Counts.YES,',
        tests=(f"{_FAULTS}/test_budget.py::test_host_loss_is_not_counted_when_batch_reports_it",),
    ),
    Patch(
        name="host losses in a row are not limited",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if usage.consecutive_losses >= max_consecutive_losses:\n        return Decision.TOO_MANY_LOSSES\n",
        new="",
        tests=(f"{_FAULTS}/test_budget.py::test_job_is_dead_when_twenty_hosts_are_lost_without_a_finished_unit",),
    ),
    Patch(
        name="a finished unit does not reset host losses in a row",
        promise=6,
        file="tasks/services/state/rounds.py",
        old="        return not self.has_progressed and bool(ran) and",
        new="        return bool(ran) and",
        tests=(f"{_FAULTS}/test_budget.py::test_job_survives_25_host_losses_when_a_unit_was_finished_in_between",),
        long=True,
    ),
    Patch(
        name="memory is not increased after an out-of-memory failure",
        promise=6,
        file="tasks/services/state/resources.py",
        old="    return min(conf.memory_cap_mib, int(ran_out * conf.out_of_memory_factor))\n",
        new="    return conf.memory_mib\n",
        tests=(f"{_SERVICES}/test_submit.py::test_next_attempt_has_more_memory_when_one_ran_out",),
    ),
    Patch(
        name="an overdue final status is not counted",
        promise=6,
        file="tasks/services/state/rounds.py",
        old="any(each.counted or each.is_overdue for each",
        new="any(each.counted for each",
        tests=(f"{_SERVICES}/test_attempt_limit.py::test_job_is_dead_when_batch_never_reports_the_final_status",),
    ),
    Patch(
        name="a job waits for final statuses that are already overdue",
        promise=6,
        file="tasks/services/state/budget.py",
        old=", ended_at__gt=Now() - final_status_wait())\n",
        new=")\n",
        tests=(
            f"{_SERVICES}/test_attempt_limit.py::test_job_is_not_due_again_at_once_when_it_waits_for_final_statuses",
        ),
    ),
    Patch(
        name="a purged video aborts the submit tick",
        promise=1,
        file="tasks/services/ticks/submit.py",
        old="    except NotFoundError:  # its video was deleted, and purged\n",
        new="    except ZeroDivisionError:\n",
        tests=(f"{_SERVICES}/test_submit.py::test_submit_continues_when_a_video_is_purged_during_it",),
    ),
    Patch(
        name="due jobs are not locked",
        promise=8,
        file="tasks/services/ticks/grant.py",
        old='due_jobs().select_for_update(skip_locked=True, of=("self",))',
        new="due_jobs()",
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_due_job_is_skipped_when_another_process_is_about_to_submit_it",
        ),
    ),
    Patch(
        name="locked due jobs are waited for",
        promise=8,
        file="tasks/services/ticks/grant.py",
        old='due_jobs().select_for_update(skip_locked=True, of=("self",))',
        new='due_jobs().select_for_update(of=("self",))',
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_due_job_is_skipped_when_another_process_is_about_to_submit_it",
        ),
    ),
    Patch(
        name="a denied DescribeJobs counts as absence",
        promise=9,
        file="tasks/batch/aws.py",
        old='            with converted_errors("DescribeJobs", client):\n                response = client.describe_jobs(jobs=page)\n',
        new=(
            "            found: dict[str, Observation] = {}\n            try:\n"
            "                response = client.describe_jobs(jobs=page)\n            except ClientError:\n"
            '                response = {"jobs": []}\n            if True:\n'
        ),
        tests=(
            f"{_FAULTS}/test_unknown_is_not_failed.py::test_state_is_unchanged_and_event_written_once_when_aws_rejects_reads",
        ),
    ),
    Patch(
        name="one empty lookup resolves an ambiguous submission",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="LOOKUP_MISSES = 2\n",
        new="LOOKUP_MISSES = 1\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_repeated_only_when_two_lookups_are_empty",),
    ),
    Patch(
        name="boto3 retries SubmitJob",
        promise=10,
        file="tasks/batch/aws.py",
        old="        client = batch_client(retry=False)\n",
        new="        client = batch_client(retry=True)\n",
        tests=(f"{_FAULTS}/test_ambiguous_submissions.py::test_jobs_succeed_once_when_submit_job_fails_in_any_way",),
    ),
    Patch(
        name="an ambiguous submission is repeated without a lookup",
        promise=10,
        file="tasks/services/ticks/submit.py",
        old="        summary.ambiguous += 1\n",
        new="        defer_submission(attempt, wait_s=0)\n        summary.ambiguous += 1\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="a server error counts as a rejection",
        promise=10,
        file="tasks/batch/errors.py",
        old="    return BatchAmbiguousError if status >= _SERVER_ERROR else BatchRejectedError\n",
        new="    return BatchRejectedError if status else BatchRejectedError\n",
        tests=("tests/unit/test_batch_errors.py",),
    ),
    Patch(
        name="a broken connection counts as a rejection",
        promise=10,
        file="tasks/batch/errors.py",
        old="    return by_class.get(type(error), BatchAmbiguousError)\n",
        new="    return by_class.get(type(error), BatchRejectedError)\n",
        tests=("tests/unit/test_batch_errors.py",),
    ),
    Patch(
        name="lookups do not wait until ListJobs is settled",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="            submit_called_at__lte=settled,\n",
        new="",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="a second Batch job of an attempt is not terminated",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old='            terminate_orphan(extra.batch_job_id, batch=batch, why="another Batch job has this attempt")\n',
        new="            pass\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="the attempt's own Batch job is terminated as a duplicate",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="        if extra.batch_job_id != owner and extra.status not in FINAL_STATUSES:\n",
        new="        if extra.status not in FINAL_STATUSES:\n",
        tests=(f"{_SERVICES}/test_submit.py::test_owner_is_not_terminated_when_its_claim_precedes_the_lookup",),
    ),
    Patch(
        name="deferred attempts are not locked",
        promise=10,
        file="tasks/services/ticks/submit.py",
        old='due.select_for_update(skip_locked=True, of=("self",))',
        new="due",
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_deferred_attempt_is_skipped_when_another_process_submits_it",
        ),
    ),
    Patch(
        name="a late SubmitJob response is ignored",
        promise=11,
        file="tasks/services/ticks/submit.py",
        old='        terminate_orphan(batch_job_id, batch=batch, why="the attempt ended, or has another Batch job")\n',
        new="        return\n",
        tests=(f"{_SERVICES}/test_submit.py::test_late_batch_job_is_terminated_when_its_job_was_cancelled",),
    ),
    Patch(
        name="jobs without attempts left use up the tick's limit",
        promise=13,
        file="tasks/services/ticks/submit.py",
        old="    while len(attempts) < wanted and examined < limit:\n",
        new="    while len(attempts) < wanted and not examined:\n",
        tests=(f"{_SERVICES}/test_submit.py::test_new_jobs_are_submitted_in_one_run_when_exhausted_jobs_are_due",),
    ),
    Patch(
        name="DescribeJobs is called once per id",
        promise=13,
        file="tasks/batch/aws.py",
        old="islice(remaining, DESCRIBE_LIMIT_IDS)",
        new="islice(remaining, 1)",
        tests=(
            "tests/integration/test_pipeline_once.py::test_tick_makes_three_calls_and_no_write_when_250_jobs_are_unchanged",
        ),
        long=True,
    ),
    Patch(
        name="the last of several causes is named as the only one",
        promise=6,
        file="tasks/lifecycle/dead_message.py",
        old="    elif len({explain(each) for each in causes}) == 1:\n",
        new="    elif True:\n",
        tests=("tests/unit/lifecycle/test_dead_message.py",),
    ),
    Patch(
        name="attempts that did not count are causes of death",
        promise=6,
        file="tasks/services/state/dead_job.py",
        old="else [each for each in rounds if each.counted]\n",
        new="else rounds\n",
        tests=(
            f"{_SERVICES}/test_dead_job.py::test_uncounted_attempts_are_ignored_when_the_counted_ones_failed_the_same_way",
        ),
    ),
    Patch(
        name="the owner of a dead job is not given its cause",
        promise=6,
        file="tasks/selectors/videos.py",
        old="        case VideoStatus.DEAD, _ if why:\n",
        new="        case VideoStatus.DEAD, _ if not why:\n",
        tests=(f"{_SERVICES}/test_dead_job.py::test_owner_reads_the_cause_when_five_attempts_failed_the_same_way",),
    ),
)
