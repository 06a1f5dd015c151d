"""The job definition, rendered from code. What is registered in AWS is compared with it, and registered anew only on change."""

from __future__ import annotations

from typing import Any

from ..conf import BridgeSettings

_APP = __package__.partition(".")[0]
"""The import name of the app: `tasks` in this repository, `batchreel` where it is installed as a package."""

COMMAND = ("python", "-m", f"{_APP}.container", "Ref::job_id", "Ref::attempt")
"""What Batch runs in the container. `Ref::` names are SubmitJob's parameters."""

SCRATCH_DIR = "/scratch"
"""Where worker_image/Dockerfile lets the program write: sources and segments, until they are stored."""


def parameters(*, job_id: str, attempt: int) -> dict[str, str]:
    """The parameters of one SubmitJob."""
    return {"job_id": job_id, "attempt": str(attempt)}


def environment(*, job_id: str, attempt: int) -> dict[str, str]:
    """The same in the container's environment, for people who look into a container."""
    return {"VIDEO_JOB_ID": job_id, "VIDEO_JOB_ATTEMPT": str(attempt)}


def render(conf: BridgeSettings, *, region: str) -> dict[str, Any]:
    """The arguments of RegisterJobDefinition.

    One Batch attempt only: retrying is the bridge's, which knows why an attempt ended and what it cost.
    """
    container: dict[str, Any] = {
        "image": conf.image,
        "command": list(COMMAND),
        "environment": [
            {"name": "DJANGO_SETTINGS_MODULE", "value": "project.settings"},
            {"name": "LOG_FORMAT", "value": "json"},
        ],
        "secrets": [{"name": name, "valueFrom": arn} for name, arn in sorted(conf.secrets.items())],
        "resourceRequirements": [
            {"type": "VCPU", "value": str(conf.vcpus)},
            {"type": "MEMORY", "value": str(conf.memory_mib)},
        ],
        "linuxParameters": {"initProcessEnabled": True},
        # The program writes to one place only; a volume without a source path is Docker's own, and goes with the container.
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
