"""The image holds what the job definition runs, and nothing else of the project is needed for it."""

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

from tasks.batch.definition import COMMAND
from tasks.container.exit_codes import ExitCode

ROOT = Path(settings.BASE_DIR)
LINES = (ROOT / "worker_image" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def arguments(instruction: str) -> list[str]:
    """What follows each such instruction."""
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{instruction} ")]


def copied() -> list[tuple[str, str]]:
    """Source and target of each COPY."""
    pairs = [tuple(each.split()) for each in arguments("COPY")]
    return [(source, target) for source, target in pairs]


def ignored(path: str) -> bool:
    """Does .dockerignore keep this path out? The last fitting line decides, as Docker has it."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = path.split("/")
        heads = ["/".join(parts[: length + 1]) for length in range(len(parts))]
        names = parts if "**/" in line else heads
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            out = not line.startswith("!")
    return out


def test_image_runs_the_definitions_program_when_no_command_is_given() -> None:
    (command,) = arguments("CMD")
    assert tuple(json.loads(command)) == COMMAND[:3]
    assert arguments("ENTRYPOINT") == []


def test_image_installs_only_what_has_a_known_hash_and_runs_without_root() -> None:
    installs = [line for line in arguments("RUN") if "pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "requirements.txt" in installs[0]
    assert arguments("USER") == ["batchreel"]


def test_build_context_has_the_code_and_no_local_state() -> None:
    assert all(not ignored(source) for source, _ in copied())
    assert not ignored("tasks/container/__main__.py")
    for path in (
        ".local/test/postgres",
        ".git/config",
        "project/local/stack.py",
        "tests/waiting.py",
        "tasks/__pycache__/x",
    ):
        assert ignored(path), path


@pytest.mark.django_db(transaction=True)
def test_container_program_starts_when_only_the_copied_paths_are_there(
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
        [sys.executable, *COMMAND[1:3], str(uuid.uuid4()), "1"],
        cwd=tmp_path,
        env={**program_environment, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == ExitCode.JOB_NOT_FOUND, ran.stderr
    assert "JOB_NOT_FOUND" in ran.stdout + ran.stderr


def test_container_program_says_how_it_is_used_when_it_gets_no_job() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_JOB_")}
    ran = subprocess.run(
        [sys.executable, *COMMAND[1:3]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == ExitCode.USAGE
    assert "usage: python -m tasks.container" in ran.stderr
