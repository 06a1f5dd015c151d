"""The deliver tick: what is new in the outbox, then webhooks, mail and signals, each within its time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...conf import bridge_settings
from .due import give_up_disabled
from .endpoints import forget_old_secrets
from .fan_out import fan_out
from .to_endpoints import send_webhooks
from .to_owners import send_mails
from .to_receivers import send_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """Counts for one run."""

    events: int
    webhooks: int
    mails: int
    signals: int


def deliver() -> DeliverySummary:
    """Deliver what is due.

    Signals are last: receivers are the site's own code, and one that hangs is stopped by Celery's time limit,
    with everything before it already recorded.
    """
    limit_s = bridge_settings().deliver_time_limit_s
    started_s = time.monotonic()
    events = fan_out()
    forget_old_secrets()
    give_up_disabled()
    webhooks = send_webhooks(until_s=started_s + limit_s)
    mails = send_mails(until_s=time.monotonic() + limit_s / 4)
    # What the others leave of the time is for the signals.
    signals = send_signals(until_s=max(time.monotonic() + limit_s / 4, started_s + 1.5 * limit_s))
    return DeliverySummary(events=events, webhooks=webhooks, mails=mails, signals=signals)
