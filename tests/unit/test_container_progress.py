"""What a heartbeat tells of several units in work at once."""

from __future__ import annotations

from tasks.container.progress import Progress


def test_hung_unit_is_told_of_when_its_neighbours_go_on() -> None:
    progress = Progress()
    progress.enter(0, "encode")
    progress.advance(0, 7)
    progress.enter(1, "encode")
    readings = []
    for count in range(1, 4):
        progress.advance(1, count)
        readings.append(progress.read())
    assert {(reading.stage, reading.count) for reading in readings} == {("encode", 7)}


def test_last_reading_stands_when_no_unit_is_in_work() -> None:
    progress = Progress()
    progress.enter(0, "store")
    progress.advance(0, 5)
    progress.read()
    progress.leave(0, finished_frames=60)
    assert (progress.read().stage, progress.read().count, progress.read().encoded_frames) == ("store", 5, 60)
