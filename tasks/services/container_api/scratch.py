"""The disk of a machine as its containers' rows show it: who holds how much of it, and who waits for it since when.

Containers of one machine see nothing of each other but the free space on their disk. Their rows have
the rest, and a container that died is forgotten with its heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.states import WAITING_STAGES, AttemptState
from ...models import Attempt
from .claim import Claim

WAITING_STAGE = "reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskShares:
    """What the other live containers of a machine have of its disk, and want."""

    held_mib: int | None
    """What the working ones hold of its disk, and release when they end. None if that of one is unknown."""
    ahead_mib: tuple[int, ...]
    """What each of those wants that waits and was claimed earlier."""


def wait_for_scratch(claim: Claim, *, scratch_mib: int) -> DiskShares:
    """Record that the container waits for this much of its machine's disk, and return the others' shares.

    There are none if the machine is unknown. What a container holds that waits for more is in no share:
    two that hold parts of their sources could otherwise wait for each other.
    """
    _mine(claim).update(stage=WAITING_STAGE, scratch_mib=scratch_mib)
    if not claim.machine_id:
        return DiskShares(held_mib=0, ahead_mib=())
    recently = Now() - timedelta(seconds=bridge_settings().silence_threshold_s)
    live = Attempt.objects.filter(state=AttemptState.RUNNING, machine_id=claim.machine_id, heartbeat_at__gt=recently)
    rows = list(live.order_by("claimed_at", "pk").values_list("pk", "stage", "scratch_mib"))
    places = [pk for pk, _, _ in rows]
    older = rows[: places.index(claim.attempt_id)] if claim.attempt_id in places else rows
    held = [mib for pk, stage, mib in rows if stage not in WAITING_STAGES and pk != claim.attempt_id]
    return DiskShares(
        held_mib=sum(held) if all(held) else None,
        ahead_mib=tuple(mib for _, stage, mib in older if stage == WAITING_STAGE),
    )


def record_scratch(claim: Claim, *, scratch_mib: int) -> None:
    """Record that the container now holds this much in all, so that nobody waits behind it any more."""
    _mine(claim).update(stage="fetch", scratch_mib=scratch_mib)


def _mine(claim: Claim) -> QuerySet[Attempt]:
    return Attempt.objects.filter(pk=claim.attempt_id, claim_id=claim.claim_id, state=AttemptState.RUNNING)
