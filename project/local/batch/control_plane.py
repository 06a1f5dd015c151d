"""The job plane's access to moto's Batch control plane: queues, their compute environments, job definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.batch.models import BatchBackend, batch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from project.local.batch.errors import reject
from project.local.batch.machines import Machines

if TYPE_CHECKING:
    from threading import RLock

ACCOUNT_ID: str = DEFAULT_ACCOUNT_ID


@dataclass(frozen=True, slots=True)
class Queue:
    """A snapshot of a job queue."""

    arn: str
    name: str
    region: str
    enabled: bool = field(compare=False)


@dataclass(frozen=True, slots=True)
class Compute:
    """A compute environment of a queue, with the total vCPUs that its running containers may use."""

    arn: str
    max_vcpus: float
    cluster: str = ""
    """Name of its ECS cluster."""
    machine_arn: str = ""
    """ARN of the container instance that its containers run on; empty for Fargate."""


class ControlPlane:
    """Reader for moto's state. moto has no lock, so reads hold the one that also covers moto's own requests."""

    def __init__(self, moto_lock: RLock) -> None:
        self._moto_lock = moto_lock
        self._machines = Machines()

    def queue(self, region: str, identifier: str) -> Queue:
        """Return the queue with this name or ARN. Raises ClientException if there is none."""
        with self._moto_lock:
            found = _backend(region).get_job_queue(identifier)
            if found is None:
                reject(f"JobQueue {identifier} not found.")
            return Queue(arn=found.arn, name=found.name, region=region, enabled=found.state == "ENABLED")

    def compute(self, queue: Queue) -> list[Compute]:
        """Return the queue's enabled compute environments in order, or none if the queue was deleted."""
        with self._moto_lock:
            found = _backend(queue.region).get_job_queue_by_arn(queue.arn)
            return [
                Compute(
                    arn=environment.arn,
                    max_vcpus=float(environment.compute_resources["maxvCpus"]),
                    cluster=environment.ecs_name or "",
                    machine_arn=self._machines.of(environment, region=queue.region),
                )
                for environment in (found.environments if found else ())
                if environment.state != "DISABLED" and environment.compute_resources
            ]

    def definition(self, region: str, identifier: str) -> dict[str, Any]:
        """Return the active definition with this ARN or `name:revision`, or the latest active one of this name.

        Raises ClientException with AWS's message if there is none.
        """
        with self._moto_lock:
            known = _backend(region).describe_job_definitions(status="ACTIVE")
            fitting = [
                definition
                for definition in known
                if identifier in {definition.arn, definition.name, f"{definition.name}:{definition.revision}"}
            ]
            if not fitting and identifier.startswith("arn:"):
                reject(f"JobDefinition {identifier} not found.")
            if not fitting:
                reject(f"JobDefinition name {identifier} does not exist or is not in ACTIVE status")
            return max(fitting, key=lambda definition: definition.revision).describe()


def _backend(region: str) -> BatchBackend:
    return batch_backends[ACCOUNT_ID][region]
