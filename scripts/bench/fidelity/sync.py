"""A flash and a beep every minute for three hours, with stills between: how far apart the output has them."""

from __future__ import annotations

import array
import itertools
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.encoded import encode, run_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fidelity.encoded import Encoded

RATES = {"25": "25", "29.97": "30000/1001", "variable": "30"}
"""By name: frames per second. Of the last, 8 frames a second arrive, at uneven distances."""
_UNEVEN = ",select='lt(mod(n*2654435761,4294967296)/4294967296,8/30)'"

PERIOD_S = 60
FIRST_S = 30
_BEEP_S = 0.25
_AUDIO_HZ = 8000
"""Of the decoded audio in which beeps are searched."""
_LOUD = 2000
_WHITE = 128
_QUIET_S = 1


@dataclass(frozen=True)
class Sync:
    """One source: how its flashes and beeps come out."""

    rate: str
    pairs: int
    """Of a flash and a beep, in the output."""
    lost: int
    largest_ms: float
    """Largest |audio - video| of a pair, less what they are apart in the source."""
    drift_ms: float
    """Mean of the last tenth of the pairs less that of the first."""
    frame_ms: float
    """Frame period of the output."""


def measured_sync(rates: list[str], *, length_s: int, checkout: Path, folder: Path) -> Iterator[Sync]:
    """Yield the offsets of one source of each rate."""
    for rate in rates:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source = _make_source(Path(place, "source.mkv"), rate, length_s=length_s)
            done = encode(source, Path(place, "output"), checkout=checkout, profile="fast")
            yield _measure(rate, done)


def _make_source(path: Path, rate: str, *, length_s: int) -> Path:
    is_on = f"between(mod(t,{PERIOD_S}),{FIRST_S},{FIRST_S + 1})"
    image = f"color=black:s=64x36:r={RATES[rate]}{_UNEVEN if rate == 'variable' else ''}"
    flash = f"{image},drawbox=x=0:y=0:w=iw:h=ih:t=fill:c=white:enable='{is_on}',format=yuv420p"
    is_loud = f"between(mod(t,{PERIOD_S}),{FIRST_S},{FIRST_S + _BEEP_S})"
    beep = f"aevalsrc='{is_loud}*sin(2*PI*1000*t)*0.5':s=48000"
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep, "-t", str(length_s), "-fps_mode", "passthrough"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "flac", str(path)),
        ]
    )
    return path


def _measure(rate: str, done: Encoded) -> Sync:
    first_s = float(done.plan["first_pts"] * Fraction(done.plan["time_base"]))
    source_rate = Fraction(RATES[rate])
    size = "{width_px}:{height_px}".format(**done.rungs[0])
    due = _pairs(_flashes_s(done.source, done.source_filter(size, source_rate), source_rate), _beeps_s(done.source))
    shown_flashes_s = _flashes_s(done.joined(done.rungs[0]["name"]), done.output_filter(), done.rate)
    shown = _pairs(shown_flashes_s, _beeps_s(done.joined("audio")))
    # How much later the audio is than the video.
    due_s = [beep - first_s - flash for flash, beep in due]
    off_s = [beep - flash - due for (flash, beep), due in zip(shown, due_s, strict=False)]
    tenth = max(1, len(off_s) // 10)
    return Sync(
        rate,
        len(shown),
        len(due) - len(shown),
        1000 * max(map(abs, off_s)),
        1000 * (sum(off_s[-tenth:]) - sum(off_s[:tenth])) / tenth,
        float(1000 / done.rate),
    )


def _pairs(flashes_s: list[float], beeps_s: list[float]) -> list[tuple[float, float]]:
    """Return when each flash and each beep begins. Raises ValueError if one is missing."""
    return list(zip(flashes_s, beeps_s, strict=True))


def _flashes_s(path: Path, on_clock: str, rate: Fraction) -> list[float]:
    """Return when the image becomes white; `on_clock` are filters that show `rate` frames a second."""
    small = f"{on_clock},extractplanes=y,scale=1:1:flags=area"
    levels = run_ffmpeg(
        ["-i", str(path), "-vf", small, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    )
    pairs = enumerate(itertools.pairwise(levels), start=1)
    return [float(at / rate) for at, (before, after) in pairs if before < _WHITE <= after]


def _beeps_s(path: Path) -> list[float]:
    """Return when each tone begins, on the file's own clock."""
    raw = run_ffmpeg(["-i", str(path), "-map", "0:a", "-ac", "1", "-ar", str(_AUDIO_HZ), "-f", "s16le", "-"])
    samples = array.array("h", raw)
    loud = [at / _AUDIO_HZ for at, level in enumerate(samples) if abs(level) > _LOUD]
    return loud[:1] + [later for earlier, later in itertools.pairwise(loud) if later - earlier > _QUIET_S]


def sync_table(found: list[Sync]) -> str:
    """Return a row for each source."""
    lines = [f"{'rate':<10} {'pairs':>6} {'lost':>5} {'largest ms':>11} {'drift ms':>9} {'a frame, ms':>12}"]
    lines += [
        f"{each.rate:<10} {each.pairs:>6} {each.lost:>5} {each.largest_ms:>11.1f} {each.drift_ms:>9.1f}"
        f" {each.frame_ms:>12.1f}"
        for each in found
    ]
    return "\n".join(lines)
