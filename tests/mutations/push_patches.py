"""Mutations of push: the order of observations, the listener, and when polling may slow down."""

from __future__ import annotations

from tests.mutations.patch import Patch

_EVENTS = "tests/database/services/test_events.py"
_LISTENER = "tests/integration/test_listener.py"
_PUSH = "tasks/services/state/push.py"
_BACK = f"{_EVENTS}::test_polling_is_back_at_once_when_events_no_longer_arrive"

PUSH_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="an event that fails is deleted",
        promise=1,
        file="tasks/listener.py",
        old="type(error).__name__, error)\n            return False\n",
        new="type(error).__name__, error)\n            return True\n",
        tests=(f"{_LISTENER}::test_event_is_delivered_again_when_its_row_was_locked_for_too_long",),
        long=True,
    ),
    Patch(
        name="events use up their receives while the database is unavailable",
        promise=1,
        file="tasks/listener.py",
        old="            connection.ensure_connection()\n",
        new="            pass\n",
        tests=(f"{_LISTENER}::test_events_wait_in_the_queue_when_the_database_is_unavailable",),
    ),
    Patch(
        name="a listener waits for an event forever",
        promise=8,
        file="tasks/listener.py",
        old="signal.setitimer(signal.ITIMER_REAL, after_s, _REPEAT_ALARM_S)",
        new="signal.setitimer(signal.ITIMER_REAL, 0)",
        tests=(f"{_LISTENER}::test_event_is_delivered_again_when_its_row_was_locked_for_too_long",),
        long=True,
    ),
    Patch(
        name="a listener holds a connection while it polls",
        promise=8,
        file="tasks/listener.py",
        old="            connection.close()\n",
        new="            pass\n",
        tests=(f"{_LISTENER}::test_listener_exits_in_seconds_when_it_gets_sigterm_in_a_long_poll",),
    ),
    Patch(
        name="SIGTERM waits for the end of a long poll",
        promise=8,
        file="tasks/listener.py",
        old="        if self._stopped and self._waiting:\n            raise _StopListening\n",
        new="        return\n",
        tests=(f"{_LISTENER}::test_listener_exits_in_seconds_when_it_gets_sigterm_in_a_long_poll",),
    ),
    Patch(
        name="SIGTERM interrupts a wait only once",
        promise=8,
        file="tasks/listener.py",
        old="            with _alarm(self._interrupt, after_s=_REPEAT_ALARM_S):\n",
        new="            if True:\n",
        tests=("tests/unit/test_listener_interruption.py",),
    ),
    Patch(
        name="a late observation returns a Batch job to an earlier status",
        promise=9,
        file="tasks/lifecycle/observation.py",
        old="    return before in FINAL_STATUSES or _RANKS[seen] < _RANKS[before]\n",
        new="    return before is seen\n",
        tests=(
            f"{_EVENTS}::test_late_event_changes_nothing_when_the_batch_job_has_ended",
            f"{_EVENTS}::test_late_response_changes_nothing_when_an_event_was_faster",
        ),
    ),
    Patch(
        name="an observation is compared with an old row",
        promise=9,
        file="tasks/services/state/observation.py",
        old="        if not is_news(current, seen):  # another",
        new="        if False:  # another",
        tests=(f"{_EVENTS}::test_late_event_changes_nothing_when_another_process_was_faster",),
    ),
    Patch(
        name="a repeated event erases AWS's reason",
        promise=9,
        file="tasks/services/state/observation.py",
        old="    if seen.pushed and attempt.batch_status == seen.status:\n",
        new="    if False:\n",
        tests=(f"{_EVENTS}::test_blocking_reason_is_kept_when_an_earlier_event_is_late",),
    ),
    Patch(
        name="a late event proves that a Batch job still exists",
        promise=9,
        file="tasks/services/state/observation.py",
        old="        if not seen.pushed:  # an event",
        new="        if True:  # an event",
        tests=(f"{_EVENTS}::test_missing_responses_still_count_when_a_late_event_arrives",),
    ),
    Patch(
        name="polling stays slow although no listener runs",
        promise=9,
        file=_PUSH,
        old="        .filter(seen_at__gt=long_ago)\n",
        new="",
        tests=(_BACK,),
    ),
    Patch(
        name="polling stays slow although events are late",
        promise=9,
        file=_PUSH,
        old="Q(late_at=None) | Q(late_at__lt=long_ago), name=NAME",
        new="name=NAME",
        tests=(_BACK,),
    ),
    Patch(
        name="polling stays slow although the queue cannot be read",
        promise=9,
        file=_PUSH,
        old=', name=NAME, error_code="")',
        new=", name=NAME)",
        tests=(_BACK,),
    ),
    Patch(
        name="polling stays slow although no event announces containers",
        promise=9,
        file=_PUSH,
        old="        .filter(~Exists(unannounced()))\n",
        new="",
        tests=(_BACK,),
    ),
    Patch(
        name="an event of another site shows that events arrive",
        promise=9,
        file="tasks/listener.py",
        old="                self._announced |= is_ours and isinstance(event, BatchJobEvent)\n",
        new="                self._announced = True\n",
        tests=(f"{_LISTENER}::test_push_is_not_healthy_when_only_other_sites_events_arrive",),
    ),
    Patch(
        name="a container that has not claimed its attempt stays on a machine that is taken back",
        promise=12,
        file="tasks/services/events.py",
        old="Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES, ec2",
        new='Attempt.objects.filter(state="RUNNING", ec2',
        tests=(
            f"{_EVENTS}::test_container_leaves_with_its_first_heartbeat_when_its_machine_was_taken_back_before_its_claim",
        ),
    ),
    Patch(
        name="a container that succeeded without a result waits for the audit",
        promise=1,
        file="tasks/services/ticks/observe.py",
        old="        | Q(state__in=LIVE_ATTEMPT_STATES, batch_status__in=FINAL_STATUSES)\n",
        new="",
        tests=(f"{_EVENTS}::test_unfinished_attempt_ends_after_its_grace_period_when_events_arrive",),
    ),
    Patch(
        name="an event that comes before SubmitJob's response is dropped",
        promise=10,
        file="tasks/services/events.py",
        old="        record_batch_job(attempt, batch_job_id)\n",
        new="        pass\n",
        tests=(f"{_EVENTS}::test_event_is_matched_by_name_when_the_id_is_not_recorded_yet",),
    ),
    Patch(
        name="a container on a machine that is taken back leases more units",
        promise=12,
        file="tasks/container/program.py",
        old=" and not self._leaving.is_set():\n",
        new=":\n",
        tests=(
            "tests/integration/test_pipeline_leaving.py::test_container_leaves_uncounted_when_its_machine_is_taken_back",
        ),
    ),
)
