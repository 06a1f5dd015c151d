"""Patches that take protections out of submitting: the grant of an attempt, SubmitJob, its doubts, and the budget."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"
_FAULTS = "tests/integration/faults"

SUBMIT_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="a verdict that never comes is waited for",
        promise=1,
        file="tasks/services/state/budget.py",
        old="undecided=counted.filter(counted=None).exclude(overdue).count()",
        new="undecided=counted.filter(counted=None).count()",
        tests=(f"{_SERVICES}/test_budget.py::test_job_goes_on_when_a_few_final_statuses_never_come",),
    ),
    Patch(
        name="a sixth execution is granted",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if spent.counted >= max_attempts:\n",
        new="    if spent.counted > max_attempts:\n",
        tests=(f"{_FAULTS}/test_budget.py::test_job_is_dead_after_exactly_five_attempts_when_each_is_counted",),
    ),
    Patch(
        name="open charges are forgotten",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if spent.counted + spent.undecided >= max_attempts:\n",
        new="    if spent.counted >= max_attempts:\n",
        tests=("tests/unit/lifecycle",),
    ),
    Patch(
        name="a Spot reclaim is counted",
        promise=6,
        file="tasks/lifecycle/reasons.py",
        old='    SPOT_RECLAIM = "SPOT_RECLAIM", Counts.NO,',
        new='    SPOT_RECLAIM = "SPOT_RECLAIM", Counts.YES,',
        tests=(f"{_FAULTS}/test_budget.py::test_lost_machine_is_not_counted_when_batch_tells_of_it",),
    ),
    Patch(
        name="losses go on for ever",
        promise=6,
        file="tasks/lifecycle/retry.py",
        old="    if spent.losses_in_a_row >= max_losses_in_a_row:\n        return Decision.TOO_MANY_HOSTS_LOST\n",
        new="",
        tests=(
            f"{_FAULTS}/test_budget.py::test_job_is_dead_when_twenty_machines_are_lost_in_a_row_without_a_finished_unit",
        ),
    ),
    Patch(
        name="a finished unit does not end a row of losses",
        promise=6,
        file="tasks/services/state/budget.py",
        old="        if finished_a_unit or not is_loss(reason):\n",
        new="        if not is_loss(reason):\n",
        tests=(
            f"{_FAULTS}/test_budget.py::test_job_goes_on_after_twenty_five_losses_when_a_unit_was_finished_between_them",
        ),
    ),
    Patch(
        name="memory stays the same",
        promise=6,
        file="tasks/services/ticks/submit.py",
        old="    return min(conf.memory_cap_mib, int(ran_out * conf.out_of_memory_factor))\n",
        new="    return conf.memory_mib\n",
        tests=(f"{_SERVICES}/test_submit.py::test_next_attempt_gets_more_memory_when_one_ran_out",),
    ),
    Patch(
        name="an overdue verdict is no charge",
        promise=6,
        file="tasks/services/state/budget.py",
        old="filter(Q(counted=True) | overdue)",
        new="filter(counted=True)",
        tests=(f"{_SERVICES}/test_budget.py::test_job_is_dead_when_batch_never_says_its_final_status",),
    ),
    Patch(
        name="a settled charge is waited for",
        promise=6,
        file="tasks/services/state/budget.py",
        old=", ended_at__gt=Now() - _final_status_wait())\n",
        new=")\n",
        tests=(
            f"{_SERVICES}/test_budget.py::test_others_are_submitted_when_a_job_waits_for_final_statuses_that_come_one_after_the_other",
        ),
    ),
    Patch(
        name="a purged video stops the turn",
        promise=1,
        file="tasks/services/ticks/submit.py",
        old="    except NotFoundError:  # its video was deleted, and purged\n",
        new="    except ZeroDivisionError:\n",
        tests=(
            f"{_SERVICES}/test_submit.py::test_the_others_are_submitted_when_a_video_was_deleted_and_purged_meanwhile",
        ),
    ),
    Patch(
        name="due jobs are not locked",
        promise=8,
        file="tasks/services/ticks/submit.py",
        old='_due_jobs().select_for_update(skip_locked=True, of=("self",))',
        new="_due_jobs()",
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_due_job_is_left_alone_when_another_process_is_about_to_submit_it",
        ),
    ),
    Patch(
        name="due jobs of others are waited for",
        promise=8,
        file="tasks/services/ticks/submit.py",
        old='_due_jobs().select_for_update(skip_locked=True, of=("self",))',
        new='_due_jobs().select_for_update(of=("self",))',
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_due_job_is_left_alone_when_another_process_is_about_to_submit_it",
        ),
    ),
    Patch(
        name="a denied answer is taken for absence",
        promise=9,
        file="tasks/batch/aws.py",
        old='            with translated("DescribeJobs", client):\n                answer = client.describe_jobs(jobs=page)\n',
        new=(
            "            try:\n                answer = client.describe_jobs(jobs=page)\n"
            '            except ClientError:\n                answer = {"jobs": []}\n'
        ),
        tests=(
            f"{_FAULTS}/test_unknown_is_not_failed.py::test_no_state_changes_and_it_is_told_once_when_aws_refuses_to_answer",
        ),
    ),
    Patch(
        name="doubt is settled by one empty look",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="LOOKUP_MISSES = 2\n",
        new="LOOKUP_MISSES = 1\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_repeated_only_when_two_looks_were_empty",),
    ),
    Patch(
        name="boto3 sends SubmitJob again",
        promise=10,
        file="tasks/batch/aws.py",
        old="        client = batch_client(resend=False)\n",
        new="        client = batch_client(resend=True)\n",
        tests=(
            f"{_FAULTS}/test_ambiguous_submissions.py::test_every_job_is_submitted_and_succeeds_once_when_submit_job_goes_wrong_in_any_way",
        ),
    ),
    Patch(
        name="doubt is taken for refusal",
        promise=10,
        file="tasks/services/ticks/submit.py",
        old="        summary.ambiguous += 1\n",
        new="        defer_submission(attempt, wait_s=0)\n        summary.ambiguous += 1\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="a lost answer is taken for a refusal",
        promise=10,
        file="tasks/batch/errors.py",
        old="    return BatchAmbiguousError if status >= _SERVER_ERROR else BatchRejectedError\n",
        new="    return BatchRejectedError if status else BatchRejectedError\n",
        tests=("tests/unit/test_batch_errors.py",),
    ),
    Patch(
        name="a broken connection is taken for a refusal",
        promise=10,
        file="tasks/batch/errors.py",
        old="    return by_class.get(type(error), BatchAmbiguousError)\n",
        new="    return by_class.get(type(error), BatchRejectedError)\n",
        tests=("tests/unit/test_batch_errors.py",),
    ),
    Patch(
        name="ListJobs is believed at once",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="            submit_called_at__lte=settled,\n",
        new="",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="a second Batch job of an attempt goes on",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old='            terminate_orphan(extra.batch_job_id, batch=batch, why="another Batch job has this attempt")\n',
        new="            pass\n",
        tests=(f"{_SERVICES}/test_submit.py::test_ambiguous_submission_is_adopted_when_its_batch_job_exists",),
    ),
    Patch(
        name="the owner is ended as a second Batch job",
        promise=10,
        file="tasks/services/ticks/ambiguous.py",
        old="        if extra.batch_job_id != owner and extra.status not in FINAL_STATUSES:\n",
        new="        if extra.status not in FINAL_STATUSES:\n",
        tests=(
            f"{_SERVICES}/test_submit.py::test_owner_lives_on_when_its_claim_was_faster_than_the_look_for_ambiguous_ones",
        ),
    ),
    Patch(
        name="attempts that were put off are not locked",
        promise=10,
        file="tasks/services/ticks/submit.py",
        old='_deferred().select_for_update(skip_locked=True, of=("self",))',
        new="_deferred()",
        tests=(
            f"{_SERVICES}/test_submit_concurrency.py::test_attempt_that_was_put_off_is_left_alone_when_another_process_is_about_to_submit_it",
        ),
    ),
    Patch(
        name="a late answer of SubmitJob is forgotten",
        promise=11,
        file="tasks/services/ticks/submit.py",
        old='        terminate_orphan(batch_job_id, batch=batch, why="the attempt ended, or has another Batch job")\n',
        new="        return\n",
        tests=(f"{_SERVICES}/test_submit.py::test_late_answer_is_terminated_when_the_job_was_cancelled_meanwhile",),
    ),
    Patch(
        name="jobs whose budget is spent take the place of others",
        promise=13,
        file="tasks/services/ticks/submit.py",
        old="    while len(attempts) < tokens and lookup_at < limit:\n",
        new="    while len(attempts) < tokens and not lookup_at:\n",
        tests=(
            f"{_SERVICES}/test_submit.py::test_fresh_jobs_are_submitted_in_one_run_when_spent_ones_are_due_before_them",
        ),
    ),
    Patch(
        name="one DescribeJobs for each id",
        promise=13,
        file="tasks/batch/aws.py",
        old="islice(remaining, DESCRIBE_LIMIT_IDS)",
        new="islice(remaining, 1)",
        tests=(
            "tests/integration/test_path_once.py::test_a_tick_asks_three_times_and_writes_nothing_when_250_jobs_have_not_changed",
        ),
    ),
)
