"""The machines of the local AWS Batch: one EC2 instance in moto for each compute environment that has any.

AWS Batch registers its instances in the ECS cluster of their compute environment. moto makes the cluster,
but registers nothing in it, and reports 4 vCPUs for every instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ecs.models import ecs_backends

if TYPE_CHECKING:
    from moto.batch.models import ComputeEnvironment

_CPU_UNITS = 1024
"""ECS registers a machine with this number of CPU units for each vCPU."""

_OPTIMAL = "m6a.large"
"""The machine of an environment that leaves the choice to AWS Batch, or names a family."""


class Machines:
    """The machine of each environment, made when its first container starts. The caller holds moto's lock."""

    def __init__(self) -> None:
        self._arns: dict[str, str] = {}

    def of(self, environment: ComputeEnvironment, *, region: str) -> str:
        """Return the ARN of the environment's container instance; empty for Fargate, which has none."""
        resources = environment.compute_resources or {}
        if resources.get("type") not in {"EC2", "SPOT"}:
            return ""
        if environment.arn not in self._arns:
            self._arns[environment.arn] = _register(environment, resources, region)
        return self._arns[environment.arn]


def vcpus_of(instance_type: str) -> int:
    """Return the vCPUs of an instance type, 2 if it is unknown."""
    known: dict[str, Any] = INSTANCE_TYPES.get(instance_type, {})
    return int(known.get("VCpuInfo", {}).get("DefaultVCpus", 2))


def _register(environment: ComputeEnvironment, resources: dict[str, Any], region: str) -> str:
    ecs = ecs_backends[DEFAULT_ACCOUNT_ID][region]
    instances = environment.instances or [_start(environment, resources, region)]
    registered = ecs.register_container_instance(environment.ecs_name, instances[0].id)
    for amounts in (registered.registered_resources, registered.remaining_resources):
        for amount in amounts:
            if amount["name"] == "CPU":
                amount["integerValue"] = _CPU_UNITS * vcpus_of(instances[0].instance_type)
    return str(registered.container_instance_arn)


def _start(environment: ComputeEnvironment, resources: dict[str, Any], region: str) -> Any:
    named = next((each for each in resources["instanceTypes"] if each in INSTANCE_TYPES), _OPTIMAL)
    reservation = ec2_backends[DEFAULT_ACCOUNT_ID][region].run_instances(
        image_id="ami-03cf127a",
        count=1,
        user_data=None,
        security_group_names=[],
        instance_type=named,
        region_name=region,
        subnet_id=resources["subnets"][0],
        security_group_ids=resources.get("securityGroupIds", []),
        is_instance_type_default=False,
    )
    # moto terminates it together with the environment.
    environment.add_instance(reservation.instances[0])
    return reservation.instances[0]
