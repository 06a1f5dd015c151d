"""Real Docker containers for the local AWS Batch: `docker run` arguments stricter than in production.

LOCAL_BATCH_DOCKER_IMAGE names the image that runs in Docker. Jobs with any other image run as local
processes.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from project.local.batch.job import BatchJob

DOCKER_FAILED_EXIT_CODE = 125
"""`docker run` itself failed, not its command (docs.docker.com, "docker run", exit status)."""

_HOST_VARIABLES = frozenset(
    [
        *("HOME", "HOSTNAME", "LANG", "LOGNAME", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "TMPDIR", "USER"),
        *("LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "VIRTUAL_ENV"),
    ]
)
"""Variables for which the image has its own values."""
_HOST_FILE_SUFFIXES = ("CERT", "CA_BUNDLE", "_CERTS")

_REMOVE_LIMIT_S = 30.0


def container_name(job: BatchJob) -> str:
    """Return the Docker name of the job's container."""
    return f"batchreel-{job.job_id}"


def docker_command(job: BatchJob, environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs the job's image."""
    submission = job.submission
    return docker_run(
        *(submission.image, *submission.command),
        name=container_name(job),
        environment=environment,
        memory_mib=submission.memory_mib,
    )


def docker_run(
    image: str, *command: str, name: str, environment: Mapping[str, str], memory_mib: int | None = None
) -> list[str]:
    """Return the command that runs an image with the strictest settings ours supports, on the host network.

    The command contains only the names of variables: Docker's client reads the values from its own
    environment, which must be `environment`.
    """
    variables = [each for each in environment if each not in _HOST_VARIABLES and not each.endswith(_HOST_FILE_SUFFIXES)]
    return [
        *("docker", "run", "--rm", "--init=false", "--name", name, "--network", "host"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *(() if memory_mib is None else ("--memory", f"{memory_mib}m")),
        *(part for each in sorted(variables) for part in ("--env", each)),
        *(image, *command),
    ]


def remove_container(job: BatchJob) -> None:
    """Kill and remove the job's container, if it still exists."""
    subprocess.run(
        ["docker", "rm", "--force", "--volumes", container_name(job)],  # noqa: S607 - wherever Docker is installed
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_REMOVE_LIMIT_S,
    )
