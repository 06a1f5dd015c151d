"""Mutations of the metrics."""

from __future__ import annotations

from tests.mutations.patch import Patch

_TESTS = "tests/database/services/test_metrics.py"

METRICS_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="an ended attempt is tallied by each tick",
        promise=8,
        file="tasks/metrics/tally.py",
        old="    ended.model.objects.filter(pk__in=[row.pk for row in rows]).update(tallied=True)\n",
        new="",
        tests=(f"{_TESTS}::test_ended_attempt_is_counted_once_when_two_ticks_follow",),
    ),
    Patch(
        name="a tally that fails leaves its rows out",
        promise=8,
        file="tasks/metrics/tally.py",
        old="@transaction.atomic\ndef _tally_attempts",
        new="def _tally_attempts",
        tests=(f"{_TESTS}::test_ended_attempt_is_counted_later_when_the_tick_fails",),
    ),
    Patch(
        name="undecided attempts are tallied at once",
        promise=8,
        file="tasks/metrics/tally.py",
        old="Attempt.objects.filter(decided, ended_at__isnull=False)",
        new="Attempt.objects.filter(ended_at__isnull=False)",
        tests=(
            f"{_TESTS}::test_undecided_attempt_is_counted_only_once_decided_when_a_final_status_comes_late[False-no]",
        ),
    ),
    Patch(
        name="a revived job is not tallied again",
        promise=8,
        file="tasks/services/requests/request.py",
        old="        tallied=False,\n",
        new="",
        tests=(f"{_TESTS}::test_job_is_counted_again_when_it_ends_after_it_was_revived",),
    ),
    Patch(
        name="a killed tick is no failure",
        promise=8,
        file="tasks/services/ticks/lease.py",
        old="        failures=tick.failures + int(tick.leased_until is not None),\n",
        new="",
        tests=(f"{_TESTS}::test_tick_is_failing_when_its_last_run_failed_or_was_killed",),
    ),
    Patch(
        name="calls to AWS are lost while the database is unavailable",
        promise=9,
        file="tasks/metrics/counters.py",
        old="        give_back(counts)\n",
        new="",
        tests=(f"{_TESTS}::test_calls_are_added_later_when_the_database_was_unavailable",),
    ),
    Patch(
        name="a backlog behind running containers is stuck",
        promise=9,
        file="tasks/metrics/readings.py",
        old="        return 0.0\n    in_vain",
        new="        pass\n    in_vain",
        tests=(f"{_TESTS}::test_nothing_is_stuck_when_a_container_works_and_others_wait",),
    ),
    Patch(
        name="a container that waits for disk space hides that work is stuck",
        promise=9,
        file="tasks/metrics/readings.py",
        old=".exclude(stage__in=WAITING_STAGES)\n",
        new="\n",
        tests=(f"{_TESTS}::test_nothing_is_stuck_when_a_container_works_and_others_wait",),
    ),
    Patch(
        name="nothing is stuck when no container can start",
        promise=9,
        file="tasks/metrics/readings.py",
        old="        job__state__in=ACTIVE_JOB_STATES,\n",
        new="        job__state__in=ACTIVE_JOB_STATES,\n        ended_at=None,\n",
        tests=(f"{_TESTS}::test_job_is_stuck_when_none_of_its_attempts_starts",),
    ),
    Patch(
        name="a backlog is stuck as soon as the last container has ended",
        promise=9,
        file="tasks/metrics/readings.py",
        old="    return min(waited_s, _age_s(last_end, now)) if last_end else waited_s\n",
        new="    return waited_s\n",
        tests=(f"{_TESTS}::test_backlog_is_not_stuck_when_its_only_container_has_just_ended",),
    ),
    Patch(
        name="a dead job is stuck forever",
        promise=9,
        file="tasks/metrics/readings.py",
        old="        job__state__in=ACTIVE_JOB_STATES,\n",
        new="        job__state__in=OPEN_JOB_STATES,\n",
        tests=(f"{_TESTS}::test_nothing_is_stuck_when_the_only_open_job_is_dead",),
    ),
    Patch(
        name="work in the past does not count against a wait",
        promise=9,
        file="tasks/metrics/readings.py",
        old='        ~Exists(worked.filter(job=OuterRef("job"), number__gte=OuterRef("number"))),\n',
        new="",
        tests=(f"{_TESTS}::test_job_is_not_stuck_when_its_last_container_worked_and_its_retry_is_not_due",),
    ),
    Patch(
        name="gauges read jobs that are over",
        promise=13,
        file="tasks/metrics/readings.py",
        old="        Job.objects.filter(state__in=OPEN_JOB_STATES)\n",
        new="        Job.objects.all()\n",
        tests=(f"{_TESTS}::test_gauges_use_their_indexes_when_there_are_many_rows",),
    ),
    Patch(
        name="failures after a finished unit are in no alarm",
        promise=9,
        file="tasks/metrics/log_line.py",
        old="            reason, _ = labels\n",
        new='            reason, counted = labels\n            increase *= counted == "yes"\n',
        tests=(f"{_TESTS}::test_failure_is_in_the_line_when_the_attempt_does_not_count",),
    ),
)
