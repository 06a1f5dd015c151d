"""Which machines containers run on. Each is asked for once while ECS still has it, for all of its containers."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from ...batch.errors import BatchError
from ...batch.machines import cluster_name
from ...batch.port import MachinePort
from ...models import Attempt, Machine

logger = logging.getLogger(__name__)

_LIMIT = 500
"""Most machines that one run asks for: five calls."""

_COPIED = ("ec2_instance_id", "instance_type", "availability_zone", "purchase")
"""Columns of a machine that its attempts have too, because the machine's row does not stay."""


def learn_machines(*, machines: MachinePort, stop_at_s: float) -> None:
    """Describe the machines that are new, and copy what is known to their attempts. Raises no BatchError.

    If AWS denies a call or does not respond, or the time is up, the next run asks again.
    """
    if arns := _new_arns():
        try:
            rows = _described(arns, machines=machines, stop_at_s=stop_at_s)
        except (BatchError, TimeoutError) as error:
            logger.warning("PRICE_NOT_READ %s", error)
        else:
            Machine.objects.bulk_create(rows, ignore_conflicts=True)
    _copy_to_attempts()


def _new_arns() -> list[str]:
    known = Machine.objects.filter(arn=OuterRef("machine_arn"))
    attempts = Attempt.objects.filter(~Exists(known), cost_usd=None).exclude(machine_arn="")
    return list(attempts.order_by().values_list("machine_arn", flat=True).distinct()[:_LIMIT])


def _described(arns: Sequence[str], *, machines: MachinePort, stop_at_s: float) -> list[Machine]:
    purchases = machines.purchases()
    if time.monotonic() > stop_at_s:
        message = "no time left to describe machines"
        raise TimeoutError(message)
    seen = machines.describe(arns)
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
    return rows


@transaction.atomic
def _copy_to_attempts() -> None:
    """Copy what is known of machines to attempts. A locked attempt is left for the next run."""
    machine = Machine.objects.filter(arn=OuterRef("machine_arn"))
    differs = Q()
    for name in _COPIED:
        differs |= ~Q(**{name: OuterRef(name)})
    stale: QuerySet[Attempt] = Attempt.objects.filter(Exists(machine.filter(differs)), cost_usd=None)
    ids = list(stale.select_for_update(skip_locked=True, of=("self",)).order_by("pk").values_list("pk", flat=True))
    Attempt.objects.filter(pk__in=ids).update(**{name: Subquery(machine.values(name)[:1]) for name in _COPIED})
