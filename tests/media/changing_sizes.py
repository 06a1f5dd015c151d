"""Clips whose frames change their size and shape on the way, and where their pattern lies in an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.media.runs import Transcoded

RATE = 30

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "30")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-g", "30", "-x265-params", "log-level=none:bframes=0")
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "30", "-b:v", "300k")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "0", "-g", "15")
MJPEG = ("-c:v", "mjpeg", "-q:v", "3")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "30")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "30")

_PIECE_ENDINGS = {"libx264": "ts", "libx265": "ts", "mpeg2video": "ts"}
"""Containers with the parameter sets between the frames, from which any other can be copied; Matroska otherwise."""

GREY, BLACK = 128, 16


@dataclass(frozen=True)
class Piece:
    """Part of a clip: a white square in the middle of grey, half as high as the frame's shorter side as displayed."""

    width_px: int
    height_px: int
    frames: int = RATE
    pixel_aspect: float = 1
    """Width over height of a pixel."""

    @property
    def filters(self) -> str:
        """Return the lavfi source."""
        side_px = min(self.width_px * self.pixel_aspect, self.height_px) / 2
        square = (
            f"drawbox=x=(iw-w)/2:y=(ih-h)/2:w={round(side_px / self.pixel_aspect)}:h={round(side_px)}:c=white:t=fill"
        )
        return (
            f"color=0x808080:s={self.width_px}x{self.height_px}:r={RATE}:d={self.frames / RATE},"
            f"setsar={self.pixel_aspect},format=yuv420p,{square}"
        )


def join(path: Path, pieces: Sequence[Piece | str], codec: Sequence[str], *, filters: str = "null") -> Path:
    """Write the pieces, or lavfi sources, into one track without encoding them again."""
    ending = _PIECE_ENDINGS.get(codec[1], "mkv")
    names = []
    for number, piece in enumerate(pieces):
        name = path.parent / f"{path.stem}-{number}.{ending}"
        source = piece if isinstance(piece, str) else piece.filters
        ffmpeg("-f", "lavfi", "-i", source, "-vf", filters, *codec, str(name))
        names.append(name)
    listed = path.with_suffix(".list")
    listed.write_text("".join(f"file '{name}'\n" for name in names))
    form = ("-f", "vob") if path.suffix == ".mpg" else ()
    ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", *form, str(path))
    return path


@dataclass(frozen=True)
class Lying:
    """Where things are in a frame of an output, in pixels, along the middle of each axis."""

    bars: tuple[int, int]
    """At the left and right together, and at the top and bottom together."""
    square: tuple[int, int]
    """Width and height."""
    off_centre: tuple[int, int]
    """By how much the square's two margins differ: left and right, top and bottom."""


def lying_at(done: Transcoded, at_s: float) -> Lying:
    """Return where things are in the largest rung at a time."""
    top = done.plan.rungs[0]
    shown = f"fps={RATE}:start_time=0,trim=start={at_s - 0.5 / RATE},trim=end_frame=1,extractplanes=y"
    raw = ffmpeg("-i", str(done.joined(top.name)), "-vf", shown, "-f", "rawvideo", "-")
    row = raw[top.width_px * (top.height_px // 2) :][: top.width_px]
    column = raw[top.width_px // 2 :: top.width_px]
    across, down = _lying(row), _lying(column)
    return Lying((across[0], down[0]), (across[1], down[1]), (across[2], down[2]))


def _lying(line: bytes) -> tuple[int, int, int]:
    dark = sum(level < (GREY + BLACK) // 2 for level in line)
    white = [at for at, level in enumerate(line) if level > (GREY + 235) // 2]
    return dark, len(white), white[0] - (len(line) - 1 - white[-1])
