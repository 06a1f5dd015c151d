"""The image contains what the job definition runs; it needs nothing else of the project."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.conf import settings

from project.local.batch.docker_container import docker_run
from tasks.batch.definition import PROGRAM, render
from tasks.conf import BridgeSettings
from tasks.lifecycle.exit_codes import ExitCode

ROOT = Path(settings.BASE_DIR)
LINES = (ROOT / "worker_image" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
LAST_STAGE = max(number for number, line in enumerate(LINES) if line.startswith("FROM "))


def arguments(instruction: str, lines: list[str] = LINES[LAST_STAGE:]) -> list[str]:
    """Return the arguments of each such instruction, by default in the final stage."""
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{instruction} ")]


def copied(lines: list[str] = LINES[LAST_STAGE:]) -> list[tuple[str, str]]:
    """Return source and target of each COPY from the project, not from another stage."""
    pairs = [tuple(each.split()) for each in arguments("COPY", lines) if not each.startswith("--from")]
    return [(pair[-2], pair[-1]) for pair in pairs]


def ignored(path: str) -> bool:
    """Return whether .dockerignore excludes this path. The last match decides, as in Docker."""
    excluded = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = path.split("/")
        heads = ["/".join(parts[: length + 1]) for length in range(len(parts))]
        names = parts if "**/" in line else heads
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            excluded = not line.startswith("!")
    return excluded


def test_image_runs_the_container_program_when_no_command_is_given() -> None:
    (command,) = arguments("CMD")
    assert tuple(json.loads(command)) == PROGRAM
    assert arguments("ENTRYPOINT") == []


def test_program_is_process_1_when_a_container_starts() -> None:
    # An init process would have the container's environment, and not hide it.
    definition = render(BridgeSettings(), region="eu-central-1")
    assert definition["containerProperties"]["linuxParameters"] == {"initProcessEnabled": False}
    assert "--init=false" in docker_run("image", name="container", environment={})


def test_image_installs_by_hash_and_runs_without_root_when_built() -> None:
    installs = [
        line for line in arguments("RUN", LINES) if " install " in line and "pip" in line and "apt-get" not in line
    ]
    assert len(installs) == 2
    assert all("--require-hashes" in line and "--no-cache-dir" in line for line in installs)
    assert not any("pip" in line or "apt-get" in line for line in arguments("RUN"))
    assert arguments("USER") == ["batchreel"]


def test_image_has_version_and_revision_labels_when_it_is_built() -> None:
    (labels,) = arguments("LABEL")
    for name in ("version", "revision"):
        assert f'org.opencontainers.image.{name}="${{{name.upper()}}}"' in labels
    build = (ROOT / "worker_image" / "build").read_text()
    assert '--build-arg "VERSION=$version"' in build
    assert '--build-arg "REVISION=$revision"' in build


def test_build_context_excludes_local_state_when_the_image_is_built() -> None:
    sources = " ".join(each for each in arguments("COPY", LINES) if not each.startswith("--from")).split()
    assert not any(ignored(source) for source in sources if not source.startswith("./"))
    assert not ignored("tasks/container/__main__.py")
    for path in (
        ".local/test/postgres",
        ".git/config",
        "project/local/stack.py",
        "tests/polling.py",
        "tasks/__pycache__/x",
    ):
        assert ignored(path), path


@pytest.mark.django_db(transaction=True)
def test_container_program_starts_when_only_the_copied_paths_exist(
    tmp_path: Path, program_environment: dict[str, str]
) -> None:
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source,
                tmp_path / target,
                ignore=lambda folder, names: [
                    name for name in names if ignored(str((Path(folder) / name).relative_to(ROOT)))
                ],
            )
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    assert not (tmp_path / "project" / "local").exists()
    ran = subprocess.run(
        [sys.executable, *PROGRAM[1:], str(uuid.uuid4()), "1"],
        cwd=tmp_path,
        env={**program_environment, "PYTHONPATH": "", "MEDIA_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == ExitCode.JOB_NOT_FOUND, ran.stderr
    assert "JOB_NOT_FOUND" in ran.stdout + ran.stderr


def test_container_program_prints_its_usage_when_it_gets_no_job() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_JOB_")}
    ran = subprocess.run(
        [sys.executable, *PROGRAM[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == ExitCode.USAGE
    assert "usage: python -m tasks.container" in ran.stderr
