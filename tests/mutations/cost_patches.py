"""Mutations of the costs: when they are worked out, from which prices, and who sees them."""

from __future__ import annotations

from tests.mutations.patch import Patch

_COSTS = "tests/database/services/test_costs.py"
_ACCOUNT = "tests/contract/test_machine_costs.py"

COST_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="without a price from AWS there is no cost",
        promise=9,
        file="tasks/services/costs/prices.py",
        old="        return _by_setting(used.purchase)\n",
        new="        return None\n",
        tests=(f"{_COSTS}::test_cost_is_by_settings_and_shows_that_when_aws_denies_a_call",),
    ),
    Patch(
        name="a throttled price is replaced by a setting for good",
        promise=9,
        file="tasks/services/costs/prices.py",
        old="            if isinstance(answer, BatchError) and not is_last_time:\n",
        new="            if False:\n",
        tests=(f"{_COSTS}::test_cost_waits_for_aws_when_a_call_is_throttled",),
    ),
    Patch(
        name="a denied price is replaced by a setting at once",
        promise=9,
        file="tasks/services/costs/prices.py",
        old="            if isinstance(answer, BatchError) and not is_last_time:\n",
        new="            if isinstance(answer, BatchError) and not is_last_time and source not in self._denied:\n",
        tests=(f"{_COSTS}::test_cost_waits_for_aws_when_a_denied_call_may_be_allowed_again",),
    ),
    Patch(
        name="a tick without time left replaces a price by a setting",
        promise=9,
        file="tasks/services/costs/prices.py",
        old="            except TimeoutError:\n                return None\n",
        new="            except TimeoutError:\n                return _by_setting(used.purchase)\n",
        tests=(f"{_COSTS}::test_cost_waits_for_the_next_tick_when_only_this_one_has_no_time_left",),
    ),
    Patch(
        name="a machine that no call has asked for yet stays unknown",
        promise=9,
        file="tasks/services/costs/ended.py",
        old="        .filter(has_machine if answered else has_machine | waited)\n",
        new="        .filter(has_machine | waited)\n",
        tests=(f"{_COSTS}::test_cost_waits_for_the_next_tick_when_only_this_one_has_no_time_left",),
    ),
    Patch(
        name="a video is purged before its cost is worked out",
        promise=9,
        file="tasks/services/removal/purge.py",
        old=" | in_batch() | awaits_cost()",
        new=" | in_batch()",
        tests=(f"{_COSTS}::test_deleted_video_keeps_its_rows_when_its_cost_is_not_worked_out_yet",),
    ),
    Patch(
        name="a cost is worked out before the container has ended",
        promise=9,
        file="tasks/services/costs/ended.py",
        old="        Attempt.objects.filter(is_final, cost_usd=None, ended_at__isnull=False)\n",
        new="        Attempt.objects.filter(cost_usd=None, ended_at__isnull=False)\n",
        tests=(f"{_COSTS}::test_cost_waits_for_the_final_status_when_a_container_has_just_ended",),
    ),
    Patch(
        name="two cost ticks add a cost twice",
        promise=8,
        file="tasks/services/costs/ended.py",
        old="pk__in=[attempt.pk for attempt, _ in found], cost_usd=None)",
        new="pk__in=[attempt.pk for attempt, _ in found])",
        tests=(f"{_COSTS}::test_cost_is_added_to_its_day_once_when_two_ticks_overlap",),
    ),
    Patch(
        name="a container that never started has a price",
        promise=9,
        file="tasks/services/costs/ended.py",
        old="    return attempt.started_at or attempt.claimed_at\n",
        new="    return attempt.started_at or attempt.claimed_at or attempt.created_at\n",
        tests=(f"{_COSTS}::test_attempt_costs_nothing_when_it_never_started",),
    ),
    Patch(
        name="a container pays for the whole machine",
        promise=9,
        file="tasks/services/costs/prices.py",
        old="vcpu_h_usd=answer / Decimal(str(used.vcpus))",
        new="vcpu_h_usd=answer",
        tests=(
            f"{_COSTS}::test_cost_is_span_times_price_of_its_share_when_a_spot_machine_ran_it",
            f"{_ACCOUNT}::test_job_costs_what_is_worked_out_by_hand_when_machines_differ_and_one_is_reclaimed",
        ),
    ),
    Patch(
        name="what was lost to Spot counts as a retry",
        promise=9,
        file="tasks/services/costs/amounts.py",
        old="{Reason.__members__.get(reason), failure_reason(aws_text)}",
        new="{Reason.__members__.get(reason)}",
        tests=(
            "tests/unit/test_attempt_cost.py::test_loss_has_the_cause_that_aws_names_when_the_reason_names_another",
        ),
    ),
    Patch(
        name="work that an attempt loses is not recorded",
        promise=9,
        file="tasks/services/state/attempt_end.py",
        old='        "lost_work_s": lost_work_s(attempt),\n',
        new="",
        tests=(f"{_COSTS}::test_lost_work_is_that_of_unfinished_units_when_an_attempt_is_lost",),
    ),
    Patch(
        name="a cost is lost with its video",
        promise=9,
        file="tasks/services/costs/ended.py",
        old="    _store_sums(sums)\n",
        new="",
        tests=(f"{_COSTS}::test_cost_is_kept_in_its_day_when_the_video_is_purged",),
    ),
    Patch(
        name="a machine is described again by each cost tick",
        promise=13,
        file="tasks/services/costs/machines.py",
        old="Attempt.objects.filter(~Exists(known), cost_usd=None)",
        new="Attempt.objects.filter(cost_usd=None)",
        tests=(f"{_COSTS}::test_machine_and_price_are_asked_for_once_when_many_containers_used_it",),
    ),
    Patch(
        name="a price is asked for again by each cost tick",
        promise=13,
        file="tasks/services/costs/prices.py",
        old="            row = MachinePrice.objects.filter(**key).first()\n",
        new="            row = None\n",
        tests=(f"{_COSTS}::test_machine_and_price_are_asked_for_once_when_many_containers_used_it",),
    ),
    Patch(
        name="machines and prices stay in the database",
        promise=13,
        file="tasks/services/costs/ended.py",
        old="    _forget()\n",
        new="",
        tests=(f"{_COSTS}::test_rows_of_machines_and_prices_are_removed_when_they_are_old",),
    ),
    Patch(
        name="everyone sees what videos cost",
        promise=17,
        file="tasks/views/access.py",
        old='    return permitted(user, "change", video)\n',
        new="    return True\n",
        tests=(
            "tests/database/web/test_costs_shown.py::test_page_shows_the_cost_to_operators_only_when_a_video_has_one",
            "tests/database/web/test_costs_shown.py::test_progress_has_the_cost_for_operators_only_when_a_script_asks",
        ),
    ),
)
