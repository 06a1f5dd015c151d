"""System checks of the settings of signals, webhooks and mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from ..conf import BridgeSettings
from ..schedule.ticks import SOFT_TIME_LIMIT_S
from ..services.delivery.to_endpoints import RESOLVE_S
from ..services.delivery.to_owners import MAIL_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIL_AND_SIGNALS = 0.5
"""Share of `deliver_time_limit_s` that mail and signals have together, after the webhooks."""


def check_outbox(conf: BridgeSettings) -> Iterator[CheckMessage]:
    """Check that a deliver tick ends in time, that events stay until they are delivered, and that mails exist."""
    longest_s = (1 + MAIL_AND_SIGNALS) * conf.deliver_time_limit_s + 2 * conf.webhook_timeout_s + RESOLVE_S
    if longest_s > SOFT_TIME_LIMIT_S:
        yield Error(
            f"A deliver tick may take {longest_s:g} s: one and a half times deliver_time_limit_s"
            f" ({conf.deliver_time_limit_s:g}), twice webhook_timeout_s ({conf.webhook_timeout_s:g}), and {RESOLVE_S:g} s"
            f" for a name. That is more than the soft time limit of ticks ({SOFT_TIME_LIMIT_S} s), so it could be stopped during a"
            " delivery.",
            hint="Lower deliver_time_limit_s or webhook_timeout_s in BATCHREEL.",
            id="batchreel.E080",
        )
    if unknown := sorted(set(conf.mail_kinds) - set(MAIL_KINDS)):
        yield Error(
            f"mail_kinds has no mail for {', '.join(unknown)}.",
            hint=f"Choose from {', '.join(MAIL_KINDS)}.",
            id="batchreel.E081",
        )
    if conf.outbox_retention_s < conf.delivery_retry_s:
        yield Error(
            f"outbox_retention_s ({conf.outbox_retention_s:g}) is less than delivery_retry_s ({conf.delivery_retry_s:g}),"
            " so what was given up could not be sent again.",
            hint="Raise outbox_retention_s or lower delivery_retry_s in BATCHREEL.",
            id="batchreel.E082",
        )
