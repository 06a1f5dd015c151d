"""Progress of a run for the terminal: share done, speed, and time left."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import UnitKey
    from .local_run import LocalRun

_AUDIO_COST_PX = 1_000_000
"""Pixels that cost as much to encode as a second of audio: measured, 0.015 CPU s against 17e-9 CPU s per pixel."""

_MIN_SHARE_FOR_ETA = 0.02
"""A smaller share of the work gives no useful estimate of the remainder."""


class ProgressLine:
    """A live line with a bar on a terminal; elsewhere a line for every tenth of the work."""

    def __init__(self, run: LocalRun, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Count what an earlier run finished as done, but not towards this run's speed."""
        plan = run.plan
        self._stream, self._clock, self._live = stream, clock, stream.isatty()
        self._lock = threading.Lock()
        video_cost = float(plan.rate) * sum(rung.width_px * rung.height_px for rung in plan.rungs)
        self._cost = {unit: _AUDIO_COST_PX if isinstance(unit, str) else video_cost for unit in run.units()}
        self._length_s = {unit: run.length_s(unit) for unit in run.units()}
        self._done_s = {
            unit: length_s if run.resumed and run.finished(unit) else 0.0 for unit, length_s in self._length_s.items()
        }
        self._media_s = plan.duration_s
        self._total = sum(self._cost[unit] * length_s for unit, length_s in self._length_s.items())
        self._began, self._share_before, self._media_before_s = clock(), self._share(), self._media_done_s()
        self._tenth = int(self._share_before * 10)

    def advance(self, unit: UnitKey, done_s: float) -> None:
        """Record `done_s` seconds of media done in `unit`. May be called from any thread."""
        with self._lock:
            self._done_s[unit] = min(self._length_s[unit], max(done_s, self._done_s[unit]))
            share = self._share()
            if self._live:
                width = max(10, min(40, shutil.get_terminal_size().columns - 50))
                self._stream.write(f"\r{'█' * int(share * width):░<{width}} {self._text(share)}\033[K")
            elif int(share * 10) > self._tenth:
                self._tenth = int(share * 10)
                self._stream.write(f"{self._text(share)}\n")
            self._stream.flush()

    def end(self) -> None:
        """End the live line."""
        if self._live:
            self._stream.write("\n")

    def _share(self) -> float:
        return sum(self._cost[unit] * done_s for unit, done_s in self._done_s.items()) / self._total

    def _media_done_s(self) -> float:
        """Return the seconds done of the video, or of the audio if there is no video."""
        video = [done_s for unit, done_s in self._done_s.items() if not isinstance(unit, str)]
        return sum(video) if video else sum(self._done_s.values())

    def _text(self, share: float) -> str:
        elapsed_s = max(1e-6, self._clock() - self._began)
        speed = (self._media_done_s() - self._media_before_s) / elapsed_s
        text = f"{share:4.0%}  time={_clock_text(self._media_done_s())} of {_clock_text(self._media_s)}"
        if not speed:
            # This run has encoded only audio so far, which does not show the speed of video.
            return text
        text += f"  speed={speed:.3g}x"
        done = share - self._share_before
        if share < 1 and done >= _MIN_SHARE_FOR_ETA:
            text += f"  ETA {_clock_text((1 - share) * elapsed_s / done)}"
        return text


def _clock_text(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
