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


def test_unit_is_not_taken_for_hung_when_it_reads_on_without_a_first_picture() -> None:
    progress = Progress()
    progress.enter(0, "encode")
    readings = []
    for read_bytes in (10, 20, 20):
        progress.advance(0, 0)
        progress.reads(0, read_bytes)
        readings.append(progress.read())
    assert readings[0] != readings[1] == readings[2]


def test_last_reading_stands_when_no_unit_is_in_work() -> None:
    progress = Progress()
    progress.enter(0, "store")
    progress.advance(0, 5)
    progress.read()
    progress.leave(0, finished_frames=60)
    assert (progress.read().stage, progress.read().count, progress.read().encoded_frames) == ("store", 5, 60)
