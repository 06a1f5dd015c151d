"""Progress that a heartbeat reports while several units run in parallel."""

from __future__ import annotations

from tasks.container.progress import Progress


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
