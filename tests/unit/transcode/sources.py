"""Probed sources without a file, for tests of pure functions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from tasks.transcode import AudioSource, KeyFrame, SourceInfo

TIME_BASE = Fraction(1, 90_000)


def make_source(*, frames: int = 300, rate: Fraction | int = 30, key_every: int = 60, **changes: Any) -> SourceInfo:
    """Return an upright 1080p source without audio, its frames on an exact grid that begins at 1 s."""
    times = tuple(90_000 + round(90_000 * number / Fraction(rate)) for number in range(frames))
    source = SourceInfo(
        engine="1/test",
        demuxer="mov",
        stream=0,
        codec="h264",
        time_base=TIME_BASE,
        first_pts=times[0],
        end_pts=90_000 + round(90_000 * frames / Fraction(rate)),
        frame_pts=times,
        keys=tuple(KeyFrame(pts, pts - 3000) for pts in times[::key_every]),
        declared_rates=(Fraction(rate),),
        width_px=1920,
        height_px=1080,
        sample_aspect=Fraction(1),
        quarter_turns=0,
        pixel_format="yuv420p",
        matrix="bt709",
        transfer="",
        full_range=False,
        interlaced=False,
        upright=True,
        indexed=True,
        bit_rate_bps=3_000_000,
        audio=(),
        declared_duration_s=0.0,
        warnings=(),
    )
    return replace(source, **changes)


def make_audio(start_s: Fraction | int, end_s: Fraction | int, *languages: str) -> tuple[AudioSource, ...]:
    """Return a stereo track with these times on the source's clock, or one for each language, the first as default."""
    track = AudioSource(
        streams=(1,),
        codec="aac",
        channels=2,
        sample_rate_hz=48_000,
        start_s=Fraction(start_s),
        end_s=Fraction(end_s),
        is_default=True,
    )
    if not languages:
        return (track,)
    return tuple(
        replace(track, streams=(number,), language=language, is_default=number == 1)
        for number, language in enumerate(languages, start=1)
    )
