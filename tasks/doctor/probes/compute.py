"""Looks at what containers run on: do instance types have room and one architecture, do subnets exist, is the image there and right?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...batch.account import describe_image, describe_subnets, is_in_ecr
from ...batch.control import describe_compute_environments, describe_queue, fix, message
from ...batch.errors import BatchError
from ...conf import bridge_settings
from ..finding import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...batch.control import ComputeEnvironment
    from ..finding import Finding

_ARM_FAMILY = re.compile(r"(a1|[a-z]+\d+g[a-z]*)")
"""Amazon EC2 instance types, "Naming conventions": the `g` behind the generation is a Graviton processor."""

_VCPUS_OF_SIZE = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}
"""The most vCPUs that an instance of this size has in any family; `<n>xlarge` has four times n."""


def check_compute() -> Iterator[Finding]:
    """Findings for instance types, subnets and image. Silent about a queue that cannot be read: its own look says why."""
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
            f"{environment.name} mixes {' and '.join(architectures)}: AWS Batch makes such an environment INVALID.",
            fix="Name families of one architecture in instance_types.",
        )
    sizes = [_vcpus(each) for each in types]
    if sizes and all(size is not None and size < vcpus for size in sizes):
        return failed(
            "instance types",
            f"{environment.name} has only {', '.join(types)}; a container asks for {vcpus} vCPUs: it stays RUNNABLE for ever.",
            fix="Name a family (c7i) or a larger size in instance_types, or lower BATCHREEL['vcpus'].",
        )
    return ok("instance types", f"{environment.name}: {', '.join(types) or environment.kind or 'chosen by AWS'}.")


def _architecture(instance_type: str) -> str:
    """`optimal` and families without `g` are x86."""
    return "arm64" if _ARM_FAMILY.fullmatch(instance_type.partition(".")[0]) else "amd64"


def _vcpus(instance_type: str) -> int | None:
    """The most vCPUs of a type that is named with its size; None for a family, which has all sizes."""
    size = instance_type.partition(".")[2]
    if found := re.fullmatch(r"(\d+)xlarge", size):
        return 4 * int(found[1])
    return _VCPUS_OF_SIZE.get(size)


def _subnets(environment: ComputeEnvironment) -> Finding:
    wanted = environment.subnets
    advice = "Name subnets with free addresses and a way to ECR, S3, CloudWatch and the database."
    if not wanted:
        return failed("subnets", f"{environment.name} names no subnet: no machine can start.", fix=advice)
    try:
        found = {subnet.subnet_id: subnet for subnet in describe_subnets(wanted)}
    except BatchError as error:
        return unknown("subnets", f"{message(error)}.", fix=fix(error))
    if missing := sorted(set(wanted) - set(found)):
        return failed("subnets", f"{environment.name} names {', '.join(missing)}, which does not exist.", fix=advice)
    if full := sorted(name for name, subnet in found.items() if not subnet.free_addresses):
        say = failed if len(full) == len(found) else warning
        return say("subnets", f"{', '.join(full)} of {environment.name} has no free address.", fix=advice)
    free = sum(subnet.free_addresses for subnet in found.values())
    return ok("subnets", f"{environment.name} has {free} free addresses in {len(found)} subnets.")


def _image(image: str, environments: Sequence[ComputeEnvironment]) -> Finding:
    if not is_in_ecr(image):
        return _pinned(image, f"{image} is in no registry that can be asked.")
    try:
        found = describe_image(image)
    except BatchError as error:
        return unknown("image", f"{message(error)}.", fix=fix(error))
    if found is None:
        return failed(
            "image",
            f"ECR has no image {image}: every container ends with CannotPullContainerError.",
            fix="Push it, and name it by its digest in BATCHREEL['image'].",
        )
    machines = {_architecture(each) for environment in environments for each in environment.instance_types}
    if found.architectures and (lacking := sorted(machines - found.architectures)):
        return failed(
            "image",
            f"{image} is for {', '.join(sorted(found.architectures))}, and machines are {', '.join(lacking)}:"
            " every container ends with `exec format error`.",
            fix="Build it for that architecture too: worker_image/build TAG --platform linux/amd64,linux/arm64.",
        )
    return _pinned(image, f"{found.digest[:19]} is in ECR.")


def _pinned(image: str, why: str) -> Finding:
    if "@sha256:" in image:
        return ok("image", why)
    return warning(
        "image",
        f"{why} It is named by a tag, which may mean another image tomorrow.",
        fix="Name it by its digest in BATCHREEL['image'], and register the job definition.",
    )
