"""A cost is a span times vCPUs times a price, and what was lost of it has one cause."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tasks.models.cost import WastedBy
from tasks.services.costs.amounts import cost_usd, wasted_by, wasted_share

HOST_TERMINATED = "Host EC2 (instance i-0123456789abcdef0) terminated."


@pytest.mark.parametrize(
    ("seconds", "vcpus", "price", "cost"),
    [
        (3600, 2, "0.018", "0.03600000"),
        (1, 1, "0.018", "0.00000500"),
        (0.5, 2, "0.0432", "0.00001200"),
        (86_400, 8, "0.0432", "8.29440000"),
        (0, 2, "0.018", "0E-8"),
        (-30, 2, "0.018", "0E-8"),
    ],
)
def test_cost_is_span_times_vcpus_times_price_when_a_container_ran(
    seconds: float, vcpus: int, price: str, cost: str
) -> None:
    assert str(cost_usd(timedelta(seconds=seconds), vcpus=vcpus, vcpu_h_usd=Decimal(price))) == cost


@pytest.mark.parametrize(
    ("finished_s", "lost_s", "share"), [(300, 100, "0.25"), (0, 0, "1"), (10, 0, "0.0"), (0, 10, "1.0")]
)
def test_share_is_all_of_it_when_an_attempt_never_had_a_unit(finished_s: float, lost_s: float, share: str) -> None:
    assert wasted_share(finished_s=finished_s, lost_s=lost_s) == Decimal(share)


@pytest.mark.parametrize(
    ("state", "reason", "text", "purchase", "cause"),
    [
        ("SUCCEEDED", "", "", "spot", None),
        ("FAILED", "INPUT_REJECTED", "", "spot", None),
        ("FAILED", "SPOT_INTERRUPTION", "Your Spot Task was interrupted.", "spot", WastedBy.SPOT),
        # The rescue tick was earlier than AWS's final status.
        ("LOST", "HEARTBEAT_TIMEOUT", HOST_TERMINATED, "spot", WastedBy.SPOT),
        ("LOST", "HEARTBEAT_TIMEOUT", HOST_TERMINATED, "", WastedBy.SPOT),
        ("FAILED", "HOST_LOST", HOST_TERMINATED, "on-demand", WastedBy.RETRIES),
        ("LOST", "HEARTBEAT_TIMEOUT", "Batchreel: replaced", "spot", WastedBy.RETRIES),
        ("FAILED", "EXIT_CODE", "Essential container in task exited", "spot", WastedBy.RETRIES),
        ("FAILED", "A_CODE_OF_THE_ENGINE", "", "spot", WastedBy.RETRIES),
        ("CANCELLED", "CANCELLED", "", "spot", WastedBy.CANCELS),
    ],
)
def test_loss_has_the_cause_that_aws_names_when_the_reason_names_another(
    state: str, reason: str, text: str, purchase: str, cause: WastedBy | None
) -> None:
    assert wasted_by(state=state, reason=reason, status_reason=text, purchase=purchase) == cause
