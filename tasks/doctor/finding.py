"""A finding: what a probe says about one part."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"
    """It works; someone should look at it all the same."""
    FAILED = "failed"
    """It does not do its work."""
    UNKNOWN = "unknown"
    """It did not answer, or what it depends on did not: unknown is not failed, but it is not well either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one part: how it is, why we think so, and the mend (empty where there is nothing to mend)."""

    part: str
    status: Status
    why: str
    fix: str = ""

    @property
    def fails(self) -> bool:
        """True where this finding alone makes the whole not well."""
        return self.status in {Status.FAILED, Status.UNKNOWN}


def ok(part: str, why: str) -> Finding:
    """The part does its work."""
    return Finding(part=part, status=Status.OK, why=why)


def warning(part: str, why: str, *, fix: str) -> Finding:
    """The part works, with something to look at."""
    return Finding(part=part, status=Status.WARNING, why=why, fix=fix)


def failed(part: str, why: str, *, fix: str) -> Finding:
    """The part does not do its work."""
    return Finding(part=part, status=Status.FAILED, why=why, fix=fix)


def unknown(part: str, why: str, *, fix: str) -> Finding:
    """Nothing can be said about the part."""
    return Finding(part=part, status=Status.UNKNOWN, why=why, fix=fix)
