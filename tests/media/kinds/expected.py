"""What the engine must make of an upload, what it made of it, and how these differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg, on_grid
from tests.media.kinds.claps import SECONDS, SIZE_PX
from tests.media.playlist_parser import read_webvtt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.media.runs import Transcoded

_GREY, _BLACK, _WHITE = 128, 16, 235
_WIDTH_PX, _HEIGHT_PX = 64, 48
_RATE_HZ = 8000
_SILENCE_S = 0.3
_LOUD = 20
"""Of 127."""


@dataclass(frozen=True)
class Expected:
    """The output of an upload. None stands for anything."""

    duration_s: float | None = float(SECONDS)
    size: tuple[int, int] = SIZE_PX
    rate: float | None = 30
    flashes_s: tuple[float, ...] | None = (1, 2, 3)
    beeps_s: tuple[float, ...] | None = (1, 2, 3)
    """Empty if there must be no audio."""
    square: tuple[int, int] | None = (90, 90)
    """Width and height of the square in the largest rung, in pixels; may differ from flash to flash."""
    squares: tuple[tuple[int, int], ...] = ()
    """Of each flash, if they differ."""
    bars: tuple[tuple[int, int], ...] = ()
    """Dark columns and rows at each flash, if there must be any."""
    warnings: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    """Each track as `name [language] purpose`."""
    cues: tuple[str, ...] | None = None
    """Of the first track."""
    direct: bool | None = None
    """Whether viewers are offered the file itself."""
    rejected: str = ""
    """The code with which the file must be rejected."""
    within_s: float = 0.05
    """Largest difference between expected and found times: a frame and a half."""
    also: Callable[[Transcoded], Sequence[str]] = lambda _: ()
    """Returns what else is wrong."""


@dataclass(frozen=True)
class Upload:
    """One file of a kind: its name, how to make it, and what must become of it."""

    name: str
    make: Callable[[Path], object]
    """Writes the file; its argument is the path, in a folder of its own."""
    expected: Expected = Expected()


def differences(done: Transcoded, expected: Expected) -> list[str]:
    """Return what is wrong with an output, one text for each fault."""
    plan, top = done.plan, done.plan.rungs[0] if done.plan.rungs else None
    size = (top.width_px, top.height_px) if top else (0, 0)
    codes = tuple(warning.partition(" ")[0] for warning in plan.warnings)
    found: list[tuple[str, object, object]] = [("size", size, expected.size), ("warnings", codes, expected.warnings)]
    if expected.rate is not None:
        found.append(("rate", round(float(plan.rate), 2), round(expected.rate, 2)))
    if expected.direct is not None:
        found.append(("offered as it is", plan.plays_directly, expected.direct))
    tracks = tuple(
        f"{track['name']} [{track['language']}] {track['purpose']}".strip()
        for track in done.publication.manifest["captions"]
    )
    found.append(("captions", tracks, expected.captions))
    if expected.cues is not None:
        cues = read_webvtt(done.run.folder / done.publication.manifest["captions"][0]["url"]) if tracks else []
        found.append(("cues", tuple(" / ".join(cue.lines) for cue in cues), expected.cues))
    wrong = [f"{name}: {is_}, not {due}" for name, is_, due in found if is_ != due]
    wrong += _wrong_times(done, expected)
    if top and expected.flashes_s:
        wrong += _wrong_shapes(done, expected)
    return [*wrong, *expected.also(done)]


def _wrong_times(done: Transcoded, expected: Expected) -> list[str]:
    plan = done.plan
    found: list[tuple[str, Sequence[float], Sequence[float] | None]] = [
        ("length", (float(plan.duration_s),), None if expected.duration_s is None else (expected.duration_s,)),
        ("flashes", _flashes_s(done) if plan.rungs and expected.flashes_s is not None else (), expected.flashes_s),
        ("tones", _beeps_s(done) if plan.has_audio and expected.beeps_s is not None else (), expected.beeps_s),
    ]
    return [
        f"{name} at {_times(is_)} s, not {_times(due)} s"
        for name, is_, due in found
        if due is not None and not _are_near(is_, due, expected.within_s)
    ]


def _are_near(found: Sequence[float], due: Sequence[float], within_s: float) -> bool:
    return len(found) == len(due) and all(abs(a - b) <= within_s for a, b in zip(found, due, strict=True))


def _times(times_s: Sequence[float]) -> str:
    return ", ".join(f"{time_s:.2f}" for time_s in times_s) or "no"


def _flashes_s(done: Transcoded) -> list[float]:
    """Return the times at which the middle of the frame lights up."""
    middle = f"{on_grid(done.plan)},crop=8:8,scale=1:1:flags=area,format=gray"
    made = str(done.joined(done.rungs[0]))
    levels = ffmpeg("-i", made, "-vf", middle, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    lit = [level > (_GREY + _WHITE) // 2 for level in levels]
    return [at / float(done.plan.rate) for at, is_lit in enumerate(lit) if is_lit and (at == 0 or not lit[at - 1])]


def _beeps_s(done: Transcoded) -> list[float]:
    """Return the times at which the audio gets loud after a while of silence."""
    raw = ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-ar", str(_RATE_HZ), "-f", "u8", "-")
    loud = [at for at, level in enumerate(raw) if abs(level - 128) > _LOUD]
    silence = _SILENCE_S * _RATE_HZ
    return [at / _RATE_HZ for number, at in enumerate(loud) if number == 0 or at - loud[number - 1] > silence]


def _wrong_shapes(done: Transcoded, expected: Expected) -> list[str]:
    times_s = expected.flashes_s or ()
    squares = expected.squares or (expected.square,) * len(times_s)
    bars = expected.bars or ((0, 0),) * len(times_s)
    wrong = []
    for time_s, square, bar in zip(times_s, squares, bars, strict=True):
        if square is None:
            continue
        lying = _lying_at(done, time_s + 0.12)
        for name, is_, due in zip(("square", "bars"), lying, (square, bar), strict=True):
            if any(abs(a - b) > max(3, b // 30) for a, b in zip(is_, due, strict=True)):
                wrong.append(f"{name} at {time_s:.0f} s: {is_}, not {due}")
    return wrong


def _lying_at(done: Transcoded, at_s: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return width and height of the square, and the dark columns and rows, along the axes of the frame."""
    top = done.plan.rungs[0]
    frame = round(at_s * float(done.plan.rate))
    shown = f"{on_grid(done.plan)},trim=start_frame={frame}:end_frame={frame + 1},extractplanes=y"
    raw = ffmpeg("-i", str(done.joined(top.name)), "-vf", shown, "-f", "rawvideo", "-")
    row = raw[top.width_px * (top.height_px // 2) :][: top.width_px]
    column = raw[top.width_px // 2 :: top.width_px]

    def count(line: bytes) -> tuple[int, int]:
        return sum(level > (_GREY + _WHITE) // 2 for level in line), sum(
            level < (_GREY + _BLACK) // 2 for level in line
        )

    across, down = count(row), count(column)
    return (across[0], down[0]), (across[1], down[1])
