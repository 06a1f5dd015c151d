"""The price of a vCPU hour on a machine: AWS's, once for each type, zone and day, else a setting."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from ...batch.errors import BatchDeniedError, BatchError
from ...batch.port import MachinePort
from ...conf import bridge_settings
from ...models import MachinePrice
from ...models.cost import PriceSource, Purchase

logger = logging.getLogger(__name__)

_SOURCES = {Purchase.SPOT: PriceSource.SPOT_HISTORY, Purchase.ON_DEMAND: PriceSource.LIST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of a vCPU for an hour, and where it comes from."""

    vcpu_h_usd: Decimal
    source: PriceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A machine as one attempt used it. Empty texts, or None, for what is unknown."""

    purchase: str
    instance_type: str
    zone: str
    vcpus: float | None
    at: datetime


_Answer = Decimal | BatchError | None
"""A price, why AWS did not report it, or None if there is none."""


class Prices:
    """The prices of one run. A price that AWS has reported is a row, so no later run asks for it again."""

    def __init__(self, machines: MachinePort, *, stop_at_s: float) -> None:
        self._machines = machines
        self._stop_at_s = stop_at_s
        self._denied: dict[PriceSource, BatchDeniedError] = {}
        self._answers: dict[tuple[object, ...], _Answer] = {}

    def of(self, used: Used, *, is_last_time: bool) -> Price | None:
        """Return the price; None if AWS did not report it, so that a later run has to ask again.

        A setting is the price if the machine is unknown or AWS has no such price. If AWS denies the call or
        does not respond, it is so only if `is_last_time`: a policy that is being replaced denies calls for
        a moment. If only this run has no time left, it never is.
        """
        source = _SOURCES.get(Purchase(used.purchase)) if used.purchase else None
        if source and used.instance_type and used.vcpus:
            try:
                answer = self._machine_h_usd(source, used)
            except TimeoutError:
                return None
            if isinstance(answer, BatchError) and not is_last_time:
                return None
            if isinstance(answer, Decimal):
                return Price(vcpu_h_usd=answer / Decimal(str(used.vcpus)), source=source)
        return _by_setting(used.purchase)

    def _machine_h_usd(self, source: PriceSource, used: Used) -> _Answer:
        """Return the price of the whole machine. Raises TimeoutError if the run has no time left to ask."""
        zone = used.zone if source is PriceSource.SPOT_HISTORY else ""
        key = {
            "day": used.at.astimezone(UTC).date(),
            "source": source.value,
            "instance_type": used.instance_type,
            "availability_zone": zone,
        }
        place = tuple(key.values())
        if place not in self._answers:
            row = MachinePrice.objects.filter(**key).first()
            answer = self._answers[place] = row.machine_h_usd if row else self._ask(source, used, zone)
            if row is None and isinstance(answer, Decimal):
                MachinePrice.objects.bulk_create([MachinePrice(**key, machine_h_usd=answer)], ignore_conflicts=True)
        return self._answers[place]

    def _ask(self, source: PriceSource, used: Used, zone: str) -> _Answer:
        if denied := self._denied.get(source):
            return denied
        if time.monotonic() > self._stop_at_s:
            raise TimeoutError
        try:
            if source is PriceSource.SPOT_HISTORY:
                return self._machines.spot_price(used.instance_type, zone, used.at.astimezone(UTC))
            return self._machines.list_price(used.instance_type)
        except BatchError as error:
            logger.warning("PRICE_NOT_READ %s", error)
            if isinstance(error, BatchDeniedError):
                self._denied[source] = error
            return error


def _by_setting(purchase: str) -> Price:
    conf = bridge_settings()
    usd = conf.spot_vcpu_h_usd if purchase == Purchase.SPOT else conf.on_demand_vcpu_h_usd
    return Price(vcpu_h_usd=Decimal(str(usd)), source=PriceSource.SETTING)
