"""Raw DV, as camcorders record it and programs capture it from tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.media.kinds.claps import clap, flashes
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PAL, _NTSC = ("25", (720, 576), 16 / 15, 768), ("30000/1001", (720, 480), 8 / 9, 640)
"""Rate, size as stored, shape of the pixels, and width as displayed."""
_WIDE_PAL = ("25", (720, 576), 64 / 45, 1024)
_Form = tuple[str, tuple[int, int], float, int]


def _dv(
    name: str,
    form: _Form,
    pixels: str,
    *options: str,
    audio: bool = True,
    change: Callable[[bytes], bytes] = lambda content: content,
    expected: Expected | None = None,
) -> Upload:
    rate, size, aspect, shown_px = form
    codec = ("-c:v", "dvvideo", "-pix_fmt", pixels)
    tones = ("-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2") if audio else ()

    def make(path: Path) -> None:
        clap(path, codec, tones, frames=flashes(size=size, rate=rate, pixel_aspect=aspect), extra=options)
        path.write_bytes(change(path.read_bytes()))

    height = 180
    width = round(shown_px * height / size[1] / 2) * 2
    usual = Expected(
        size=(width, height),
        rate=29.97 if "1001" in rate else float(rate),
        beeps_s=(1, 2, 3) if audio else (),
        # DVCPRO 50 always has a second track.
        warnings=("AUDIO_LEFT_OUT",) if audio and pixels == "yuv422p" else (),
        within_s=0.06,
    )
    return Upload(name, make, expected or usual)


def _dropout(content: bytes) -> bytes:
    """Return a tape of which the middle of a frame could not be read."""
    middle = len(content) * 5 // 8
    return content[:middle] + bytes(2000) + content[middle + 2000 :]


_HALF_HD = ("25", (1440, 1080), 4 / 3, 1920)
_P50 = ("50", (960, 720), 4 / 3, 1280)
_LATER = Expected(
    size=(240, 180), rate=25, duration_s=None, flashes_s=(0.96, 1.96, 2.96), beeps_s=(0.96, 1.96, 2.96), within_s=0.06
)
DV = (
    _dv("pal.dv", _PAL, "yuv420p"),
    _dv("ntsc.dv", _NTSC, "yuv411p"),
    _dv("wide pal.dv", _WIDE_PAL, "yuv420p"),
    _dv("dvcpro.dv", _PAL, "yuv411p"),
    _dv("dvcpro50 pal.dv", _PAL, "yuv422p"),
    _dv("dvcpro50 ntsc.dv", _NTSC, "yuv422p"),
    _dv("dvcpro hd, 1080.dv", _HALF_HD, "yuv422p", audio=False),
    _dv("dvcpro hd, 720.dv", _P50, "yuv422p", audio=False),
    _dv("no audio.dv", _PAL, "yuv420p", audio=False),
    # ffmpeg begins with the next whole frame.
    _dv("100,000 bytes missing.dv", _PAL, "yuv420p", change=lambda content: content[100_000:], expected=_LATER),
    _dv("the end torn.dv", _PAL, "yuv420p", change=lambda content: content[:-1000]),
    _dv("a dropout.dv", _NTSC, "yuv411p", change=_dropout),
)
