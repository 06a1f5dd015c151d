"""A break is recognised by the share of containers that become silent together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.lifecycle.connection_break import is_break

NOW = datetime(2026, 11, 29, tzinfo=UTC)
RULES = {"share": 0.33, "at_least": 3, "within_s": 180.0}


def ages(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=each) for each in seconds]


@pytest.mark.parametrize(
    ("silent", "running", "expected"),
    [
        (ages(0, 20, 40), 9, True),
        (ages(0, 20, 40), 10, False),  # less than the share
        (ages(0, 20), 2, False),  # too few to be certain
        (ages(0, 20, 400), 6, False),  # one after the other
        (ages(900, 910, 920, 10), 6, True),
        ([], 0, False),
    ],
)
def test_break_is_recognised_when_enough_fall_silent_together(
    silent: list[datetime], running: int, expected: bool
) -> None:
    assert is_break(silent, running=running, is_held=False, **RULES) is expected


def test_break_lasts_when_others_fall_silent_later() -> None:
    assert is_break(ages(0, 400, 800), running=6, is_held=True, **RULES)


def test_break_is_over_when_most_containers_are_back() -> None:
    assert not is_break(ages(0, 400, 800), running=30, is_held=True, **RULES)
