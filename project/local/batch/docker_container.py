"""A container of the local AWS Batch as a real one: the arguments of `docker run`, stricter than a production host.

Which image runs in Docker, the environment says: LOCAL_BATCH_DOCKER_IMAGE. All others are local processes.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from project.local.batch.job import BatchJob

DOCKER_FAILED_EXIT_CODE = 125
"""`docker run` itself failed, not what it was to run (docs.docker.com, "docker run", exit status)."""

_OF_THIS_MACHINE = frozenset(
    [
        *("HOME", "HOSTNAME", "LANG", "LOGNAME", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "TMPDIR", "USER"),
        *("LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "VIRTUAL_ENV"),
    ]
)
"""What the image has of its own."""
_FILES_OF_THIS_MACHINE = ("CERT", "CA_BUNDLE", "_CERTS")

_REMOVE_LIMIT_S = 30.0


def container_name(job: BatchJob) -> str:
    """The name under which Docker has the job's container."""
    return f"batchreel-{job.job_id}"


def docker_command(job: BatchJob, environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs the job's image."""
    asked = job.submission
    return docker_run(
        *(asked.image, *asked.command), name=container_name(job), environment=environment, memory_mib=asked.memory_mib
    )


def docker_run(
    image: str, *command: str, name: str, environment: Mapping[str, str], memory_mib: int | None = None
) -> list[str]:
    """Return the command that runs an image as strictly as ours can be run, in the network of this machine.

    Values stay out of it: Docker's client takes them from its own environment, which must be this one.
    """
    variables = [
        each for each in environment if each not in _OF_THIS_MACHINE and not each.endswith(_FILES_OF_THIS_MACHINE)
    ]
    return [
        *("docker", "run", "--rm", "--init", "--name", name, "--network", "host"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *(() if memory_mib is None else ("--memory", f"{memory_mib}m")),
        *(part for each in sorted(variables) for part in ("--env", each)),
        *(image, *command),
    ]


def remove_container(job: BatchJob) -> None:
    """End the job's container and remove it, where it is still there."""
    subprocess.run(
        ["docker", "rm", "--force", "--volumes", container_name(job)],  # noqa: S607 - wherever Docker is installed
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_REMOVE_LIMIT_S,
    )
