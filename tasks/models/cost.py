"""What the cost of attempts is worked out from, and the sum of each day."""

from __future__ import annotations

import enum

from django.db import models
from django.db.models.functions import Now


class Purchase(enum.StrEnum):
    """How a machine is paid for."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    FARGATE = "fargate"


class PriceSource(enum.StrEnum):
    """Where a price comes from."""

    SPOT_HISTORY = "spot-history"
    """EC2's history of Spot prices, at the time when the container started."""
    LIST = "list"
    """AWS's price list, on the day when the container started."""
    SETTING = "setting"
    """`spot_vcpu_h_usd` or `on_demand_vcpu_h_usd`."""


class WastedBy(enum.StrEnum):
    """Why work was lost."""

    SPOT = "spot"
    """AWS took the machine back."""
    RETRIES = "retries"
    """The attempt failed or was lost, so another one repeats what it had not finished."""
    CANCELS = "cancels"
    """The job was cancelled, or did not need the container any more."""


class Machine(models.Model):
    """A machine as ECS described it while it was there: ECS forgets it soon after its end. Asked once."""

    arn = models.CharField(max_length=512, primary_key=True)
    ec2_instance_id = models.CharField(max_length=32, blank=True)
    instance_type = models.CharField(max_length=32, blank=True, help_text="Empty if AWS did not name it.")
    availability_zone = models.CharField(max_length=32, blank=True)
    vcpus = models.FloatField(null=True, blank=True, help_text="vCPUs of the whole machine.")
    purchase = models.CharField(max_length=12, blank=True)
    asked_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.ec2_instance_id or self.arn} {self.instance_type} {self.purchase}"


class MachinePrice(models.Model):
    """What a type of machine cost for an hour on a day, as read for the first container that started on it."""

    instance_type = models.CharField(max_length=32)
    availability_zone = models.CharField(max_length=32, blank=True, help_text="Empty for prices of the whole region.")
    source = models.CharField(max_length=12)
    day = models.DateField(help_text="In UTC.")
    machine_h_usd = models.DecimalField(max_digits=14, decimal_places=8, help_text="Of the whole machine, for an hour.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "source", "instance_type", "availability_zone"], name="one_price_per_machine_and_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.instance_type} {self.availability_zone} {self.day} {self.source}: {self.machine_h_usd}"


class DayCost(models.Model):
    """Sum of the costs of the attempts that started on a day. It stays when their videos are deleted."""

    day = models.DateField(help_text="In UTC.")
    purchase = models.CharField(max_length=12, blank=True)
    source = models.CharField(max_length=12, blank=True, help_text="Where the prices come from.")
    attempts = models.PositiveIntegerField(default=0)
    vcpu_h = models.FloatField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    spot_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0, help_text="Of that, lost to Spot.")
    retries_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0, help_text="Lost to retries.")
    cancels_usd = models.DecimalField(max_digits=18, decimal_places=8, default=0, help_text="Lost to cancelled jobs.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "purchase", "source"], name="one_sum_per_day_and_price")]

    def __str__(self) -> str:
        return f"{self.day} {self.purchase} {self.source}: {self.cost_usd}"
