"""Reconciling at any point of a history does what it reported, and harms nothing healthy."""

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

QUICK_SEEDS, QUICK_STEPS = (2,), 14
LONG_SEEDS, LONG_STEPS = 100, 45
JOBS = 20
PAUSES_S = (0.0, 0.0, 20.0, 200.0, 901.0)
"""How long the ticks have been paused when the operator reconciles, before the next tick."""


class _WithOperator(Simulator):
    """A history in which an operator reconciles after most steps.

    The visits use a separate random generator, so the steps are those of the seed.
    """

    def __init__(self, seed: int, patching: pytest.MonkeyPatch) -> None:
        super().__init__(seed, patching, jobs=JOBS)
        self._visits = random.Random(seed)
        self.changes = 0

    def _step(self) -> None:
        super()._step()
        if self._visits.random() < 0.7:
            self._operator_reconciles(paused_s=self._visits.choice(PAUSES_S))
            self.promises_hold()

    def _operator_reconciles(self, *, paused_s: float) -> None:
        Tick.objects.update(started_at=Now())
        self.clock.advance(paused_s)
        with self.healthy_containers_survive():
            rows, unfinished = snapshot(), self.unfinished_batch_jobs()
            planned = reconcile(batch=self.batch, apply_changes=False)
            assert (snapshot(), self.unfinished_batch_jobs()) == (rows, unfinished), (
                "reconciling without --apply changed something"
            )
            done = reconcile(batch=self.batch, apply_changes=True)
        assert _content(done) == _content(planned)
        self.changes += len(done.events) + len(done.terminated)
        # From here on, ticks run as in the history.
        Tick.objects.update(started_at=None)
        if paused_s:
            Tick.objects.update(continuous_since=Now())
        self.send_all_heartbeats()


def _content(report: Report) -> tuple[list[object], list[tuple[str, str]]]:
    return [_event_content(event) for event in report.events], report.terminated


def _event_content(event: Event) -> object:
    # A job that is rolled back and then created again has another id.
    named = event.video_id if event.kind == "job.request" else event.job_id
    return named, event.attempt_number, event.kind, event.from_state, event.to_state, event.reason


@pytest.fixture(autouse=True)
def _small_budget(settings: Settings) -> None:
    settings.BATCHREEL = SETTINGS


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_reconcile_does_only_what_it_reported_when_run_at_any_moment(
    seed: int,
) -> None:
    _play(seed, steps=QUICK_STEPS)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(LONG_SEEDS))
def test_reconcile_does_only_what_it_reported_when_histories_are_long(seed: int) -> None:
    _play(seed, steps=LONG_STEPS)


def _play(seed: int, *, steps: int) -> None:
    with pytest.MonkeyPatch.context() as patching, transaction.atomic():
        history = _WithOperator(seed, patching)
        history.run(steps=steps)
        transaction.set_rollback(True)
    assert history.changes > 0, "the operator found nothing to do in a whole history"
