"""Prices of machines in the local endpoint: moto's are all $0.00001, and it has no price list.

A vCPU costs the same on every type of machine: round numbers near those of an m6a.large in us-east-1.
"""

from __future__ import annotations

import json
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.responses.spot_instances import SpotInstances

from project.local.batch.machines import vcpus_of

if TYPE_CHECKING:
    from project.local.batch.api import Response

SPOT_VCPU_H_USD = Decimal("0.016")
LIST_VCPU_H_USD = Decimal("0.0432")


def use_spot_prices() -> None:
    """Let moto report a Spot price for each type and zone that was asked for."""
    SpotInstances.describe_spot_price_history = _describe_spot_price_history  # type: ignore[method-assign,assignment] # on purpose


def _describe_spot_price_history(request: SpotInstances) -> ActionResult:
    types = request._get_param("InstanceTypes", [])  # noqa: SLF001 - as moto's own code reads it
    zone = request._get_param("AvailabilityZone", "")  # noqa: SLF001 - as above
    at = request._get_param("StartTime", "")  # noqa: SLF001 - as above
    history = [
        {
            "InstanceType": each,
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{SPOT_VCPU_H_USD * vcpus_of(each):.6f}",
            "AvailabilityZone": zone,
            "Timestamp": at,
        }
        for each in types
        if zone and at
    ]
    return ActionResult({"SpotPriceHistory": history})


class PriceList:
    """GetProducts of the price list, for one instance type."""

    def respond(self, body: bytes) -> Response:
        """Return HTTP status, headers and body."""
        filters = {each["Field"]: each["Value"] for each in json.loads(body or b"{}").get("Filters", [])}
        products = [_product(filters["instanceType"])] if "instanceType" in filters else []
        response = {"FormatVersion": "aws_v1", "PriceList": products}
        return HTTPStatus.OK, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(response).encode()


def _product(instance_type: str) -> str:
    """Return a product as the price list has it: JSON in a string."""
    price: dict[str, Any] = {
        "unit": "Hrs",
        "pricePerUnit": {"USD": f"{LIST_VCPU_H_USD * vcpus_of(instance_type):.10f}"},
        "description": f"per On Demand Linux {instance_type} Instance Hour",
    }
    term = {"priceDimensions": {"SKU.JRTCKXETXF.6YS6EN2CT7": price}, "sku": "SKU"}
    product = {"productFamily": "Compute Instance", "attributes": {"instanceType": instance_type}, "sku": "SKU"}
    return json.dumps({"product": product, "serviceCode": "AmazonEC2", "terms": {"OnDemand": {"SKU.TERM": term}}})
