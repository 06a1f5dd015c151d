"""Which machines containers run on. Each is asked for once while ECS still has it, for all of its containers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from ...batch.errors import BatchError
from ...batch.machines import cluster_name
from ...batch.port import DESCRIBE_LIMIT_MACHINES, MachinePort, SeenMachine
from ...models import Attempt, Machine

logger = logging.getLogger(__name__)

_LIMIT = 500
"""Most machines that one run asks for: five calls, unless they are of more clusters."""

_COPIED = ("ec2_instance_id", "instance_type", "availability_zone", "purchase")
"""Columns of a machine that its attempts have too, because the machine's row does not stay."""


def learn_machines(*, machines: MachinePort, stop_at_s: float) -> bool:
    """Describe the machines that are new, and copy what is known to their attempts. Raises no BatchError.

    Return False if AWS denied a call or did not respond. The next run continues, also if there were more
    machines than until `stop_at_s` of the monotonic clock could be described.
    """
    answered = True
    if arns := _new_arns():
        try:
            purchases = machines.purchases()
            _copy_purchases(arns, purchases)
            for page in _pages(arns):
                if time.monotonic() > stop_at_s:
                    break
                _store(page, purchases, machines.describe(page))
        except BatchError as error:
            logger.warning("PRICE_NOT_READ %s", error)
            answered = False
    _copy_to_attempts()
    return answered


def _new_arns() -> list[str]:
    known = Machine.objects.filter(arn=OuterRef("machine_arn"))
    attempts = Attempt.objects.filter(~Exists(known), cost_usd=None).exclude(machine_arn="")
    return list(attempts.order_by().values_list("machine_arn", flat=True).distinct()[:_LIMIT])


def _pages(arns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the machines that one call can describe."""
    for _, members in groupby(sorted(arns, key=cluster_name), key=cluster_name):
        of_cluster = list(members)
        for first in range(0, len(of_cluster), DESCRIBE_LIMIT_MACHINES):
            yield of_cluster[first : first + DESCRIBE_LIMIT_MACHINES]


def _store(arns: Sequence[str], purchases: Mapping[str, str], seen: Sequence[SeenMachine]) -> None:
    """Store a row for each machine. One that ECS has forgotten stays unknown, and is not asked for again."""
    by_arn = {machine.arn: machine for machine in seen}
    rows = []
    for arn in arns:
        row = Machine(arn=arn, purchase=purchases.get(cluster_name(arn), ""))
        if machine := by_arn.get(arn):
            row.ec2_instance_id = machine.ec2_instance_id
            row.instance_type = machine.instance_type
            row.availability_zone = machine.availability_zone
            row.vcpus = machine.vcpus or None
        rows.append(row)
    Machine.objects.bulk_create(rows, ignore_conflicts=True)


@transaction.atomic
def _copy_purchases(arns: Sequence[str], purchases: Mapping[str, str]) -> None:
    """Copy how machines are paid for to their attempts, which costs need if ECS never describes the machines."""
    for purchase in set(purchases.values()):
        of_kind = [arn for arn in arns if purchases.get(cluster_name(arn)) == purchase]
        stale = Attempt.objects.filter(machine_arn__in=of_kind, cost_usd=None).exclude(purchase=purchase)
        Attempt.objects.filter(pk__in=_unlocked(stale)).update(purchase=purchase)


@transaction.atomic
def _copy_to_attempts() -> None:
    """Copy what is known of machines to attempts. A locked attempt is left for the next run."""
    machine = Machine.objects.filter(arn=OuterRef("machine_arn"))
    differs = Q()
    for name in _COPIED:
        differs |= ~Q(**{name: OuterRef(name)})
    stale: QuerySet[Attempt] = Attempt.objects.filter(Exists(machine.filter(differs)), cost_usd=None)
    Attempt.objects.filter(pk__in=_unlocked(stale)).update(
        **{name: Subquery(machine.values(name)[:1]) for name in _COPIED}
    )


def _unlocked(attempts: QuerySet[Attempt]) -> list[int]:
    """Lock the attempts that no other transaction has locked, and return their ids."""
    return list(attempts.select_for_update(skip_locked=True, of=("self",)).order_by("pk").values_list("pk", flat=True))
