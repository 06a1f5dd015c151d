"""A break begins, and ends, at any moment between two heartbeats, and ticks come at any moment: it is never split."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tasks.conf import bridge_settings
from tasks.models import Attempt
from tests.database.services.test_hold import run_rescue
from tests.factories import ScriptedBatch, submitted_attempt, uploaded_video
from tests.factories import claimed as claim

pytestmark = pytest.mark.django_db

RUNNING = 10


def containers(number: int) -> list[int]:
    """Return the attempts of this many containers that AWS Batch reports as RUNNING, none of them claimed."""
    attempts = [submitted_attempt(uploaded_video(title=str(each))) for each in range(number)]
    Attempt.objects.update(batch_status="RUNNING", batch_status_at=Now())
    return [each.pk for each in attempts]


def claimed(attempt_ids: list[int]) -> None:
    for attempt in Attempt.objects.filter(pk__in=attempt_ids).select_related("job"):
        claim(attempt)


def set_age(attempt_id: int, column: str, *, seconds: float) -> None:
    Attempt.objects.filter(pk=attempt_id).update(**{column: Now() - timedelta(seconds=seconds)})


@pytest.mark.few(1)
@pytest.mark.parametrize("cut_off", [RUNNING, RUNNING // 2, 2 * RUNNING // 5], ids=["all", "half", "two-fifths"])
def test_no_container_is_replaced_when_a_tick_comes_while_a_break_silences_one_after_another(
    cut_off: int, batch: ScriptedBatch
) -> None:
    conf = bridge_settings()
    ids = containers(RUNNING)
    claimed(ids)
    phases_s = [each * conf.heartbeat_s / cut_off for each in range(cut_off)]
    # One tick for each number of containers that may be silent by then.
    for since_first_silence_s in phases_s:
        Attempt.objects.update(held_at=None, heartbeat_at=Now())
        for attempt_id, phase_s in zip(ids, phases_s, strict=False):
            set_age(
                attempt_id, "heartbeat_at", seconds=conf.silence_threshold_s + since_first_silence_s - phase_s + 0.1
            )
        first = run_rescue(batch)
        assert (first.held, first.rescued) == (cut_off, 0), since_first_silence_s
        # Then the way is open again, and at the next tick all but the last one have used it.
        Attempt.objects.exclude(pk=ids[cut_off - 1]).update(heartbeat_at=Now())
        set_age(ids[cut_off - 1], "heartbeat_at", seconds=conf.silence_threshold_s + 1)
        assert run_rescue(batch).rescued == 0, since_first_silence_s
    assert batch.terminated == []
    assert set(Attempt.objects.values_list("state", "counted")) == {("RUNNING", None)}


def test_containers_are_held_when_others_have_only_just_started(batch: ScriptedBatch) -> None:
    conf = bridge_settings()
    ids = containers(RUNNING)
    claimed(ids[:3])
    for attempt_id in ids[:3]:
        set_age(attempt_id, "heartbeat_at", seconds=conf.silence_threshold_s + 1)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (3, 0)


def test_starting_containers_are_held_when_they_started_one_after_another(batch: ScriptedBatch) -> None:
    conf = bridge_settings()
    for number, attempt_id in enumerate(containers(4)):
        set_age(attempt_id, "batch_status_at", seconds=conf.start_timeout_s + 1 - number * 50)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (4, 0)


def test_dead_container_is_replaced_when_healthy_ones_have_missed_a_few_heartbeats(batch: ScriptedBatch) -> None:
    conf = bridge_settings()
    ids = containers(RUNNING)
    claimed(ids)
    for attempt_id in ids:
        set_age(attempt_id, "heartbeat_at", seconds=5 * conf.heartbeat_s)
    set_age(ids[0], "heartbeat_at", seconds=conf.silence_threshold_s + 1)
    summary = run_rescue(batch)
    assert (summary.held, summary.rescued) == (0, 1)
