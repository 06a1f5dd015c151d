"""A finding: what a probe says about one part."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Condition(enum.StrEnum):
    """How a part is."""

    WELL = "well"
    WARNING = "warning"
    """It works; someone should look at it all the same."""
    UNWELL = "unwell"
    """It does not do its work."""
    UNKNOWN = "unknown"
    """It did not answer, or what it depends on did not: unknown is not failed, but it is not well either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one part: how it is, why we think so, and the mend (empty where there is nothing to mend)."""

    part: str
    condition: Condition
    why: str
    mend: str = ""

    @property
    def fails(self) -> bool:
        """True where this finding alone makes the whole not well."""
        return self.condition in {Condition.UNWELL, Condition.UNKNOWN}


def well(part: str, why: str) -> Finding:
    """The part does its work."""
    return Finding(part=part, condition=Condition.WELL, why=why)


def warning(part: str, why: str, *, mend: str) -> Finding:
    """The part works, with something to look at."""
    return Finding(part=part, condition=Condition.WARNING, why=why, mend=mend)


def unwell(part: str, why: str, *, mend: str) -> Finding:
    """The part does not do its work."""
    return Finding(part=part, condition=Condition.UNWELL, why=why, mend=mend)


def unknown(part: str, why: str, *, mend: str) -> Finding:
    """Nothing can be said about the part."""
    return Finding(part=part, condition=Condition.UNKNOWN, why=why, mend=mend)
