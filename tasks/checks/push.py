"""System checks of the settings of events: their limits must fit the queue's and the polling's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from ..batch.event_queue import LONG_POLL_S, MESSAGES, VISIBILITY_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conf import BridgeSettings

_LONG_POLLS = 2
"""A listener that works well shows itself once in each long poll, and may miss one."""


def check_push(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Check the period of the audit, and the time limits of listeners."""
    if conf.audit_s < conf.poll_running_s:
        yield Error(
            f"audit_s ({conf.audit_s:g}) is less than poll_running_s ({conf.poll_running_s:g}), so attempts would be polled"
            " more often while events arrive.",
            hint="Raise audit_s or lower poll_running_s in BATCHREEL.",
            id="batchreel.E060",
        )
    if conf.push_timeout_s < _LONG_POLLS * LONG_POLL_S:
        yield Error(
            f"push_timeout_s ({conf.push_timeout_s:g}) is less than {_LONG_POLLS} long polls"
            f" ({_LONG_POLLS * LONG_POLL_S} s), so a listener of an empty queue would count as dead.",
            hint=f"Set push_timeout_s in BATCHREEL to {_LONG_POLLS * LONG_POLL_S} or more.",
            id="batchreel.E061",
        )
    if MESSAGES * conf.event_time_limit_s >= VISIBILITY_TIMEOUT_S:
        yield Error(
            f"event_time_limit_s ({conf.event_time_limit_s:g}) for {MESSAGES} events is not less than the queue's visibility"
            f" timeout ({VISIBILITY_TIMEOUT_S} s), so another listener could get events that are still in progress.",
            hint=f"Set event_time_limit_s in BATCHREEL to less than {VISIBILITY_TIMEOUT_S / MESSAGES:g}.",
            id="batchreel.E062",
        )
