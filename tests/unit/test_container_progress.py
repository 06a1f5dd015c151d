"""Progress that a heartbeat reports while several units run in parallel."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from tasks.conf import BridgeSettings
from tasks.container.program import Program
from tasks.container.progress import Progress
from tasks.lifecycle.states import AWAIT_PLAN_STAGE, WAITING_STAGES
from tasks.services.container_api.claim import NothingToLease


def test_hung_unit_is_reported_when_other_slots_continue() -> None:
    progress = Progress()
    progress.start_stage(0, "encode")
    progress.advance(0, 7)
    progress.start_stage(1, "encode")
    readings = []
    for count in range(1, 4):
        progress.advance(1, count)
        readings.append(progress.snapshot())
    assert {(reading.stage, reading.count) for reading in readings} == {("encode", 7)}


def test_reading_counts_as_progress_when_there_is_no_first_frame() -> None:
    progress = Progress()
    progress.start_stage(0, "encode")
    readings = []
    for read_bytes in (10, 20, 20):
        progress.advance(0, 0)
        progress.advance_read(0, read_bytes)
        readings.append(progress.snapshot())
    assert readings[0] != readings[1] == readings[2]


def test_last_progress_is_reported_when_no_unit_is_running() -> None:
    progress = Progress()
    progress.start_stage(0, "store")
    progress.advance(0, 5)
    progress.snapshot()
    progress.clear_slot(0, finished_frames=60)
    assert (progress.snapshot().stage, progress.snapshot().count, progress.snapshot().encoded_frames) == (
        "store",
        5,
        60,
    )


def test_wait_for_the_plan_is_progress_and_ends_with_the_next_unit_when_another_container_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    progress, seen = Progress(), []
    replies = iter([NothingToLease.PLAN_FIRST] * 3 + [NothingToLease.OWN_WORK_FIRST, NothingToLease.HELD_BY_OTHERS])

    def lease_unit(*_: object, **__: object) -> NothingToLease:
        seen.append(progress.snapshot())
        return next(replies)

    monkeypatch.setattr("tasks.container.program.lease_unit", lease_unit)
    monkeypatch.setattr("tasks.container.program._WAIT_FOR_OTHER_SLOT_S", 0.01)
    program = Program(job_id=uuid.uuid4(), number=2, batch_job_id=None)
    program._slot(SimpleNamespace(progress=progress, claim=None), 0)  # type: ignore[arg-type]  # the parts of it that are used
    assert [(each.stage, each.count) for each in seen[:4]] == [("claim", 0)] + [
        (AWAIT_PLAN_STAGE, n) for n in (1, 2, 3)
    ]
    assert AWAIT_PLAN_STAGE in WAITING_STAGES
    assert AWAIT_PLAN_STAGE not in BridgeSettings().stage_limits_s
    # The slot that waited no longer hides one that works.
    progress.start_stage(1, "encode")
    assert progress.snapshot().stage == "encode"
