"""A finding: the result of a probe for one part."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """Status of a part."""

    OK = "ok"
    WARNING = "warning"
    """It works, but needs attention."""
    FAILED = "failed"
    """It does not work."""
    UNKNOWN = "unknown"
    """It, or something it depends on, did not answer the check: not a failure, but not OK either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Status of one part, the evidence for it, and the fix (empty if there is nothing to fix)."""

    part: str
    status: Status
    why: str
    fix: str = ""

    @property
    def fails(self) -> bool:
        """Return whether this finding alone makes doctor fail."""
        return self.status in {Status.FAILED, Status.UNKNOWN}


def ok(part: str, why: str) -> Finding:
    """Return a finding for a part that works."""
    return Finding(part=part, status=Status.OK, why=why)


def warning(part: str, why: str, *, fix: str) -> Finding:
    """Return a finding for a part that works but needs attention."""
    return Finding(part=part, status=Status.WARNING, why=why, fix=fix)


def failed(part: str, why: str, *, fix: str) -> Finding:
    """Return a finding for a part that does not work."""
    return Finding(part=part, status=Status.FAILED, why=why, fix=fix)


def unknown(part: str, why: str, *, fix: str) -> Finding:
    """Return a finding for a part that could not be checked."""
    return Finding(part=part, status=Status.UNKNOWN, why=why, fix=fix)
