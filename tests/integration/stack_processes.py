"""Local stacks that a test starts as programs, and the processes that belong to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from project.local.stack import STACK_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_ROOT = Path(__file__).resolve().parents[2]

STAY = "import json, os, signal; print(json.dumps(dict(os.environ)), flush=True); signal.pause()"
"""Python code of a command that prints its environment in one line and then keeps running."""


class StackProcesses:
    """Starts `python -m project.local exec` on one state folder, and finds all processes that result from it."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "a state folder" / "stack"
        self._mark = str(folder).encode()
        kept = {name: value for name, value in os.environ.items() if name not in STACK_VARIABLES}
        self._environment = {**kept, "STACK_OF_TEST": str(folder)}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        """Start a stack and, in it, a Python script."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "project.local",
                "exec",
                "--state",
                self.state_dir.parent,
                "--",
                sys.executable,
                "-c",
                script,
            ],
            env={**self._environment, **environment},
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell starts its background jobs with SIGINT ignored, which would make Ctrl-C
            # untestable here.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a few instructions
        )
        self._started.append(process)
        return process

    def run(self, script: str, **environment: str) -> tuple[int, str, str]:
        """Run a Python script in a stack to its end, and return its exit code, stdout and stderr."""
        process = self.start(script, **environment)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def find(self) -> dict[int, str]:
        """Return the command lines, by process id, of processes with the folder in command line, environment or cwd."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command_line = (process / "cmdline").read_bytes()
                traces = [command_line, (process / "environ").read_bytes(), os.fsencode((process / "cwd").readlink())]
            except OSError:
                continue  # it has ended meanwhile, or belongs to another user
            if command_line and any(self._mark in trace for trace in traces):
                found[int(process.name)] = command_line.replace(b"\0", b" ").decode(errors="replace")
        return found

    def end(self) -> None:
        """Kill the remaining processes, and close the pipes."""
        for process_id in self.find():
            with suppress(ProcessLookupError):  # killing one may have ended another
                os.kill(process_id, signal.SIGKILL)
        for process in self._started:
            process.communicate(timeout=20)


def clean_environment(folder: Path) -> dict[str, str]:
    """Return this process's environment without the test run's variables, marked for `StackProcesses.find`."""
    test_run_variables = {
        *STACK_VARIABLES,
        "MEDIA_ROOT",
        "STATIC_ROOT",
        "SECRET_KEY",
        "BATCHREEL",
        "DEBUG",
        "HTTPS",
        "CALLER_DIR",
    }
    kept = {name: value for name, value in os.environ.items() if name not in test_run_variables}
    return {**kept, "STACK_OF_TEST": str(folder)}


def read_environment(process: subprocess.Popen[str]) -> Mapping[str, str]:
    """Wait for the line that STAY prints, and return the environment in it. Fails with the process's stderr."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, errors = process.communicate(timeout=20)
        raise AssertionError(errors)
    shown: dict[str, str] = json.loads(line)
    return shown
