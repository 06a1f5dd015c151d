"""The time limit of an event: it ends code that hangs, and nothing after its block."""

from __future__ import annotations

import signal
import time

import pytest

from tasks.listener import EventTimeoutError, time_limit


def test_block_is_interrupted_when_it_takes_too_long() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(EventTimeoutError), time_limit(0.05):
        signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before


def test_alarm_does_nothing_when_it_comes_as_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGALRM)
    set_timer, calls = signal.setitimer, []

    def alarm_first(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        calls.append(seconds)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGALRM)
            time.monotonic()  # a call, at which Python handles signals
        return set_timer(which, seconds, interval)

    monkeypatch.setattr("tasks.listener.signal.setitimer", alarm_first)
    with time_limit(60):
        pass
    assert len(calls) == 2
    assert signal.getsignal(signal.SIGALRM) is before
