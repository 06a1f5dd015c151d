"""The lifeline in isolation: exit codes, and stops at awkward moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from project.local.servers.lifeline import COMMAND_NOT_STARTED_EXIT_CODE, lifeline_command
from tests.polling import wait_for
from tests.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_WINDOW_MS = 60
"""A lifeline and its program are running about 30 ms after the start."""


@contextmanager
def lifeline(
    *command: str, stop_signal: signal.Signals = signal.SIGTERM, grace_s: float = 10.0
) -> Iterator[subprocess.Popen[str]]:
    arguments = lifeline_command(command, stop_signal=stop_signal, grace_s=grace_s, orphan_grace_s=0)
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("script", "exit_code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_lifeline_returns_the_programs_exit_code_when_it_ends(script: str, exit_code: int) -> None:
    with lifeline("sh", "-c", script) as process:
        assert process.wait(10) == exit_code


def test_lifeline_returns_its_own_exit_code_when_the_program_is_missing() -> None:
    with lifeline("no-such-program") as process:
        assert process.wait(10) == COMMAND_NOT_STARTED_EXIT_CODE


def test_lifeline_sends_the_chosen_stop_signal_when_it_is_terminated() -> None:
    with lifeline("sh", "-c", "trap 'exit 5' INT; echo up; sleep 600 & wait", stop_signal=signal.SIGINT) as process:
        assert first_line(process) == "up"
        process.terminate()
        assert process.wait(10) == 5


def test_program_is_killed_after_the_grace_when_it_ignores_the_stop_signal() -> None:
    with lifeline("sh", "-c", "trap '' TERM; echo up; sleep 600 & wait", grace_s=0.3) as process:
        assert first_line(process) == "up"
        began = time.monotonic()
        process.terminate()
        assert process.wait(10) == 137
        assert time.monotonic() - began >= 0.3


def test_stop_signal_is_not_lost_when_it_arrives_during_the_start() -> None:
    for delay_ms in range(START_WINDOW_MS):
        with lifeline("sleep", "600") as process:
            threading.Event().wait(delay_ms / 1000)
            process.terminate()
            assert process.wait(30) in {143, -signal.SIGTERM}, delay_ms


def test_program_ends_when_the_parent_closes_the_pipe() -> None:
    with lifeline("sh", "-c", "echo up; sleep 600 & wait") as process:
        assert first_line(process) == "up"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) in {137, 143}


def test_program_ends_when_the_parent_dies_but_its_fork_keeps_the_pipe(tmp_path: Path) -> None:
    parent = f"""
import os, signal, subprocess
from project.local.servers.lifeline import lifeline_command
command = lifeline_command(["sh", "-c", "echo $$ >'{tmp_path}/program'; exec sleep 600"],
                           stop_signal=signal.SIGTERM, grace_s=0, orphan_grace_s=0)
process = subprocess.Popen(command, stdin=subprocess.PIPE)
fork = os.fork()
if fork:
    print(fork, file=open("{tmp_path}/fork", "w"), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.DEVNULL) as process:
        program_id, fork_id = (wait_for_number(tmp_path / name) for name in ("program", "fork"))
        process.kill()
    try:
        wait_for(lambda: not is_alive(program_id), limit_s=30, what="the end of the program")
        assert is_alive(fork_id)
    finally:
        os.kill(fork_id, signal.SIGKILL)


def wait_for_number(file: Path) -> int:
    return wait_for(lambda: file.exists() and int(file.read_text() or 0), what=f"a number in {file}")
