"""An operator who reconciles in the midst of any history: what is said first is what is done, and nobody healthy is touched."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from django.db.models.functions import Now

from tasks.models import Event, Tick
from tasks.services.reconcile import Report, reconcile
from tests.db_snapshot import snapshot
from tests.simulation.bridge import SETTINGS
from tests.simulation.simulator import Simulator

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

QUICK_SEEDS, QUICK_STEPS = 3, 24
LONG_SEEDS, LONG_STEPS = 100, 45
AWAY_S = (0.0, 0.0, 20.0, 200.0, 901.0)
"""For how long the ticks were away when the operator comes, who is faster than the next of them."""


class _WithOperator(Simulator):
    """A history with a visit of an operator after most steps. The visits are drawn apart, so its steps are those of its seed."""

    def __init__(self, seed: int, patching: pytest.MonkeyPatch) -> None:
        super().__init__(seed, patching)
        self._visits = random.Random(seed)
        self.mended = 0

    def _step(self) -> None:
        super()._step()
        if self._visits.random() < 0.7:
            self._operator_reconciles(away_s=self._visits.choice(AWAY_S))
            self.promises_hold()

    def _operator_reconciles(self, *, away_s: float) -> None:
        Tick.objects.update(started_at=Now())
        self.clock.advance(away_s)
        with self.healthy_ones_go_on():
            rows, at_work = snapshot(), self.not_over()
            said = reconcile(batch=self.batch, apply_changes=False)
            assert (snapshot(), self.not_over()) == (rows, at_work), "it was only asked what is amiss"
            done = reconcile(batch=self.batch, apply_changes=True)
        assert _told(done) == _told(said)
        self.mended += len(done.events) + len(done.terminated)
        # From here on the ticks come as the history has it.
        Tick.objects.update(started_at=None)
        if away_s:
            Tick.objects.update(continuous_since=Now())
        self.all_beat()


def _told(report: Report) -> tuple[list[object], list[tuple[str, str]]]:
    return [_event_told(event) for event in report.events], report.terminated


def _event_told(event: Event) -> object:
    # A job that is rolled back and then made again has another id.
    named = event.video_id if event.kind == "job.request" else event.job_id
    return named, event.attempt_number, event.kind, event.from_state, event.to_state, event.reason


@pytest.fixture(autouse=True)
def _small_budget(settings: Settings) -> None:
    settings.BATCHREEL = SETTINGS


@pytest.mark.parametrize("seed", range(QUICK_SEEDS))
def test_reconciling_does_what_it_said_and_harms_nobody_when_an_operator_comes_at_any_moment(
    seed: int,
) -> None:
    _play(seed, steps=QUICK_STEPS)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(LONG_SEEDS))
def test_reconciling_does_what_it_said_and_harms_nobody_in_a_hundred_long_histories(seed: int) -> None:
    _play(seed, steps=LONG_STEPS)


def _play(seed: int, *, steps: int) -> None:
    with pytest.MonkeyPatch.context() as patching, transaction.atomic():
        history = _WithOperator(seed, patching)
        history.run(steps=steps)
        transaction.set_rollback(True)
    assert history.mended > 0, "the operator found nothing amiss in a whole history"
