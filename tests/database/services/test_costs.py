"""Costs: worked out once, from AWS's times and prices, and by settings if AWS does not report prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from tasks.batch.errors import BatchDeniedError, BatchError, BatchThrottledError
from tasks.batch.port import SeenMachine
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, AttemptState
from tasks.metrics.definitions import COST
from tasks.metrics.readings import read_gauges
from tasks.models import Attempt, DayCost, Machine, MachinePrice, Unit, Video
from tasks.selectors.costs import attempts_between, costs_of, month_by_day, month_by_video
from tasks.services.container_api.finish import finish_unit
from tasks.services.costs.ended import work_out_costs
from tasks.services.removal.purge import purge_deleted
from tasks.services.requests.delete import delete_video
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.observe import observe
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    leased,
    planned,
    published,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

STARTED = datetime(2026, 11, 20, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLUSTER = "batchreel-spot_Batch_8f1b"
ARN = f"arn:aws:ecs:eu-central-1:123456789012:container-instance/{CLUSTER}/0a1b2c"


@dataclass
class ScriptedMachines:
    """MachinePort with scripted responses. It counts the calls."""

    spot_usd: Decimal | None = Decimal("0.064")
    list_usd: Decimal | None = Decimal("0.1728")
    kind: str = "spot"
    forgotten: bool = False
    errors: dict[str, BatchError] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def purchases(self) -> dict[str, str]:
        self._call("purchases")
        return {CLUSTER: self.kind}

    def describe(self, arns: Sequence[str]) -> list[SeenMachine]:
        self._call("describe")
        seen = {"ec2_instance_id": "i-0123", "instance_type": "m6a.xlarge", "availability_zone": "eu-central-1a"}
        return [] if self.forgotten else [SeenMachine(arn=arn, vcpus=4.0, **seen) for arn in arns]

    def spot_price(self, instance_type: str, zone: str, at: datetime) -> Decimal | None:
        self._call("spot_price")
        assert (instance_type, zone, at) == ("m6a.xlarge", "eu-central-1a", STARTED)
        return self.spot_usd

    def list_price(self, instance_type: str) -> Decimal | None:
        self._call("list_price")
        return self.list_usd

    def _call(self, name: str) -> None:
        self.calls[name] += 1
        if error := self.errors.get(name):
            raise error


def ended(**columns: Any) -> Attempt:
    """Return an attempt with 2 vCPUs that ran for an hour and succeeded, unless `columns` contain something else."""
    attempt = submitted_attempt()
    values = {
        "vcpus": 2,
        "state": "SUCCEEDED",
        "counted": False,
        "ended_at": Now(),
        "batch_status": "SUCCEEDED",
        "started_at": STARTED,
        "stopped_at": STARTED + HOUR,
        "machine_arn": ARN,
        "finished_work_s": 3000.0,
    }
    Attempt.objects.filter(pk=attempt.pk).update(**values | columns)
    return Attempt.objects.get(pk=attempt.pk)


def costed(attempt: Attempt, machines: ScriptedMachines) -> Attempt:
    work_out_costs(machines=machines)
    return Attempt.objects.get(pk=attempt.pk)


def test_cost_is_span_times_price_of_its_share_when_a_spot_machine_ran_it() -> None:
    row = costed(ended(), ScriptedMachines())
    # Half of a machine with 4 vCPUs for $0.064, for an hour.
    assert (row.cost_usd, row.price_vcpu_h_usd, row.price_source) == (
        Decimal("0.032"),
        Decimal("0.016"),
        "spot-history",
    )
    assert (row.ec2_instance_id, row.instance_type, row.availability_zone) == ("i-0123", "m6a.xlarge", "eu-central-1a")
    assert (row.purchase, row.wasted_usd, row.wasted_by) == ("spot", 0, "")


def test_cost_is_by_the_price_list_when_the_machine_is_on_demand() -> None:
    row = costed(ended(), ScriptedMachines(kind="on-demand"))
    assert (row.purchase, row.cost_usd, row.price_source) == ("on-demand", Decimal("0.0864"), "list")


@pytest.mark.parametrize("denied", ["describe", "spot_price", "purchases"])
def test_cost_is_by_settings_and_shows_that_when_aws_denies_a_call(denied: str, settings: Settings) -> None:
    settings.BATCHREEL = {"spot_vcpu_h_usd": 0.02, "on_demand_vcpu_h_usd": 0.05}
    attempt, machines = ended(), ScriptedMachines(errors={denied: BatchDeniedError("not authorized")})
    assert costed(attempt, machines).cost_usd is None
    age(Attempt, "ended_at", seconds=3601)
    row = costed(attempt, machines)
    # Without the permission to read compute environments, nothing shows that it is a Spot machine.
    price = Decimal("0.05") if denied == "purchases" else Decimal("0.02")
    assert (row.cost_usd, row.price_source) == (2 * price, "setting")
    assert costs_of("job", [attempt.job_id])[attempt.job_id].by_source == {"setting": 2 * price}


def test_cost_is_by_setting_when_ecs_has_forgotten_the_machine() -> None:
    row = costed(ended(), ScriptedMachines(forgotten=True))
    assert (row.cost_usd, row.price_source, row.purchase) == (Decimal("0.036"), "setting", "spot")


def test_cost_waits_for_aws_when_a_call_is_throttled(settings: Settings) -> None:
    machines = ScriptedMachines(errors={"spot_price": BatchThrottledError("slow down")})
    attempt = ended()
    assert costed(attempt, machines).cost_usd is None
    machines.errors.clear()
    assert costed(attempt, machines).price_source == "spot-history"


@pytest.mark.parametrize("denied", ["describe", "spot_price", "purchases"])
def test_cost_waits_for_aws_when_a_denied_call_may_be_allowed_again(denied: str) -> None:
    machines = ScriptedMachines(errors={denied: BatchDeniedError("not authorized")})
    attempts = [ended(), ended()]
    assert work_out_costs(machines=machines) == 0
    assert machines.calls[denied] == 1
    machines.errors.clear()
    assert [costed(each, machines).price_source for each in attempts] == ["spot-history"] * 2


@pytest.mark.parametrize("is_known", [False, True])
def test_cost_waits_for_the_next_tick_when_only_this_one_has_no_time_left(is_known: bool, settings: Settings) -> None:
    machines, attempt = ScriptedMachines(), ended()
    if is_known:
        machines.errors["spot_price"] = BatchThrottledError("slow down")
        work_out_costs(machines=machines)
        machines.errors.clear()
    age(Attempt, "ended_at", seconds=3601)
    settings.BATCHREEL = {"cost_time_limit_s": 0}
    assert costed(attempt, machines).cost_usd is None
    settings.BATCHREEL = {}
    assert costed(attempt, machines).price_source == "spot-history"


@pytest.mark.parametrize("call", ["describe", "spot_price"])
def test_cost_is_by_setting_in_the_end_when_aws_never_responds(call: str) -> None:
    machines = ScriptedMachines(errors={call: BatchThrottledError("slow down")})
    attempt = ended()
    assert costed(attempt, machines).cost_usd is None
    age(Attempt, "ended_at", seconds=3601)
    assert costed(attempt, machines).price_source == "setting"


def test_past_cost_is_unchanged_when_prices_and_settings_change(settings: Settings) -> None:
    machines = ScriptedMachines()
    before = costed(ended(), machines)
    MachinePrice.objects.update(machine_h_usd=9)
    Machine.objects.update(instance_type="c7i.8xlarge", purchase="on-demand")
    settings.BATCHREEL = {"spot_vcpu_h_usd": 9, "on_demand_vcpu_h_usd": 9}
    after = costed(before, ScriptedMachines(spot_usd=Decimal(9), list_usd=Decimal(9)))
    assert (after.cost_usd, after.price_source) == (before.cost_usd, before.price_source)
    assert DayCost.objects.get().cost_usd == before.cost_usd


@pytest.mark.parametrize(
    "columns",
    [
        {"batch_status": "FAILED", "state": "FAILED", "reason": "NOT_STARTED"},
        {"batch_job_id": None, "batch_status": "", "state": "CANCELLED", "reason": "CANCELLED"},
    ],
)
def test_attempt_costs_nothing_when_it_never_started(columns: dict[str, Any]) -> None:
    row = costed(ended(started_at=None, stopped_at=None, machine_arn="", **columns), ScriptedMachines())
    assert (row.cost_usd, row.wasted_usd, row.price_source) == (0, 0, "")
    assert not DayCost.objects.exists()


def test_cost_waits_for_the_final_status_when_a_container_has_just_ended() -> None:
    attempt = ended(batch_status="RUNNING", stopped_at=None)
    machines = ScriptedMachines()
    assert costed(attempt, machines).cost_usd is None
    # Spot interruption warnings find attempts by their machine while they run.
    assert Attempt.objects.get(pk=attempt.pk).ec2_instance_id == "i-0123"
    # Without a final status, the bridge's own time is the end.
    Attempt.objects.update(ended_at=Now() - timedelta(seconds=901), started_at=Now() - timedelta(seconds=1801))
    machines.spot_price = lambda *_: Decimal("0.064")  # type: ignore[method-assign]
    assert costed(attempt, machines).cost_usd == Decimal("0.008")


def test_machine_and_price_are_asked_for_once_when_many_containers_used_it() -> None:
    machines = ScriptedMachines()
    for _ in range(3):
        ended()
    work_out_costs(machines=machines)
    ended()
    work_out_costs(machines=machines)
    assert machines.calls == {"purchases": 1, "describe": 1, "spot_price": 1}
    assert Attempt.objects.filter(cost_usd=Decimal("0.032")).count() == 4


def test_cost_is_added_to_its_day_once_when_two_ticks_overlap() -> None:
    attempt = ended()

    class Overlapped(ScriptedMachines):
        """While it waits for AWS's response, another tick does all of the work."""

        def spot_price(self, instance_type: str, zone: str, at: datetime) -> Decimal | None:
            assert work_out_costs(machines=ScriptedMachines(spot_usd=Decimal("0.1"))) == 1
            return super().spot_price(instance_type, zone, at)

    row = costed(attempt, Overlapped())
    assert (row.cost_usd, DayCost.objects.get().cost_usd) == (Decimal("0.05"), Decimal("0.05"))


def test_nothing_is_asked_when_no_attempt_has_ended() -> None:
    submitted_attempt()
    machines = ScriptedMachines()
    assert work_out_costs(machines=machines) == 0
    assert not machines.calls


def test_cost_is_kept_in_its_day_when_the_video_is_purged() -> None:
    kept, deleted = ended(), ended(state="FAILED", reason="SPOT_INTERRUPTION", lost_work_s=1000.0)
    work_out_costs(machines=ScriptedMachines())
    assert work_out_costs(machines=ScriptedMachines()) == 0
    labels = {f"{attempt.job.video_id} Lecture 1" for attempt in (kept, deleted)}
    assert {cost.label for cost in month_by_video(2026, 11)} == labels
    delete_video(video_id=deleted.job.video_id)
    purge_deleted(limit=10)
    assert not Video.objects.filter(pk=deleted.job.video_id).exists()
    (day,) = month_by_day(2026, 11)
    assert read_gauges()[COST] == {("spot",): 0.064, ("on-demand",): 0, ("fargate",): 0, ("",): 0}
    assert (day.label, day.attempts, day.usd, day.vcpu_h) == ("2026-11-20", 2, Decimal("0.064"), 4.0)
    assert day.wasted == {"spot": Decimal("0.008")}
    assert [(cost.label[-20:], cost.usd) for cost in month_by_video(2026, 11)][1] == (
        "videos deleted since",
        Decimal("0.032"),
    )
    assert not month_by_day(2026, 10)


def test_deleted_video_keeps_its_rows_when_its_cost_is_not_worked_out_yet() -> None:
    machines = ScriptedMachines(errors={"spot_price": BatchThrottledError("slow down")})
    attempt = ended()
    delete_video(video_id=attempt.job.video_id)
    work_out_costs(machines=machines)
    assert purge_deleted(limit=10) == 0
    machines.errors.clear()
    work_out_costs(machines=machines)
    assert purge_deleted(limit=10) == 1
    assert sum(cost.usd for cost in month_by_day(2026, 11)) == Decimal("0.032")


def test_deleted_video_is_purged_when_no_tick_works_out_its_cost() -> None:
    delete_video(video_id=ended().job.video_id)
    age(Attempt, "ended_at", seconds=4499)
    assert purge_deleted(limit=10) == 0
    age(Attempt, "ended_at", seconds=2)
    assert purge_deleted(limit=10) == 1


def test_attempts_of_a_month_are_found_by_an_index_when_there_are_many() -> None:
    job = ended().job
    Attempt.objects.bulk_create(
        Attempt(
            job=job,
            number=number,
            batch_job_name=f"batchreel-{job.pk}-{number}",
            state=AttemptState.SUCCEEDED,
            vcpus=2,
            memory_mib=3500,
            timeout_s=3600,
            started_at=STARTED - timedelta(days=number),
            ended_at=STARTED - timedelta(days=number),
            cost_usd=Decimal("0.01"),
        )
        for number in range(2, 2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batchreel_attempt")
    attempts = attempts_between(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert " attempt_cost_by_start " in attempts.explain()


def test_lost_work_is_that_of_unfinished_units_when_an_attempt_is_lost() -> None:
    attempt = submitted_attempt()
    claim = claimed(attempt)
    planned(claim, video_units=3, audio=False)
    leased(claim)
    Unit.objects.filter(kind="video", state="LEASED").update(leased_at=Now() - timedelta(seconds=300))
    with transaction.atomic():
        current = read_attempt(lock_job(attempt.job_id), attempt.number)
        end_attempt(current, AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)
    row = Attempt.objects.get(pk=attempt.pk)
    assert row.lost_work_s == pytest.approx(300, abs=5)
    assert row.finished_work_s == pytest.approx(0, abs=5)


def test_finished_work_is_that_of_finished_units_when_an_attempt_succeeds() -> None:
    attempt = submitted_attempt()
    claim = claimed(attempt)
    planned(claim, video_units=2, audio=False)
    lease = leased(claim)
    Unit.objects.filter(pk=lease.unit_id).update(leased_at=Now() - timedelta(seconds=300))
    finish_unit(claim, lease, output={"media": {}})
    assert Attempt.objects.get(pk=attempt.pk).finished_work_s == pytest.approx(300, abs=5)


def test_times_and_machine_are_stored_when_aws_reports_them(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    cluster = "arn:aws:ecs:eu-central-1:123456789012:cluster/one"
    batch.set_observation(attempt, BatchStatus.STARTING, machine_arn=cluster)
    observe(batch=batch, tick=0)
    assert Attempt.objects.get().machine_arn == cluster
    batch.set_observation(attempt, BatchStatus.RUNNING, machine_arn=ARN, started_at_ms=1_795_000_000_123)
    observe(batch=batch, tick=0)
    # A response that leaves something out changes nothing, and neither does one that makes no sense.
    batch.set_observation(attempt, BatchStatus.RUNNING, machine_arn=cluster, started_at_ms=10**30)
    assert observe(batch=batch, tick=0).changed == 0
    row = Attempt.objects.get()
    assert (row.machine_arn, row.started_at) == (ARN, datetime.fromtimestamp(1_795_000_000.123, UTC))


def test_batch_job_has_tags_of_video_and_job_when_it_is_submitted(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    assert batch.submissions[0].tags == {"video": str(attempt.job.video_id), "job": str(attempt.job_id)}


def test_rows_of_machines_and_prices_are_removed_when_they_are_old() -> None:
    costed(ended(), ScriptedMachines())
    Machine.objects.update(asked_at=Now() - timedelta(days=91))
    MachinePrice.objects.update(day=datetime.now(UTC).date() - timedelta(days=92))
    work_out_costs(machines=ScriptedMachines())
    assert not Machine.objects.exists()
    assert not MachinePrice.objects.exists()


def test_cost_of_a_video_has_all_of_its_jobs_when_it_was_transcoded_twice() -> None:
    video = published()
    Attempt.objects.update(started_at=STARTED, stopped_at=STARTED + HOUR, batch_status="SUCCEEDED")
    work_out_costs(machines=ScriptedMachines())
    cost = costs_of("job__video", [video.pk])[video.pk]
    attempt = Attempt.objects.get()
    assert (cost.attempts, cost.usd, cost.missing) == (1, attempt.cost_usd, 0)
