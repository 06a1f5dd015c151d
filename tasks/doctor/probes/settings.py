"""Settings check: the system checks, as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import ERROR, run_checks

from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding


def check_settings() -> Iterator[Finding]:
    """Yield one finding for each message of our system checks, or a single one if there are no messages."""
    messages = [message for message in run_checks(tags=["batchreel"]) if not message.is_silenced()]
    for message in messages:
        finding = failed if message.level >= ERROR else warning
        yield finding("settings", f"{message.msg} ({message.id})", fix=message.hint or "")
    if not messages:
        yield ok("settings", "Complete and consistent.")
