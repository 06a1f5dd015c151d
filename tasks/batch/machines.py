"""The machines that containers run on, and what AWS charges for them: ECS, EC2's Spot prices, the price list.

Implements MachinePort. Only reads, with bounded time; raises only BatchError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from ..conf import bridge_settings
from ..models.cost import Purchase
from .aws import READ_CONFIG, batch_client, converted_errors
from .calls import count_calls
from .errors import BatchRejectedError, convert_error
from .port import DESCRIBE_LIMIT_MACHINES, MachinePort, SeenMachine

_CPU_UNITS = 1024
"""ECS registers a machine with this number of CPU units for each vCPU."""

_LINUX = "Linux/UNIX"

_COMMON_TYPE = "m6a.large"
"""A type of machine to ask for when any will do."""

_PURCHASES = {
    "SPOT": Purchase.SPOT,
    "EC2": Purchase.ON_DEMAND,
    "FARGATE": Purchase.FARGATE,
    "FARGATE_SPOT": Purchase.FARGATE,
}
"""Types of compute environments."""

_PRICE_LIST_REGIONS = {"cn-": "cn-northwest-1", "eu-": "eu-central-1", "ap-": "ap-south-1"}
"""Regions that serve the price list of all regions, by the beginning of the caller's. Any other uses us-east-1."""


class AwsMachines:
    """The services of AWS that know machines and prices, or a compatible server at AWS_ENDPOINT_URL."""

    def purchases(self) -> dict[str, str]:
        """See MachinePort."""
        client = batch_client(retry=True)
        with converted_errors("DescribeJobQueues", client):
            queues = client.describe_job_queues(jobQueues=list(bridge_settings().queues))["jobQueues"]
            names = [each["computeEnvironment"] for queue in queues for each in queue["computeEnvironmentOrder"]]
        if not names:
            return {}
        with converted_errors("DescribeComputeEnvironments", client):
            found = client.describe_compute_environments(computeEnvironments=sorted(set(names)))["computeEnvironments"]
        return {
            _last(each.get("ecsClusterArn", "")): purchase.value
            for each in found
            if (purchase := _PURCHASES.get(each.get("computeResources", {}).get("type", "")))
        }

    def describe(self, arns: Sequence[str]) -> list[SeenMachine]:
        """See MachinePort."""
        by_cluster: dict[str, list[str]] = {}
        for arn in arns:
            if cluster := _cluster_of_instance(arn):
                by_cluster.setdefault(cluster, []).append(arn)
        return [
            machine
            for cluster, members in by_cluster.items()
            for first in range(0, len(members), DESCRIBE_LIMIT_MACHINES)
            for machine in _describe_page(cluster, members[first : first + DESCRIBE_LIMIT_MACHINES])
        ]

    def spot_price(self, instance_type: str, zone: str, at: datetime) -> Decimal | None:
        """See MachinePort."""
        client = _client("ec2")
        with converted_errors("DescribeSpotPriceHistory", client):
            # With equal times, EC2 returns the price that was in force then.
            pages = client.get_paginator("describe_spot_price_history").paginate(
                InstanceTypes=[instance_type],
                AvailabilityZone=zone,
                ProductDescriptions=[_LINUX],
                StartTime=at,
                EndTime=at,
            )
            found = [each for page in pages for each in page["SpotPriceHistory"] if each["AvailabilityZone"] == zone]
        # Both are of the zone: the newest price that is not newer than the start, else the first one after it.
        before = [each for each in found if each["Timestamp"] <= at]
        newest = max(before, key=lambda each: each["Timestamp"], default=None) or next(iter(found), None)
        return _amount(newest["SpotPrice"]) if newest else None

    def list_price(self, instance_type: str) -> Decimal | None:
        """See MachinePort."""
        region = batch_client(retry=True).meta.region_name
        client = _client("pricing", _price_list_region(region))
        wanted = {
            "regionCode": region,
            "instanceType": instance_type,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
        }
        with converted_errors("GetProducts", client):
            products = client.get_products(
                ServiceCode="AmazonEC2",
                Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()],
                FormatVersion="aws_v1",
                MaxResults=100,
            )["PriceList"]
        prices = (price for product in products for price in _hourly_prices(product))
        return next((price for price in prices if price), None)


def aws_machines() -> MachinePort:
    """Return the port that production code uses."""
    return AwsMachines()


def cluster_name(arn: str) -> str:
    """Return the name of the cluster in the ARN of a machine; empty if it contains none, as in ECS's old format."""
    return _cluster_of_instance(arn) or (_last(arn) if ":cluster/" in arn else "")


def price_probes() -> dict[str, Callable[[], object]]:
    """Return IAM action -> a call that requires it and changes nothing, for the doctor."""
    machines, now = AwsMachines(), datetime.now(UTC)
    zone = f"{batch_client(retry=True).meta.region_name}a"
    return {
        "ec2:DescribeSpotPriceHistory": lambda: machines.spot_price(_COMMON_TYPE, zone, now),
        "pricing:GetProducts": lambda: machines.list_price(_COMMON_TYPE),
    }


def _describe_page(cluster: str, arns: Sequence[str]) -> Iterator[SeenMachine]:
    """Yield the machines of one cluster. If AWS rejects the call, the cluster is gone, and its machines with it."""
    client = _client("ecs")
    with suppress(BatchRejectedError), converted_errors("DescribeContainerInstances", client):
        found = client.describe_container_instances(cluster=cluster, containerInstances=list(arns))
        for each in found["containerInstances"]:
            attributes = {one["name"]: one.get("value", "") for one in each.get("attributes", [])}
            resources = {one["name"]: one.get("integerValue", 0) for one in each.get("registeredResources", [])}
            yield SeenMachine(
                arn=each["containerInstanceArn"],
                ec2_instance_id=each.get("ec2InstanceId", ""),
                instance_type=attributes.get("ecs.instance-type", ""),
                availability_zone=attributes.get("ecs.availability-zone", ""),
                vcpus=resources.get("CPU", 0) / _CPU_UNITS,
            )


def _cluster_of_instance(arn: str) -> str:
    _, _, path = arn.partition(":container-instance/")
    cluster, _, instance = path.partition("/")
    return cluster if instance else ""


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


def _price_list_region(region: str) -> str:
    return next((serves for prefix, serves in _PRICE_LIST_REGIONS.items() if region.startswith(prefix)), "us-east-1")


def _hourly_prices(product: str) -> Iterable[Decimal | None]:
    """Yield the On-Demand prices in a product of the price list, which is JSON in a string."""
    try:
        terms = json.loads(product)["terms"]["OnDemand"].values()
        dimensions = [each for term in terms for each in term["priceDimensions"].values()]
        return [_amount(each["pricePerUnit"].get("USD", "")) for each in dimensions if each.get("unit") == "Hrs"]
    except (ValueError, KeyError, AttributeError, TypeError):
        return []


def _amount(text: str) -> Decimal | None:
    """Return a price above 0, or None."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount > 0 else None


@cache
def _client(service: str, region: str | None = None) -> Any:
    try:
        client = boto3.client(service, region_name=region, config=READ_CONFIG)  # type: ignore[call-overload]  # one of three literal names
    except BotoCoreError as error:
        raise convert_error(error, call="Creating a client", where="this machine's AWS configuration") from error
    count_calls(client)
    return client
