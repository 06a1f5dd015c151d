"""Mutations of what ticks do when AWS is slow, or does not end what was terminated."""

from __future__ import annotations

from tests.mutations.patch import Patch

_SERVICES = "tests/database/services"

SLOW_AWS_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="rescue polls all suspects, however long it takes",
        promise=5,
        file="tasks/services/ticks/rescue.py",
        old="describe(known, batch=batch, stop_at_s=stop_at_s)",
        new="describe(known, batch=batch, stop_at_s=float('inf'))",
        tests=(
            f"{_SERVICES}/test_slow_describe.py::test_all_silent_containers_are_replaced_when_polling_them_is_slow",
        ),
    ),
    Patch(
        name="observe polls everything, however long it takes",
        promise=13,
        file="tasks/services/ticks/observe.py",
        old="        if time.monotonic() > stop_at_s:\n            return\n",
        new="",
        tests=(f"{_SERVICES}/test_slow_describe.py::test_every_attempt_is_polled_in_time_when_calls_are_slow",),
    ),
    Patch(
        name="slow responses always leave out the same attempts",
        promise=13,
        file="tasks/services/ticks/observe.py",
        old="    random.Random(tick).shuffle(others)  # noqa: S311 - an order, not a secret\n",
        new="",
        tests=(f"{_SERVICES}/test_slow_describe.py::test_every_attempt_is_polled_in_time_when_calls_are_slow",),
    ),
    Patch(
        name="responses are discarded when a later call fails",
        promise=9,
        file="tasks/services/ticks/observe.py",
        old="in describe(_shuffled(due, tick), batch=batch, stop_at_s=stop_at_s):\n",
        new="in list(describe(_shuffled(due, tick), batch=batch, stop_at_s=stop_at_s)):\n",
        tests=(f"{_SERVICES}/test_slow_describe.py::test_responses_are_applied_when_a_later_call_fails",),
    ),
    Patch(
        name="Batch jobs that never end are terminated before new ones",
        promise=11,
        file="tasks/services/ticks/reap.py",
        old='        .order_by(F("terminate_called_at").asc(nulls_first=True), "ended_at")\n',
        new='        .order_by("ended_at")\n',
        tests=(
            f"{_SERVICES}/test_reap.py::test_cancelled_job_is_terminated_by_the_next_tick_when_older_ones_never_end",
        ),
    ),
    Patch(
        name="calls of TerminateJob are not recorded",
        promise=11,
        file="tasks/services/ticks/reap.py",
        old="        Attempt.objects.filter(batch_job_id__in=page).update(terminate_called_at=Now())\n",
        new="",
        tests=(
            f"{_SERVICES}/test_reap.py::test_cancelled_job_is_terminated_by_the_next_tick_when_older_ones_never_end",
            f"{_SERVICES}/test_reap.py::test_orphans_are_terminated_when_own_batch_jobs_never_end",
        ),
    ),
    Patch(
        name="nothing is terminated where AWS has no call for several",
        promise=11,
        file="tasks/services/ticks/reap.py",
        old="            if isinstance(error, BatchRejectedError) and len(page) > 1:\n",
        new="            if False:\n",
        tests=(f"{_SERVICES}/test_reap.py::test_each_batch_job_gets_a_call_when_there_is_none_for_several",),
    ),
    Patch(
        name="a Batch job that AWS refused to terminate counts as terminated",
        promise=11,
        file="tasks/batch/aws.py",
        old='            errors = {each["job"]: _bulk_error(each) for each in response["errors"]}\n',
        new="            errors: dict[str, BatchError] = {}\n",
        tests=("tests/contract/test_batch_terminate.py::test_other_batch_jobs_end_when_one_may_not_be_terminated",),
    ),
    Patch(
        name="a Batch job that AWS does not answer for counts as terminated",
        promise=11,
        file="tasks/batch/aws.py",
        old="        return errors | {each: not_named for each in batch_job_ids if each not in named}\n",
        new="        return errors\n",
        tests=(
            "tests/contract/test_batch_terminate.py::test_error_of_a_batch_job_has_its_kind_when_the_response_reports_it",
        ),
    ),
    Patch(
        name="repeated terminations leave no time for orphans",
        promise=13,
        file="tasks/services/ticks/reap.py",
        old="_REPEAT_SHARE = 0.5\n",
        new="_REPEAT_SHARE = 1\n",
        tests=(f"{_SERVICES}/test_reap.py::test_orphans_are_terminated_when_own_batch_jobs_never_end",),
    ),
    Patch(
        name="a page of orphans that never end is never left",
        promise=13,
        file="tasks/services/ticks/reap.py",
        old="if each > last_id and each not in self.called_for]",
        new="if each not in self.called_for]",
        tests=(f"{_SERVICES}/test_reap.py::test_listing_continues_when_the_orphans_on_a_page_never_end",),
    ),
)
