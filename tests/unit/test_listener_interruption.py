"""SIGTERM ends the listener's wait, even if Python discards the first exception that it raises."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tasks.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

WAIT_S = 4


class SendsSigtermAsItIsFreed:
    """Python discards whatever its finalizer raises, and only reports it."""

    def __del__(self) -> None:
        """Send SIGTERM to this process."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.monotonic()  # a call, at which Python handles signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_wait_is_interrupted_again_when_the_first_interruption_was_discarded(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = ""
    discarded: list[object] = []
    waited_to_the_end: list[float] = []

    def sleep(_seconds: float) -> None:
        SendsSigtermAsItIsFreed()
        # A long poll that nobody answers.
        ours, others = socket.socketpair()
        with ours, others:
            ours.settimeout(WAIT_S)
            with suppress(TimeoutError):
                ours.recv(1)
        waited_to_the_end.append(WAIT_S)

    monkeypatch.setattr(sys, "unraisablehook", lambda found: discarded.append(found.exc_type))
    monkeypatch.setattr("tasks.listener.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    Listener(health_file=tmp_path / "health").run()
    assert len(discarded) == 1
    assert waited_to_the_end == []
