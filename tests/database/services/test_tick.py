"""Ticks run once per slot, record each failure once at its onset, and notice gaps."""

from __future__ import annotations

import pytest

from tasks.batch.errors import BatchDeniedError
from tasks.models import Event, Tick
from tasks.services.ticks.lease import TickLease, run_tick, take_lease
from tests.factories import age

pytestmark = pytest.mark.django_db

_PERIOD_S = 30.0


def test_tick_runs_once_when_two_beats_send_the_same_slot() -> None:
    numbers: list[int] = []

    def body(lease: TickLease) -> None:
        numbers.append(lease.number)
        assert not run_tick("rescue", period_s=_PERIOD_S, body=body), "an overlapping tick must not run"

    assert run_tick("rescue", period_s=_PERIOD_S, body=body)
    assert not run_tick("rescue", period_s=_PERIOD_S, body=body)
    age(Tick, "started_at", seconds=_PERIOD_S)
    assert run_tick("rescue", period_s=_PERIOD_S, body=body)
    assert numbers == [1, 2]


def test_tick_lease_is_taken_over_when_its_worker_was_killed() -> None:
    assert take_lease("rescue", period_s=_PERIOD_S)
    age(Tick, "started_at", seconds=_PERIOD_S)
    assert take_lease("rescue", period_s=_PERIOD_S) is None
    age(Tick, "leased_until", seconds=61)
    taken_over = take_lease("rescue", period_s=_PERIOD_S)
    assert taken_over
    assert taken_over.number == 2


def test_continuous_ticks_restart_when_workers_stopped_for_two_periods() -> None:
    def body(lease: TickLease) -> None:
        since.append(lease.continuous_since)

    since: list[object] = []
    for gap_s in (0, _PERIOD_S, 1.9 * _PERIOD_S, 2.1 * _PERIOD_S):
        age(Tick, "started_at", seconds=gap_s)
        assert run_tick("rescue", period_s=_PERIOD_S, body=body)
    assert since[0] == since[1] == since[2]
    assert since[3] != since[2]


def test_tick_failure_is_recorded_once_when_aws_denies_for_long() -> None:
    def denied(_: TickLease) -> None:
        message = "AccessDenied"
        raise BatchDeniedError(message)

    for body in (denied, denied, denied, lambda _: None, denied):
        assert run_tick("observe", period_s=_PERIOD_S, body=body)
        age(Tick, "started_at", seconds=_PERIOD_S)
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["tick.failed", "tick.recovered", "tick.failed"]
    assert Tick.objects.get(name="observe").error_code == "BATCH_DENIED"


def test_next_tick_runs_when_the_last_one_raised_an_unexpected_error() -> None:
    def broken(_: TickLease) -> None:
        message = "a bug"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a bug"):
        run_tick("observe", period_s=_PERIOD_S, body=broken)
    assert Tick.objects.get().error_message == "ValueError: a bug"
    age(Tick, "started_at", seconds=_PERIOD_S)
    assert run_tick("observe", period_s=_PERIOD_S, body=lambda _: None)
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == ["tick.failed", "tick.recovered"]
