"""AWS Batch checks: the job queue, its compute environments, and the job definition."""

from __future__ import annotations

import importlib.util
import shlex
from typing import TYPE_CHECKING

from ...batch.control import (
    DefinitionName,
    describe_compute_environments,
    describe_definition,
    describe_queue,
    error_line,
    region,
    suggested_fix,
)
from ...batch.definition import PARAMETERS, module_of, render
from ...batch.definition_diff import differences
from ...batch.errors import BatchError
from ...conf import bridge_settings
from ..finding import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...batch.control import ComputeEnvironment
    from ..finding import Finding

REGISTER = "Run `manage.py register_job_definition`."


def check_queues() -> Iterator[Finding]:
    """Yield one finding for each queue and one for each compute environment."""
    conf = bridge_settings()
    if not conf.job_queue:
        yield failed("queue", "VIDEO_BATCH_JOB_QUEUE is not set.", fix="Set it to the name of the AWS Batch job queue.")
        return
    names: list[str] = []
    for queue in conf.queues:
        yield from _queue(queue, names)
    part = "compute"
    try:
        environments = describe_compute_environments(list(dict.fromkeys(names)))
    except BatchError as error:
        yield unknown(part, f"{error_line(error)}.", fix=suggested_fix(error))
        return
    for environment in environments:
        yield _compute(environment, vcpus=conf.vcpus)


def _queue(name: str, environments: list[str]) -> Iterator[Finding]:
    """Yield the findings for a queue, and append the names of its compute environments."""
    try:
        queue = describe_queue(name)
    except BatchError as error:
        yield unknown("queue", f"{error_line(error)}.", fix=suggested_fix(error))
        return
    if queue is None:
        text = f"AWS Batch has no queue {name} in {region()}."
        yield failed(
            "queue",
            text,
            fix="Correct VIDEO_BATCH_JOB_QUEUE, or the variable of the queue for helpers or On-Demand, or the region, or"
            " create the queue.",
        )
        return
    yield _enabled_and_valid("queue", queue.name, state=queue.state, status=queue.status, reason=queue.status_reason)
    environments.extend(queue.compute_environments)
    if not queue.compute_environments:
        yield failed("compute", f"The queue {name} has no compute environment.", fix="Add one to the queue.")


def check_definition() -> Iterator[Finding]:
    """Yield one finding for the registered definition and one for its command."""
    conf = bridge_settings()
    if not conf.job_definition:
        yield failed("definition", "VIDEO_BATCH_JOB_DEFINITION is not set.", fix="Set it to the job definition's name.")
        return
    wanted = DefinitionName.parse(conf.job_definition)
    try:
        registered = describe_definition(wanted)
        rendered = render(conf, region=region()) | {"jobDefinitionName": wanted.name}
    except BatchError as error:
        yield unknown("definition", f"{error_line(error)}.", fix=suggested_fix(error))
        return
    if registered is None:
        yield failed("definition", f"AWS Batch has no active job definition {conf.job_definition}.", fix=REGISTER)
        return
    name = f"{wanted.name}:{registered['revision']}"
    found = differences(registered=registered, rendered=rendered)
    if found:
        paths = ", ".join(each.path for each in found)
        yield failed("definition", f"{name} differs from what the code renders: {paths}.", fix=REGISTER)
    else:
        yield ok("definition", f"{name} matches what the code renders.")
    yield _command(registered.get("containerProperties", {}).get("command", []))


def _enabled_and_valid(part: str, name: str, *, state: str, status: str, reason: str) -> Finding:
    if state != "ENABLED":
        return failed(part, f"{name} is {state}.", fix="Enable it in AWS Batch.")
    text = f"{name} is {status or 'without status'}: {reason or 'AWS gives no reason'}."
    if status in {"CREATING", "UPDATING"}:
        advice = "Wait. An update of the machines takes until the last container on the old ones has ended."
        return warning(part, text, fix=advice)
    if status != "VALID":
        return failed(part, text, fix="Fix the cause that AWS reports.")
    return ok(part, f"{name} is ENABLED and VALID.")


def _compute(environment: ComputeEnvironment, *, vcpus: int) -> Finding:
    if environment.max_vcpus is not None and environment.max_vcpus < vcpus:
        return failed(
            "compute",
            f"{environment.name} has at most {environment.max_vcpus} vCPUs, but a container requires {vcpus}: none can start.",
            fix="Raise its maxvCpus, or lower BATCHREEL['vcpus'] and register the job definition.",
        )
    return _enabled_and_valid(
        "compute",
        environment.name,
        state=environment.state,
        status=environment.status,
        reason=environment.status_reason,
    )


def _command(command: Sequence[str]) -> Finding:
    """Check that this code has the module that the container's command runs.

    An image older than its command was a real incident. What else the command names is in the image.
    """
    shown, module = shlex.join(command) or "An empty command", module_of(command)
    if not module and command and list(command) == [*bridge_settings().container_command, *PARAMETERS]:
        return ok("command", f"{shown}: it names no Python module, so only `doctor --from-batch` can check it.")
    if not module:
        return failed("command", f"{shown} runs no Python module.", fix=REGISTER)
    try:
        importable = importlib.util.find_spec(f"{module}.__main__") or importlib.util.find_spec(module)
    except ModuleNotFoundError:
        importable = None
    if importable is None:
        return failed("command", f"{shown}: this code has no module {module}.", fix=REGISTER)
    return ok("command", f"{shown}: this code has its module.")
