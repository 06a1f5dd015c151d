"""How many containers work on a job follows the work that is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.lifecycle.scaling import (
    HelperRule,
    Work,
    missing_helpers,
    surplus_helpers,
    wanted_helpers,
    work_left_s,
)

RULE = HelperRule(target_s=300, min_work_s=600, max_helpers=31, max_early_helpers=15, slots=2)


@pytest.mark.parametrize(
    ("left_s", "units_left", "helpers"),
    [
        # A 3 h lecture: 12,960 CPU seconds, so 22 containers of two slots with 300 s each.
        (12_960, 180, 21),
        (1_200, 60, 1),
        (600, 60, 0),
        (599, 60, 0),
        (100_000, 400, 31),
        (12_960, 10, 4),
        (12_960, 2, 0),
        (12_960, None, 21),
        (0, 0, 0),
    ],
)
def test_number_of_helpers_follows_the_work_when_it_is_known(
    left_s: float, units_left: int | None, helpers: int
) -> None:
    assert wanted_helpers(Work(left_s=left_s, units_left=units_left), RULE) == helpers


@pytest.mark.parametrize(("left_s", "helpers"), [(599, 0), (1_200, 1), (12_960, 15), (1e6, 15)])
def test_few_helpers_are_wanted_when_the_work_is_only_guessed(left_s: float, helpers: int) -> None:
    assert wanted_helpers(Work(left_s=left_s, is_guess=True), RULE) == helpers


def test_early_helpers_stop_at_the_most_of_all_when_that_is_less() -> None:
    assert wanted_helpers(Work(left_s=1e6, is_guess=True), replace(RULE, max_helpers=4)) == 4


def test_no_helpers_are_wanted_when_they_are_switched_off() -> None:
    rule = replace(RULE, max_helpers=0)
    assert wanted_helpers(Work(left_s=1e6, units_left=1000), rule) == 0


@pytest.mark.parametrize(
    ("wanted", "live", "room", "missing"), [(5, 2, 100, 3), (5, 2, 1, 1), (5, 2, -4, 0), (2, 5, 9, 0)]
)
def test_helpers_are_submitted_when_the_queue_has_room(wanted: int, live: int, room: int, missing: int) -> None:
    assert missing_helpers(wanted=wanted, live=live, room=room) == missing


@pytest.mark.parametrize(("wanted", "running", "waiting", "surplus"), [(5, 3, 4, 2), (2, 5, 3, 3), (5, 2, 3, 0)])
def test_only_waiting_helpers_are_surplus_when_little_work_is_left(
    wanted: int, running: int, waiting: int, surplus: int
) -> None:
    assert surplus_helpers(wanted=wanted, running=running, waiting=waiting) == surplus


def test_measurement_replaces_the_estimate_when_units_are_finished() -> None:
    def left(done_frames: int, measured_s: float) -> float:
        return work_left_s(planned_s=1000, done_frames=done_frames, all_frames=10_000, measured_s=measured_s)

    assert left(0, 0) == 1000
    # A twentieth of the frames took three times as long as estimated.
    assert left(500, 150) == pytest.approx(9_500 * 0.3)
    assert 9_750 * 0.1 < left(250, 75) < 9_750 * 0.3
    assert left(10_000, 3000) == 0
    assert work_left_s(planned_s=1000, done_frames=0, all_frames=0, measured_s=0) == 1000
