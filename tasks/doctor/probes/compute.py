"""Compute checks: what fits on the instance types and their disk, their AMI, subnets, and the image in ECR."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...batch.account import (
    describe_disk_gib,
    describe_image,
    describe_machine_image,
    describe_machine_types,
    describe_subnets,
    is_in_ecr,
)
from ...batch.control import describe_compute_environments, describe_queue, error_line, suggested_fix
from ...batch.errors import BatchDeniedError, BatchError
from ...conf import bridge_settings
from ..finding import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...batch.account import MachineType
    from ...batch.control import ComputeEnvironment
    from ...conf import BridgeSettings
    from ..finding import Finding

_ARM_FAMILY = re.compile(r"(a1|[a-z]+\d+g[a-z]*)")
"""Amazon EC2 instance types, "Naming conventions": a `g` after the generation means Graviton."""

_KERNEL_SHARE = 0.075
"""Largest share of the installed memory that a machine does not register (2.5 % of an m4.large, AWS
Batch user guide, "Compute resource memory management"; 7.5 % is what Karpenter assumes)."""

_AGENT_MIB = 32
"""Memory that AWS Batch reserves for the ECS agent (the same page)."""

_SYSTEM_GIB = 20
"""Disk that the machine's own image and the container's take, with some reserve."""

_DEFAULT_DISK_GIB = 30
"""Root disk of the ECS-optimized AMI, if no launch template sets another size."""

_LARGE_SOURCE_GIB = 10 * 1000**3 / 1024**3
"""A large lecture: 10 GB, 3 hours at 7.4 Mbit/s. The default of `upload_limit_bytes` allows five times as much."""

_OLD_IMAGE_DAYS = 60
"""AWS publishes an ECS-optimized AMI every one or two weeks; `terraform apply` once a month takes the newest."""

_EXAMPLES = 6
"""Maximum number of instance types that a finding names."""


def check_compute() -> Iterator[Finding]:
    """Yield findings for instance types, disk, subnets and images.

    Yield nothing if a queue cannot be read: its own check reports why.
    """
    conf = bridge_settings()
    try:
        queues = [queue for name in conf.queues if (queue := describe_queue(name))]
        names = dict.fromkeys(name for queue in queues for name in queue.compute_environments)
        environments = describe_compute_environments(list(names))
    except BatchError:
        return
    for environment in environments:
        if environment.instance_types:
            yield from _machines(environment, conf)
            yield _machine_image(environment)
        else:
            yield ok("instance types", f"{environment.name}: {environment.kind or 'chosen by AWS'}.")
        yield _subnets(environment)
    yield _image(conf.image, environments)


def _machines(environment: ComputeEnvironment, conf: BridgeSettings) -> Iterator[Finding]:
    architectures = sorted({_architecture(each) for each in environment.instance_types})
    if len(architectures) > 1:
        yield failed(
            "instance types",
            f"{environment.name} mixes {' and '.join(architectures)}: AWS Batch marks such an environment as INVALID.",
            fix="List only families of one architecture in instance_types.",
        )
        return
    try:
        machines = describe_machine_types(environment.instance_types)
    except BatchError as error:
        yield _not_checked("instance types", error)
        return
    if not machines:
        # `optimal` and the like are names for families that AWS chooses.
        yield ok("instance types", f"{environment.name}: {', '.join(environment.instance_types)}.")
        return
    yield _memory(environment, machines, conf)
    if any(_fitting(machine, conf) for machine in machines):
        yield _disk(environment, machines, conf)


def _memory(environment: ComputeEnvironment, machines: Sequence[MachineType], conf: BridgeSettings) -> Finding:
    size = f"containers of {conf.vcpus} vCPUs and {conf.memory_mib} MiB"
    if not any(_fitting(machine, conf) for machine in machines):
        return failed(
            "instance types",
            f"{environment.name} has only {_examples(environment.instance_types)}, none of which has room for {size}:"
            " they stay RUNNABLE forever.",
            fix="Add a larger size to instance_types, or lower BATCHREEL['vcpus'] or BATCHREEL['memory_mib'].",
        )
    short = [each for each in machines if _fitting(each, conf) < each.vcpus // conf.vcpus]
    if short:
        rooms = [f"{each.name} has room for {_fitting(each, conf)} of {each.vcpus // conf.vcpus}" for each in short]
        most_mib = min(_registered_mib(each) // (each.vcpus // conf.vcpus) for each in short)
        return warning(
            "instance types",
            f"The memory of {environment.name} is too small for its vCPUs, with {size}: {_examples(rooms)}."
            " The other vCPUs are paid for and idle.",
            fix=f"Lower BATCHREEL['memory_mib'] to {most_mib} or less, or list types with more memory for each vCPU (m7i).",
        )
    usable = [each for each in machines if _fitting(each, conf)]
    return ok("instance types", f"{environment.name}: {len(usable)} types, all of whose vCPUs {size} can use.")


def _disk(environment: ComputeEnvironment, machines: Sequence[MachineType], conf: BridgeSettings) -> Finding:
    try:
        disk_gib = _DEFAULT_DISK_GIB
        if environment.launch_template_id:
            found_gib = describe_disk_gib(environment.launch_template_id, environment.launch_template_version)
            disk_gib = found_gib or _DEFAULT_DISK_GIB
    except BatchError as error:
        return _not_checked("machine disk", error)
    advice = "Raise the disk size (scratch_gib in Terraform), or list smaller types in instance_types."
    free_gib, reserve_gib = disk_gib - _SYSTEM_GIB, conf.scratch_reserve_mib / 1024
    room = int(max(0, free_gib) // (_LARGE_SOURCE_GIB + reserve_gib))
    crowded = [each for each in machines if room < _fitting(each, conf)]
    if crowded:
        rooms = [f"{each.name} has room for {room} of {_fitting(each, conf)} containers" for each in crowded]
        return warning(
            "machine disk",
            f"The disk of {environment.name}, {disk_gib} GiB, is too small for sources of 10 GB: {_examples(rooms)}.",
            fix=advice,
        )
    if free_gib < conf.upload_limit_bytes / 1024**3 + reserve_gib:
        return warning(
            "machine disk",
            f"The disk of {environment.name}, {disk_gib} GiB, has no room for the largest upload that is accepted,"
            f" {conf.upload_limit_bytes / 1024**3:.0f} GiB.",
            fix=f"{advice} Or lower BATCHREEL['upload_limit_bytes'].",
        )
    return ok(
        "machine disk", f"{environment.name}: {disk_gib} GiB, enough for {room} containers with sources of 10 GB."
    )


def _fitting(machine: MachineType, conf: BridgeSettings) -> int:
    """Return the number of containers that vCPUs and memory of the machine have room for."""
    return min(machine.vcpus // conf.vcpus, _registered_mib(machine) // conf.memory_mib)


def _registered_mib(machine: MachineType) -> int:
    """Return the memory that containers can get at least; it is known only once a machine registers."""
    return int(machine.memory_mib * (1 - _KERNEL_SHARE)) - _AGENT_MIB


def _examples(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _EXAMPLES} more" if len(texts) > _EXAMPLES else ""
    return ", ".join(texts[:_EXAMPLES]) + more


def _machine_image(environment: ComputeEnvironment) -> Finding:
    """Return the finding for the AMI.

    AWS Batch never replaces it in an existing environment, so its kernel, Docker and agent would get no patches.
    """
    advice = "Run `terraform apply`, which takes the newest AMI and lets running containers finish."
    image_id = environment.machine_image_id
    if not image_id:
        if environment.machine_image_status == "UPDATE_AVAILABLE":
            return warning(
                "machine image",
                f"AWS has a newer AMI for {environment.name}.",
                fix=f"Run `aws batch update-compute-environment --compute-environment {environment.name}"
                " --compute-resources updateToLatestImageVersion=true`.",
            )
        return ok("machine image", f"{environment.name}: chosen by AWS Batch, which reports no newer one.")
    try:
        created_at = describe_machine_image(image_id)
    except BatchError as error:
        return _not_checked("machine image", error)
    if created_at is None:
        return failed(
            "machine image",
            f"{environment.name} uses {image_id}, which does not exist any more: no machine can start.",
            fix=advice,
        )
    days = (datetime.now(UTC) - created_at).days
    if days > _OLD_IMAGE_DAYS:
        return warning("machine image", f"{environment.name} uses {image_id}, which is {days} days old.", fix=advice)
    return ok("machine image", f"{environment.name} uses {image_id}, which is {days} days old.")


def _not_checked(part: str, error: BatchError) -> Finding:
    """Return the finding for a call that failed.

    A denied one only leaves something open: these permissions are for the doctor alone.
    """
    finding = warning if isinstance(error, BatchDeniedError) else unknown
    return finding(part, f"Not checked: {error_line(error)}.", fix=suggested_fix(error))


def _architecture(instance_type: str) -> str:
    """Return arm64 for Graviton families; `optimal` and all other families are amd64."""
    return "arm64" if _ARM_FAMILY.fullmatch(instance_type.partition(".")[0]) else "amd64"


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
