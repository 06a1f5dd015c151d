"""What a container cost: its billed span, times its vCPUs, times the price of a vCPU hour; and how much was wasted.

The span is that of the container, as AWS reports it. The machine's time before and after it, which is
billed too, is not included, and neither are its disk, its IP address and the bucket.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from ...lifecycle.observation import BatchStatus, Observation, failure_reason
from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptState
from ...models.cost import Purchase, WastedBy

_HOUR_US = 3600 * 10**6
_CENT_PARTS = Decimal("1e-8")
"""Amounts are rounded to this part of a dollar: a second of a vCPU costs 0.000005."""

_MACHINE_LOST = frozenset({Reason.SPOT_INTERRUPTION, Reason.HOST_LOST})


def cost_usd(span: timedelta, *, vcpus: int, vcpu_h_usd: Decimal) -> Decimal:
    """Return the price of a container; 0 for a span that is not positive."""
    span_us = max(0, span // timedelta(microseconds=1))
    return (Decimal(span_us) * vcpus * vcpu_h_usd / _HOUR_US).quantize(_CENT_PARTS)


def wasted_by(*, state: str, reason: str, status_reason: str, purchase: str) -> WastedBy | None:
    """Return what the unfinished work of an ended attempt was lost to, or None if its container did its part.

    AWS's text has priority over the reason: a machine that was taken back often ends its attempt as one
    without heartbeats. A file that is rejected is an answer, not a loss.
    """
    if state == AttemptState.SUCCEEDED or reason == Reason.INPUT_REJECTED:
        return None
    if state == AttemptState.CANCELLED:
        return WastedBy.CANCELS
    aws_text = Observation(batch_job_id="", status=BatchStatus.FAILED, status_reason=status_reason, started=True)
    lost = {Reason.__members__.get(reason), failure_reason(aws_text)} & _MACHINE_LOST
    return WastedBy.SPOT if lost and purchase != Purchase.ON_DEMAND else WastedBy.RETRIES


def wasted_share(*, finished_s: float, lost_s: float) -> Decimal:
    """Return the share of slot seconds that went into units that the attempt did not finish.

    1 if it never had a unit: all of its time is lost.
    """
    total_s = finished_s + lost_s
    return Decimal(str(round(lost_s / total_s, 6))) if total_s > 0 else Decimal(1)
