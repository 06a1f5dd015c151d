"""A tick that returns late changes nothing, nor does a start during a gap between ticks."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Tick
from tasks.services.ticks.lease import TickLease, run_tick, take_lease
from tasks.services.ticks.observe import observe
from tasks.services.ticks.rescue import rescue
from tests.factories import ScriptedBatch, age, submitted_attempt

pytestmark = pytest.mark.django_db

_PERIOD_S = 30.0


def test_lease_of_the_next_tick_is_kept_when_a_late_tick_returns() -> None:
    def slow_body(_: TickLease) -> None:
        age(Tick, "leased_until", "started_at", seconds=61)
        assert take_lease("rescue", period_s=_PERIOD_S), "the lease has expired, so another worker takes over"

    assert run_tick("rescue", period_s=_PERIOD_S, body=slow_body)
    age(Tick, "started_at", seconds=_PERIOD_S)
    assert take_lease("rescue", period_s=_PERIOD_S) is None


def test_starting_attempt_is_not_replaced_when_our_own_ticks_had_a_gap(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    batch.set_observation(attempt, BatchStatus.STARTING)
    observe(batch=batch, tick=0)
    age(Attempt, "batch_status_at", seconds=3600)
    Tick.objects.create(name="rescue", continuous_since=Now())
    age(Tick, "continuous_since", seconds=899)
    since = Tick.objects.get(name="rescue").continuous_since
    assert since is not None
    assert rescue(batch=batch, continuous_since=since).suspects == 0
