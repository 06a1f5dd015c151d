"""Frames that do not change for long, HDR of full range, and names of files that look like something else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg, on_grid
from tests.media.kinds import claps
from tests.media.kinds.claps import beeps, clap, flashes
from tests.media.kinds.expected import Expected, Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.media.runs import Transcoded


def _paused(name: str, video: Sequence[str], audio: Sequence[str], pause_s: int = 100) -> Upload:
    """Write frames for 3 s and, after a pause, for 2 s; the audio continues."""
    end = 3 + pause_s

    def make(path: Path) -> None:
        frames = f"{flashes(end + 2)},select='lt(t,3)+gte(t,{end})'"
        passing = ("-fps_mode", "passthrough", *(("-enc_time_base", "1/30") if path.suffix != ".mkv" else ()))
        clap(path, video, audio, frames=frames, tones=beeps(end + 2, rate_hz=16_000), extra=passing)

    times_s = (1.0, 2.0, float(end), float(end + 1))
    tones_s = tuple(float(at) for at in range(1, end + 2))
    return Upload(name, make, Expected(end + 2, flashes_s=times_s, beeps_s=tones_s, within_s=0.08))


STILL = (
    _paused("vp8.webm", claps.VP8, claps.OPUS),
    _paused("vp9.mkv", claps.VP9, claps.OPUS),
    _paused("av1.webm", claps.AV1, claps.OPUS),
    _paused("h264.mkv", claps.H264, claps.AAC),
    _paused("h264.mp4", claps.H264, claps.AAC),
    _paused("h264.mov", claps.H264, claps.PCM),
    _paused("h264.flv", claps.H264, ("-c:a", "aac", "-ar", "44100")),
    _paused("h264.ts", claps.H264, claps.AAC),
    _paused("mjpeg.mov", claps.MJPEG, claps.PCM),
    _paused("hevc.mkv", claps.HEVC, claps.AC3),
)


_FULL, _LIMITED = "full", "limited"


def _levels(done: Transcoded) -> Sequence[str]:
    """Return what is wrong with black (16) and diffuse white (200), at the left and right."""
    shown = f"{on_grid(done.plan)},trim=start_frame=20:end_frame=21,scale=4:1:flags=area,format=yuv420p,extractplanes=y"
    dark, _, _, bright = ffmpeg("-i", str(done.joined(done.rungs[0])), "-vf", shown, "-f", "rawvideo", "-")
    return [
        f"{name} is {is_}, not {due}"
        for name, is_, due in (("black", dark, 16), ("white", bright, 200))
        if abs(is_ - due) > 12  # as the test of a single file has it
    ]


def _hdr(name: str, transfer: str, levels: str, video: Sequence[str], pixels: str = "yuv420p10le") -> Upload:
    black, span = {_FULL: (0, 1023), _LIMITED: (64, 876)}[levels]
    white = {"smpte2084": 0.5807, "arib-std-b67": 0.75}[transfer]
    drawn = f"geq=lum='if(lt(X,160),{black},{round(black + span * white)})':cb=512:cr=512"
    tags = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range={levels}"
    frames = f"color=black:s=320x180:r=30:d=1,format={pixels},{drawn},{tags}"
    options = ("-color_range", "pc" if levels == _FULL else "tv")
    make = partial(clap, video=video, audio=(), frames=frames, extra=options)
    return Upload(name, make, Expected(1, flashes_s=None, beeps_s=(), also=_levels))


def _hevc(levels: str) -> tuple[str, ...]:
    return (
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-qp",
        "4",
        "-x265-params",
        f"log-level=none:range={levels}",
    )


_H264_10 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-profile:v", "high10")
_VP9_10 = ("-c:v", "libvpx-vp9", "-profile:v", "2", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M")
_AV1_10 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-b:v", "2M")
_FFV1 = ("-c:v", "ffv1")
_HLG, _PQ = "arib-std-b67", "smpte2084"
HDR = (
    _hdr("hlg full.mp4", _HLG, _FULL, (*_hevc(_FULL), "-tag:v", "hvc1")),
    _hdr("hlg full.mkv", _HLG, _FULL, _hevc(_FULL)),
    _hdr("hlg full.ts", _HLG, _FULL, _hevc(_FULL)),
    _hdr("pq full.mov", _PQ, _FULL, (*_hevc(_FULL), "-tag:v", "hvc1")),
    _hdr("pq full h264.mkv", _PQ, _FULL, _H264_10),
    _hdr("hlg full h264.mp4", _HLG, _FULL, _H264_10),
    _hdr("pq full vp9.webm", _PQ, _FULL, _VP9_10),
    _hdr("hlg full vp9.mkv", _HLG, _FULL, _VP9_10),
    _hdr("pq full av1.mp4", _PQ, _FULL, _AV1_10),
    _hdr("hlg full av1.webm", _HLG, _FULL, _AV1_10),
    _hdr("pq full lossless.mkv", _PQ, _FULL, _FFV1),
    _hdr("hlg limited.mp4", _HLG, _LIMITED, (*_hevc(_LIMITED), "-tag:v", "hvc1")),
    _hdr("pq limited vp9.webm", _PQ, _LIMITED, _VP9_10),
    _hdr("pq limited 4-2-2.mov", _PQ, _LIMITED, claps.PRORES, "yuv422p10le"),
)

_NAMES = (
    "a:b.mp4",
    "http:a.mp4",
    "pipe:1.mp4",
    "file,concat:a|b.mp4",
    "100 %d.mp4",
    "%03d.mov",
    'it\'s "it".mkv',
    "[0:v] {x} (1).mp4",
    "-i.mp4",
    "#1; & a\\b.mkv",
    "  two spaces .webm",
    "*?.mp4",
    "강의 1주차 ü.mp4",
    "=a@b+c,d.mp4",
    "a\nb.mp4",
)
NAMES = tuple(
    Upload(name, partial(clap, video=claps.VP8, audio=claps.OPUS) if name.endswith("webm") else clap) for name in _NAMES
)
