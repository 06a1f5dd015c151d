"""A long stream of events that are lost, repeated and out of order, against the code that applies them.

`--long` plays a million of them, in streams. Each event is checked right after it: the row has the highest status that
has arrived, whatever came when.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tasks.batch.events import BatchJobEvent
from tasks.lifecycle.observation import FINAL_STATUSES, BatchStatus, Observation
from tasks.models import Attempt, Job, Video
from tasks.services.events import apply_event

pytestmark = pytest.mark.django_db

DROPPED, DOUBLED, REORDERED = 0.05, 0.10, 0.20
"""Shares of the events. A reordered one arrives after up to `_FAR` others, of its own job too."""
_FAR = 30
_PER_JOB = 50
_AT_ONCE = 40
"""Batch jobs whose events are mixed."""

PATHS = (
    ("RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"),
    ("RUNNABLE", "STARTING", "RUNNING", "FAILED"),
    ("RUNNABLE", "STARTING", "FAILED"),
    ("RUNNABLE", "FAILED"),
)
RANK = {"": -1, "RUNNABLE": 0, "STARTING": 1, "RUNNING": 2, "SUCCEEDED": 3, "FAILED": 3}


STREAMS, EVENTS = 200, 5_000
"""A stream is one transaction, whose dead rows slow it down: so there are many short ones."""


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (0, 200),
        *(pytest.param(n, EVENTS, marks=[pytest.mark.long, pytest.mark.timeout(3600)]) for n in range(STREAMS)),
    ],
)
def test_no_state_is_wrong_when_events_are_lost_repeated_and_reordered(
    stream: int, events: int, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(stream)
    arrived: dict[str, str] = {}
    wrong, faults, applied = 0, 0, 0
    for name, status, fault in islice(_delivered(dice), events):
        faults += fault
        applied += bool(apply_event(_event(name, status)))
        before = arrived.get(name, "")
        arrived[name] = status if RANK[status] > RANK[before] else before
        row = Attempt.objects.values_list("batch_status", "state", "ended_at").get(batch_job_name=name)
        is_failed = arrived[name] == "FAILED"
        wrong += row[0] != arrived[name] or (row[1] == "FAILED") != is_failed or (row[2] is not None) != is_failed
    record_property("faults", faults)
    assert wrong == 0
    assert faults > events * 0.2
    assert applied > events * 0.6


def _delivered(dice: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield Batch job, status and whether a fault concerns this delivery, as SQS delivers them."""
    waiting: list[tuple[float, str, str, bool]] = []
    for place, (name, status) in enumerate(_sent(dice)):
        if dice.random() >= DROPPED:
            late = dice.random() < REORDERED
            waiting.append((place + late * dice.uniform(1, _FAR), name, status, late))
            if dice.random() < DOUBLED:
                waiting.append((place + dice.uniform(0, _FAR), name, status, True))
        waiting.sort()
        while waiting and waiting[0][0] <= place:
            yield waiting.pop(0)[1:]


def _sent(dice: random.Random) -> Iterator[tuple[str, str]]:
    """Yield the changes of many Batch jobs, mixed. Each has an attempt, and some are announced before their id."""
    going: list[tuple[str, list[str]]] = []
    number = 0
    while True:
        while len(going) < _AT_ONCE:
            if number % _PER_JOB == 0:
                video = Video.objects.create(title=f"{number}")
                job = Job.objects.create(
                    video=video, state="RUNNING", next_attempt_at=None, source_name="x.mp4", profile="fast"
                )
            number += 1
            name = f"stream-{number}"
            has_id = dice.random() < 0.8
            Attempt.objects.create(
                job=job,
                number=number + 1,
                state="SUBMITTED" if has_id else "SUBMITTING",
                batch_job_name=name,
                batch_job_id=f"id-{name}" if has_id else None,
                vcpus=2,
                memory_mib=3500,
                timeout_s=3600,
            )
            going.append((name, list(dice.choice(PATHS))))
        name, left = going[dice.randrange(len(going))]
        yield name, left.pop(0)
        if not left:
            going = [each for each in going if each[0] != name]


def _event(name: str, status: str) -> BatchJobEvent:
    ended = BatchStatus(status) in FINAL_STATUSES
    return BatchJobEvent(
        job_name=name,
        observation=Observation(
            batch_job_id=f"id-{name}",
            status=BatchStatus(status),
            status_reason="Host EC2 (instance i-1) terminated." if ended else "",
            started=ended,
            pushed=True,
        ),
    )
