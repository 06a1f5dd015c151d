"""Compute checks: size and architecture of the instance types, subnets, and the image in ECR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...batch.account import describe_image, describe_subnets, is_in_ecr
from ...batch.control import describe_compute_environments, describe_queue, error_line, suggested_fix
from ...batch.errors import BatchError
from ...conf import bridge_settings
from ..finding import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...batch.control import ComputeEnvironment
    from ..finding import Finding

_ARM_FAMILY = re.compile(r"(a1|[a-z]+\d+g[a-z]*)")
"""Amazon EC2 instance types, "Naming conventions": a `g` after the generation means Graviton."""

_VCPUS_OF_SIZE = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}
"""Maximum number of vCPUs of an instance of this size in any family; `<n>xlarge` has 4 * n."""


def check_compute() -> Iterator[Finding]:
    """Yield findings for instance types, subnets and image.

    Yield nothing if the queue cannot be read: its own check reports why.
    """
    try:
        queue = describe_queue(bridge_settings().job_queue) if bridge_settings().job_queue else None
        environments = describe_compute_environments(queue.compute_environments) if queue else []
    except BatchError:
        return
    for environment in environments:
        yield _instances(environment, vcpus=bridge_settings().vcpus)
        yield _subnets(environment)
    yield _image(bridge_settings().image, environments)


def _instances(environment: ComputeEnvironment, *, vcpus: int) -> Finding:
    types = environment.instance_types
    architectures = sorted({_architecture(each) for each in types})
    if len(architectures) > 1:
        return failed(
            "instance types",
            f"{environment.name} mixes {' and '.join(architectures)}: AWS Batch marks such an environment as INVALID.",
            fix="List only families of one architecture in instance_types.",
        )
    sizes = [_vcpus(each) for each in types]
    if sizes and all(size is not None and size < vcpus for size in sizes):
        return failed(
            "instance types",
            f"{environment.name} has only {', '.join(types)}, but a container requires {vcpus} vCPUs: it stays RUNNABLE forever.",
            fix="Add a family (c7i) or a larger size to instance_types, or lower BATCHREEL['vcpus'].",
        )
    return ok("instance types", f"{environment.name}: {', '.join(types) or environment.kind or 'chosen by AWS'}.")


def _architecture(instance_type: str) -> str:
    """Return arm64 for Graviton families; `optimal` and all other families are amd64."""
    return "arm64" if _ARM_FAMILY.fullmatch(instance_type.partition(".")[0]) else "amd64"


def _vcpus(instance_type: str) -> int | None:
    """Return the maximum vCPUs of a type with a size; None for a family, which includes all sizes."""
    size = instance_type.partition(".")[2]
    if found := re.fullmatch(r"(\d+)xlarge", size):
        return 4 * int(found[1])
    return _VCPUS_OF_SIZE.get(size)


def _subnets(environment: ComputeEnvironment) -> Finding:
    wanted = environment.subnets
    advice = "Use subnets with free IP addresses and a route to ECR, S3, CloudWatch and the database."
    if not wanted:
        return failed("subnets", f"{environment.name} has no subnets: no instance can start.", fix=advice)
    try:
        found = {subnet.subnet_id: subnet for subnet in describe_subnets(wanted)}
    except BatchError as error:
        return unknown("subnets", f"{error_line(error)}.", fix=suggested_fix(error))
    if missing := sorted(set(wanted) - set(found)):
        return failed(
            "subnets", f"{environment.name} uses subnets that do not exist: {', '.join(missing)}.", fix=advice
        )
    if full := sorted(name for name, subnet in found.items() if not subnet.free_addresses):
        finding = failed if len(full) == len(found) else warning
        return finding(
            "subnets", f"Subnets of {environment.name} without free IP addresses: {', '.join(full)}.", fix=advice
        )
    free = sum(subnet.free_addresses for subnet in found.values())
    return ok("subnets", f"{environment.name} has {free} free IP addresses in {len(found)} subnets.")


def _image(image: str, environments: Sequence[ComputeEnvironment]) -> Finding:
    if not is_in_ecr(image):
        return _pinned(image, f"{image} is not in ECR and was not checked.")
    try:
        found = describe_image(image)
    except BatchError as error:
        return unknown("image", f"{error_line(error)}.", fix=suggested_fix(error))
    if found is None:
        return failed(
            "image",
            f"ECR has no image {image}: every container fails with CannotPullContainerError.",
            fix="Push it, and set BATCHREEL['image'] to its name with the digest.",
        )
    machines = {_architecture(each) for environment in environments for each in environment.instance_types}
    if found.architectures and (lacking := sorted(machines - found.architectures)):
        return failed(
            "image",
            f"{image} was built for {', '.join(sorted(found.architectures))}, but there are {', '.join(lacking)} instances:"
            " containers on them fail with `exec format error`.",
            fix="Build it for that architecture too: worker_image/build TAG --platform linux/amd64,linux/arm64.",
        )
    return _pinned(image, f"{found.digest[:19]} is in ECR.")


def _pinned(image: str, why: str) -> Finding:
    if "@sha256:" in image:
        return ok("image", why)
    return warning(
        "image",
        f"{why} The setting uses a tag, which can point to another image at any time.",
        fix="Pin it by digest in BATCHREEL['image'], and run `manage.py register_job_definition`.",
    )
