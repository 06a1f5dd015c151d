"""The job definition, rendered from code.

It is compared with the one in AWS, and registered again only after a change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .. import APP
from ..conf import BridgeSettings

PROGRAM = ("python", "-m", f"{APP}.container")
"""The container program, unless the site's image starts it otherwise (`container_command`)."""

_PROGRAM_MODULE = re.compile(rf"(?<![\w.]){re.escape(APP)}\.container(?![\w.])")

_RUN_MODULE = re.compile(r"(?<!\S)-m\s+([\w.]+)")

PARAMETERS = ("Ref::job_id", "Ref::attempt")
"""The program's arguments. `Ref::` names refer to SubmitJob's parameters."""

SCRATCH_DIR = "/scratch"
"""The directory that worker_image/Dockerfile lets the program write to: sources, and segments until they are stored."""


def command_with(module: str, conf: BridgeSettings) -> list[str]:
    """Return the command that starts another module of ours as the container program is started.

    That is `container_command` with the module at its end, or in a shell's line, replaced. A command
    that does not name the module, such as a script of the image, cannot be changed so: then the module
    is run by the `python` of the image.
    """
    command = list(conf.container_command or PROGRAM)
    for place in reversed(range(len(command))):
        if _PROGRAM_MODULE.search(command[place]):
            command[place] = _PROGRAM_MODULE.sub(module, command[place])
            return command
    return [*PROGRAM[:-1], module]


def module_of(command: Sequence[str]) -> str:
    """Return the Python module that a command runs, directly or in a shell's line; empty if there is none."""
    found = _RUN_MODULE.findall(" ".join(command))
    return str(found[-1]) if found else ""


def parameters(*, job_id: str, attempt: int) -> dict[str, str]:
    """Return the parameters of one SubmitJob."""
    return {"job_id": job_id, "attempt": str(attempt)}


def environment(*, job_id: str, attempt: int) -> dict[str, str]:
    """Return the same values as environment variables, for people who inspect a container."""
    return {"VIDEO_JOB_ID": job_id, "VIDEO_JOB_ATTEMPT": str(attempt)}


def tags(*, video_id: str, job_id: str) -> dict[str, str]:
    """Return the tags of one Batch job, by which AWS's bill can be divided (docs/costs.md).

    The definition copies them to the ECS task, which is what AWS divides the machine's price among.
    """
    return {"video": video_id, "job": job_id}


def render(conf: BridgeSettings, *, region: str) -> dict[str, Any]:
    """Return the arguments of RegisterJobDefinition.

    Batch itself makes one attempt only: the bridge retries, because it can tell why an attempt
    ended and whether it counts.
    """
    container: dict[str, Any] = {
        "image": conf.image,
        "command": [*(conf.container_command or PROGRAM), *PARAMETERS],
        "environment": [
            *(
                [{"name": "DJANGO_SETTINGS_MODULE", "value": module}]
                if (module := conf.container_settings_module)
                else []
            ),
            {"name": "LOG_FORMAT", "value": "json"},
        ],
        "secrets": [{"name": name, "valueFrom": arn} for name, arn in sorted(conf.secrets.items())],
        "resourceRequirements": [
            {"type": "VCPU", "value": str(conf.vcpus)},
            {"type": "MEMORY", "value": str(conf.memory_mib)},
        ],
        # The program is process 1 and hides its environment. An init process above it would have the
        # same environment and user, and show it to every decoder.
        "linuxParameters": {"initProcessEnabled": False},
        # The program writes to one directory only. Docker removes a volume without a source path
        # together with the container.
        "readonlyRootFilesystem": True,
        "volumes": [{"name": "scratch", "host": {}}],
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": SCRATCH_DIR, "readOnly": False}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": conf.log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": conf.job_name_prefix,
            },
        },
    }
    if conf.job_role_arn:
        container["jobRoleArn"] = conf.job_role_arn
    if conf.execution_role_arn:
        container["executionRoleArn"] = conf.execution_role_arn
    return {
        "jobDefinitionName": conf.job_definition,
        "type": "container",
        "parameters": {"job_id": "", "attempt": ""},
        "retryStrategy": {"attempts": 1},
        "timeout": {"attemptDurationSeconds": conf.attempt_timeout_s},
        "containerProperties": container,
        "platformCapabilities": ["EC2"],
        "propagateTags": True,
    }
