"""Slides for ten minutes: whether each is shown at its time, and whether the last one is whole."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from fidelity.encoded import encode, run_ffmpeg
from fidelity.small_changes import CODECS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fidelity.encoded import Encoded

RATE = 30
SLIDE_S = 7
CHANGED_LEVELS = 20
"""Less than the mean brightness of a slide differs from that of the one before."""
_WIDTH_PX, _HEIGHT_PX = 64, 36


@dataclass(frozen=True)
class Slides:
    """What became of the slides of one source, in its largest rung."""

    codec: str
    due: int
    """Changes in the source."""
    shown: int
    """Changes in the output."""
    worst_ms: float
    """Largest distance between a change in the source and the same one in the output."""
    source_s: float
    output_s: float
    """When the last segment ends."""
    last_segment_s: float
    last_frame_levels: float
    """Mean difference of luma between the last frame of the source and of the output."""


def measured_slides(codecs: list[str], *, length_s: float, checkout: Path, folder: Path) -> Iterator[Slides]:
    """Yield what became of slides of 7 s each, for each way of encoding the source."""
    for codec in codecs:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source = _make_slides(Path(place, "source.mkv"), codec, length_s=length_s)
            yield _measure(codec, encode(source, Path(place, "output"), checkout=checkout), length_s)


def _make_slides(path: Path, codec: str, *, length_s: float) -> Path:
    slides = f"testsrc2=s=640x360:r=1/{SLIDE_S},fps={RATE}"
    darker = f"drawbox=x=0:y=0:w=iw:h=ih:t=fill:c=black@0.4:enable='mod(floor(n/{RATE * SLIDE_S}),2)'"
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", f"{slides},{darker},format=yuv420p", "-t", str(length_s)),
            *("-c:v", *CODECS[codec], "-threads", "1", str(path)),
        ]
    )
    return path


def _measure(codec: str, done: Encoded, length_s: float) -> Slides:
    due, shown = (_frames(done, of_source=of_source) for of_source in (True, False))
    changes_due, changes_shown = _changes_s(due), _changes_s(shown)
    errors_s = [abs(one - other) for one, other in zip(changes_due, changes_shown, strict=False)]
    entry = [entry for entry in done.manifest["objects"] if entry["rung"] == done.rungs[0]["name"]][-1]
    _, _, start_ticks, duration_ticks = entry["segments"][-1]
    return Slides(
        codec,
        len(changes_due),
        len(changes_shown),
        1000 * max(errors_s, default=0),
        length_s,
        (start_ticks + duration_ticks) / entry["timescale"],
        duration_ticks / entry["timescale"],
        fmean(abs(one - other) for one, other in zip(due[-1], shown[-1], strict=True)),
    )


def _frames(done: Encoded, *, of_source: bool) -> list[bytes]:
    """Return small grey images of what is shown in each frame period, for as long as the source or the output lasts."""
    path = done.source if of_source else done.joined(done.rungs[0]["name"])
    size, rate = "{width_px}:{height_px}".format(**done.rungs[0]), Fraction(RATE)
    clock = done.source_filter(size, rate) if of_source else done.output_filter(rate)
    small = f"{clock},extractplanes=y,scale={_WIDTH_PX}:{_HEIGHT_PX}:flags=area"
    raw = run_ffmpeg(["-i", str(path), "-vf", small, "-fps_mode", "passthrough", "-f", "rawvideo", "-"])
    size = _WIDTH_PX * _HEIGHT_PX
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def _changes_s(frames: list[bytes]) -> list[float]:
    levels = [sum(frame) / len(frame) for frame in frames]
    pairs = enumerate(itertools.pairwise(levels), start=1)
    return [at / RATE for at, (before, after) in pairs if abs(after - before) > CHANGED_LEVELS]


def slide_table(found: list[Slides]) -> str:
    """Return a row for each source."""
    header = (
        f"{'source':<17} {'changes':>8} {'shown':>6} {'worst ms':>9} {'source s':>9} {'output s':>9}"
        f" {'last segment s':>15} {'last frame differs by':>22}"
    )
    lines = [header]
    lines += [
        f"{each.codec:<17} {each.due:>8} {each.shown:>6} {each.worst_ms:>9.1f} {each.source_s:>9.3f}"
        f" {each.output_s:>9.3f} {each.last_segment_s:>15.3f} {each.last_frame_levels:>15.2f} levels"
        for each in found
    ]
    return "\n".join(lines)
