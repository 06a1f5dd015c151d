"""Subnets, machines (EC2) and image (ECR) that AWS Batch depends on, for the doctor.

Only reads, with bounded time; raises only BatchError.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError

from .aws import converted_errors
from .control import OPERATOR_CLIENT_CONFIG
from .errors import BatchRejectedError, convert_error

if TYPE_CHECKING:
    from collections.abc import Sequence

_ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)"
    r"(:(?P<tag>[\w.-]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MANIFESTS = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet and the number of its free IP addresses, which limits how many more machines it can contain."""

    subnet_id: str
    free_addresses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineType:
    """An instance type, with the memory that is installed, not the memory that ECS registers."""

    name: str
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrImage:
    """An image in ECR.

    `architectures` (amd64, arm64) is empty if the manifest is for a single architecture that it
    does not name.
    """

    digest: str
    architectures: frozenset[str]


def describe_subnets(subnet_ids: Sequence[str]) -> list[Subnet]:
    """Return the subnets with these ids, without those that do not exist."""
    client = _client("ec2")
    with converted_errors("DescribeSubnets", client):
        # A filter, because unknown ids in `SubnetIds` are an error.
        found = client.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(subnet_ids)}])["Subnets"]
    return [Subnet(subnet_id=each["SubnetId"], free_addresses=each["AvailableIpAddressCount"]) for each in found]


def describe_machine_types(types: Sequence[str]) -> list[MachineType]:
    """Return these instance types, and for a family each of its types, smallest first.

    Types that the region does not have are missing.
    """
    client = _client("ec2")
    patterns = [each if "." in each else f"{each}.*" for each in types]
    with converted_errors("DescribeInstanceTypes", client):
        # A filter takes 200 values, and unknown types are no error in it.
        pages = client.get_paginator("describe_instance_types").paginate(
            Filters=[{"Name": "instance-type", "Values": patterns[:200]}]
        )
        found = [
            MachineType(
                name=each["InstanceType"],
                vcpus=each["VCpuInfo"]["DefaultVCpus"],
                memory_mib=each["MemoryInfo"]["SizeInMiB"],
            )
            for page in pages
            for each in page["InstanceTypes"]
        ]
    return sorted(found, key=lambda machine: (machine.vcpus, machine.name))


def describe_disk_gib(template_id: str, version: str) -> int | None:
    """Return the size of the root disk that a launch template sets, or None if it sets none."""
    client = _client("ec2")
    with converted_errors("DescribeLaunchTemplateVersions", client):
        found = client.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[version])
        (template,) = found["LaunchTemplateVersions"]
        disks = template["LaunchTemplateData"].get("BlockDeviceMappings", [])
    sizes_gib = [each["Ebs"]["VolumeSize"] for each in disks if each.get("Ebs", {}).get("VolumeSize")]
    return max(sizes_gib, default=None)


def describe_machine_image(image_id: str) -> datetime | None:
    """Return when an AMI was created, or None if it does not exist any more."""
    client = _client("ec2")
    with converted_errors("DescribeImages", client):
        # A filter, because an unknown id in `ImageIds` is an error. AMIs are deprecated after two years.
        found = client.describe_images(Filters=[{"Name": "image-id", "Values": [image_id]}], IncludeDeprecated=True)[
            "Images"
        ]
        return datetime.fromisoformat(found[0]["CreationDate"]) if found else None


def is_in_ecr(image: str) -> bool:
    """Return True if the image name is one of ECR, the only registry that can be queried here."""
    return _ECR_IMAGE.fullmatch(image) is not None


def describe_image(image: str) -> EcrImage | None:
    """Return the image with this name in ECR, or None if there is none. Raises BatchError."""
    named = _ECR_IMAGE.fullmatch(image)
    if named is None:
        message = f"{image} is not the name of an image in ECR"
        raise BatchRejectedError(message)
    wanted = {"imageDigest": named["digest"]} if named["digest"] else {"imageTag": named["tag"] or "latest"}
    client = _client("ecr", named["region"])
    with converted_errors("BatchGetImage", client):
        response = client.batch_get_image(
            registryId=named["account"],
            repositoryName=named["repository"],
            imageIds=[wanted],
            acceptedMediaTypes=_MANIFESTS,
        )
    if not response["images"]:
        return None
    found = response["images"][0]
    manifest = json.loads(found["imageManifest"])
    platforms = (each.get("platform", {}) for each in manifest.get("manifests", []))
    return EcrImage(
        digest=found["imageId"]["imageDigest"],
        architectures=frozenset(each["architecture"] for each in platforms if each.get("os") == "linux"),
    )


@cache
def _client(service: str, region: str | None = None) -> Any:
    try:
        return boto3.client(service, region_name=region, config=OPERATOR_CLIENT_CONFIG)  # type: ignore[call-overload]  # one of two literal names
    except BotoCoreError as error:
        raise convert_error(error, call="Creating a client", where="this machine's AWS configuration") from error
