"""`scripts/stack`: the local stack for a site of your own, whose packages may have the names of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from project.local.environment import SHORT_PERIODS
from project.local.stack import STACK_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "stack"

REPORT = """
import json, os, sys
import project, tasks, vendored
def report():
    found = {"python": sys.executable, "folder": os.getcwd(), "path": sys.path, "variables": dict(os.environ)}
    return json.dumps(found | {each.__name__: each.__file__ for each in (project, tasks, vendored)})
"""
COMMAND = """
import boto3, os, report
print(report.report())
os.mkfifo("container")
batch = boto3.client("batch")
batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties={
    "image": "i", "command": ["python", "-c", "import report; open('container', 'w').write(report.report())"],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]})
batch.submit_job(jobName="j", jobQueue=os.environ["VIDEO_BATCH_JOB_QUEUE"], jobDefinition="d")
print(open("container").read())
"""
"""Prints a report of its own, then that of a container, once it writes it."""


class Site:
    """A site with packages `project` and `tasks`, and a virtual environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a site"
        for name in ("project", "tasks"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "__init__.py").touch()
        (self.folder / "report.py").write_text(REPORT)
        (folder / "elsewhere").mkdir()
        (folder / "elsewhere" / "vendored.py").touch()
        (folder / "elsewhere" / "celery.py").write_text("raise RuntimeError('the stack imported it')")
        venv.create(folder / "venv", symlinks=True, with_pip=False)
        (packages,) = (folder / "venv").glob("lib/python*/site-packages")
        # boto3 for the command. Nothing of this project is among the test run's packages.
        packages.joinpath("packages.pth").write_text(next(each for each in sys.path if each.endswith("site-packages")))
        self.python = folder / "venv" / "bin" / "python"
        self.environment = {
            "PATH": os.pathsep.join([str(self.python.parent), os.defpath]),
            "PYTHONPATH": str(folder / "elsewhere"),
            "HOME": str(folder),
        }

    def run(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run code with `python` of PATH in the stack, by the command of scripts/stack."""
        command = [sys.executable, "-E", "-s", "-m", "project.local", "site", "python", "-c", code]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment, "CALLER_DIR": str(self.folder), **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def servers() -> dict[str, str]:
    """Return servers of the test run, to save the seconds of starting others."""
    return {name: os.environ[name] for name in STACK_VARIABLES if name != "AWS_ENDPOINT_URL"}


def test_site_and_containers_run_its_own_code_when_its_packages_have_our_names(
    site: Site, servers: dict[str, str]
) -> None:
    ran = site.run(COMMAND, **servers)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    reports: list[dict[str, Any]] = list(map(json.loads, ran.stdout.splitlines()))
    assert len(reports) == 2
    for found in reports:
        assert found["python"] == str(site.python)
        assert found["folder"] == str(site.folder)
        assert not [each for each in found["path"] if Path(each) == ROOT]
        assert found["tasks"] == str(site.folder / "tasks" / "__init__.py")
        assert found["project"] == str(site.folder / "project" / "__init__.py")
        assert found["vendored"] == f"{site.environment['PYTHONPATH']}/vendored.py"
        assert not {"DJANGO_SETTINGS_MODULE", "CALLER_DIR", "SECRET_KEY", "MEDIA_ROOT"} & found["variables"].keys()
    variables = reports[0]["variables"]
    assert variables.items() >= {**site.environment, **servers}.items()
    assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert (variables["VIDEO_BATCH_JOB_QUEUE"], variables["AWS_ACCESS_KEY_ID"]) == ("batchreel", "local")
    assert json.loads(variables["BATCHREEL"]) == SHORT_PERIODS
    assert (site.folder / ".local" / "stack" / "aws.log").exists()


def test_variables_of_the_site_are_kept_when_they_are_set_already(site: Site, servers: dict[str, str]) -> None:
    given = {
        **servers,
        "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
        "BATCHREEL": '{"vcpus": 2}',
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
    }
    ran = site.run("import report; print(report.report())", **given)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["variables"].items() >= given.items()
    assert ran.stderr.splitlines() == [
        f"{name} is set already and is kept: no server is started in its place." for name in STACK_VARIABLES
    ]


@pytest.fixture
def called(tmp_path: Path) -> Callable[..., str]:
    """Return a callable that runs scripts/stack of a clone whose Python prints how it is called."""
    clone = tmp_path / "a clone"
    (clone / "scripts").mkdir(parents=True)
    (clone / "scripts" / "stack").write_text(SCRIPT.read_text())
    (clone / "scripts" / "setup.sh").write_text("venv=.local/venv\nset_up_python() { PATH=changed; echo installed; }\n")
    (clone / ".local" / "venv" / "bin").mkdir(parents=True)
    python = clone / ".local" / "venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s|" "$@" "$PATH" "${PYTHONPATH-unset}" "$CALLER_DIR" "$PWD"\n')
    python.chmod(0o755)

    def call(*arguments: str, **environment: str) -> str:
        ran = subprocess.run(
            ["sh", str(clone / "scripts" / "stack"), *arguments],  # noqa: S607 - the shell of this machine
            cwd=tmp_path,
            env={"PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return ran.stdout

    return call


def test_script_changes_no_variable_of_the_command_when_it_starts_the_stack(
    called: Callable[..., str], tmp_path: Path
) -> None:
    arguments = "-E|-s|-m|project.local|site|sh|-c|true "
    ends = f"{tmp_path}|{tmp_path / 'a clone'}|"
    assert called("sh", "-c", "true ") == f"{arguments}|{os.defpath}|unset|{ends}"
    assert called("sh", "-c", "true ", PYTHONPATH="mine") == f"{arguments}|{os.defpath}|mine|{ends}"
