"""States of a state machine as choices of a column and as values in a constraint."""

from __future__ import annotations

import enum
from collections.abc import Iterable


def choices(states: type[enum.StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


def values_of(states: Iterable[enum.StrEnum]) -> list[str]:
    return sorted(state.value for state in states)
