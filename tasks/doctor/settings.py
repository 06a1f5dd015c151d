"""Looks at the settings: the system checks, as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import ERROR, run_checks

from tasks.doctor.finding import unwell, warning, well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.doctor.finding import Finding


def look_at_settings() -> Iterator[Finding]:
    """One finding for each message of our system checks; one in all where there is none."""
    messages = [message for message in run_checks(tags=["batchreel"]) if not message.is_silenced()]
    for message in messages:
        found = unwell if message.level >= ERROR else warning
        yield found("settings", f"{message.msg} ({message.id})", mend=message.hint or "")
    if not messages:
        yield well("settings", "Nothing is missing or contradictory.")
