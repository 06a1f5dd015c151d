"""Makes a plan from a probed source and a profile: lays the grid and cuts it into GOPs, segments and units."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from ..captions import plan_captions
from .frame_rate import choose_rate
from .ladder import choose_rungs
from .plan import AudioPlan, Plan, PreviewPlan, VideoUnit, segment_starts
from .preview_rule import can_preview
from .thumbnails import plan_thumbnails

if TYPE_CHECKING:
    from ..source import SourceInfo
    from .ladder import Rung
    from .profile import Profile

AAC_FRAME_SAMPLES = 1024
AUDIO_RATE_HZ = 48_000

_MAX_AUDIO_OVERHANG_S = Fraction(1, 2)
"""Sound that outlasts the picture by more is content: the last picture stands still under it. Less is rounding."""

_MAX_AUDIO_LEAD_IN_S = Fraction(1, 2)
"""Sound that begins before the first picture by more is content: the first picture stands still over it. Less is left out."""

_FEWEST_AAC_FRAMES = 2
"""The first frame is the encoder's priming. Sound shorter than one more, beside a single picture, is left out."""

_POSTER_SHARE = 10
_POSTER_LATEST_S = 60
_POSTER_SHORT_SIDE_PX = 720
_HD_SHORT_SIDE_PX = 720


def make_plan(source: SourceInfo, profile: Profile, *, threads: int) -> Plan:
    """Return the plan for `source` under `profile`; `threads` is the thread count of each encoder.

    Pure: the same arguments give the same plan.
    """
    rate = _rate(source)
    source, lead_in_frames = _with_lead_in(source, rate)
    grid = _Grid(source, rate)
    gop_frames = max(1, round(rate * Fraction(profile.gop_s)))
    segment_frames = gop_frames * profile.segment_gops
    rungs = choose_rungs(source, profile, rate) if source.has_video else ()
    return Plan(
        engine=source.engine,
        profile=profile.name,
        demuxer=source.demuxer,
        stream=source.stream,
        time_base=source.time_base,
        first_pts=source.first_pts,
        source_px=source.width_px * source.height_px,
        matrix=_matrix(source),
        transfer=source.transfer,
        interlaced=source.interlaced,
        rate=rate,
        frames=grid.frames,
        first_source_frame=lead_in_frames,
        last_source_frame=grid.last_source_frame,
        gop_frames=gop_frames,
        segment_frames=segment_frames,
        warm_up_frames=gop_frames * profile.warm_up_gops,
        look_ahead_frames=profile.look_ahead_frames,
        preset=profile.preset,
        threads=threads,
        rungs=rungs,
        video_units=_units(grid, segment_frames, profile, warm_up_frames=gop_frames * profile.warm_up_gops)
        if rungs
        else (),
        audio=_audio(source, profile, grid, segment_frames),
        poster_frame=min(grid.frames // _POSTER_SHARE, int(rate * _POSTER_LATEST_S)),
        poster_rung=_poster_rung(rungs),
        thumbnails=plan_thumbnails(rungs[-1], rate, profile.thumbnail_s) if rungs else None,
        captions=plan_captions(source.captions, start_s=source.start_s, duration_s=grid.frames / rate),
        preview=PreviewPlan(source.width_px, source.height_px) if can_preview(source) and not lead_in_frames else None,
        warnings=source.warnings,
    )


def _rate(source: SourceInfo) -> Fraction:
    """Return the grid's frames a second: the pictures', or those of the sound where it is alone."""
    if not source.has_video:
        return Fraction(AUDIO_RATE_HZ, AAC_FRAME_SAMPLES)
    return choose_rate(source.frame_pts, source.time_base, source.declared_rates)


def _with_lead_in(source: SourceInfo, rate: Fraction) -> tuple[SourceInfo, int]:
    """Return the source with its clock's zero where its sound begins, and how many frames later the first picture comes."""
    if source.audio is None or not source.has_video:
        return source, 0
    lead_s = source.start_s - source.audio.start_s
    if lead_s <= _MAX_AUDIO_LEAD_IN_S:
        return source, 0
    # Whole frames, so that pictures keep their places on the grid.
    lead_in_frames = math.ceil(lead_s * rate)
    return replace(
        source, first_pts=source.first_pts - _round_half_up(lead_in_frames / rate / source.time_base)
    ), lead_in_frames


class _Grid:
    """Where the source's pictures sit on the grid, and which key frame leads to a given frame."""

    def __init__(self, source: SourceInfo, rate: Fraction) -> None:
        self._source = source
        self.rate = rate
        up, down = (source.time_base * rate).as_integer_ratio()
        # Rounded half up, as ffmpeg's fps filter does; whole numbers, because there may be a million.
        self.places = [(2 * (pts - source.first_pts) * up + down) // (2 * down) for pts in source.frame_pts]
        length_s = source.video_s
        if source.audio is not None:
            audio_s = source.audio.end_s - source.start_s
            if audio_s > length_s + _MAX_AUDIO_OVERHANG_S:
                length_s = audio_s
        self.last_source_frame = self.places[-1] if self.places else 0
        self.frames = max(1, self._fewest_frames(), _round_half_up(length_s * rate))
        self._key_times = [key.pts for key in source.keys]

    def _fewest_frames(self) -> int:
        """Return how many frames show all pictures: the last slide of a slideshow often claims next to no time."""
        stood = self.places[-1] - self.places[-2] if len(self.places) > 1 else 0
        return self.places[-1] + 1 if stood > 1 else 0

    def seeks_s(self, frame: int) -> tuple[str | None, ...]:
        """Return where reading may start so that `frame` comes out right: two key frames, then the beginning."""
        if frame <= 0:
            return (None,)
        shown = max(0, bisect_right(self.places, frame) - 1)
        if self._source.interlaced:
            # The deinterlacer looks at the picture before, too.
            shown = max(0, shown - 1)
        newest = bisect_right(self._key_times, self._source.frame_pts[shown]) - 1
        # The file's first key frame needs no seek.
        keys = [self._source.keys[at] for at in range(newest, max(0, newest - 2), -1)]
        return (*(_microseconds_up(key.seek * self._source.time_base) for key in keys), None)


def _round_half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _microseconds_up(seconds: Fraction) -> str:
    """Round up to what ffmpeg's -ss can say: rounded down, it would land on the key frame before."""
    exact = Decimal(seconds.numerator) / Decimal(seconds.denominator)
    return str(exact.quantize(Decimal("0.000001"), rounding=ROUND_CEILING))


def _units(grid: _Grid, segment_frames: int, profile: Profile, *, warm_up_frames: int) -> tuple[VideoUnit, ...]:
    """Cut the grid into as few units as may be, of one length but for rounding; a rest shorter than a segment goes to the last."""
    segments = max(1, grid.frames // segment_frames)
    count = -(-segments // profile.unit_segments)
    starts = [-(-segments * index // count) * segment_frames for index in range(count)]
    ends = [*starts[1:], grid.frames]
    return tuple(
        VideoUnit(index, first, end, grid.seeks_s(first - warm_up_frames))
        for index, (first, end) in enumerate(zip(starts, ends, strict=True))
    )


def _audio(source: SourceInfo, profile: Profile, grid: _Grid, segment_frames: int) -> AudioPlan | None:
    if source.audio is None:
        return None
    aac_rate = Fraction(AUDIO_RATE_HZ, AAC_FRAME_SAMPLES)
    # Rounded up: sound that ends before the last picture does keeps players from reaching the end.
    aac_frames = math.ceil(grid.frames / grid.rate * aac_rate)
    if aac_frames < _FEWEST_AAC_FRAMES:
        if source.has_video:
            return None
        aac_frames = _FEWEST_AAC_FRAMES
    starts = segment_starts(0, grid.frames, segment_frames=segment_frames, rate=grid.rate)
    cuts = {_round_half_up(frame / grid.rate * aac_rate) for frame in starts}
    return AudioPlan(
        stream=source.audio.stream,
        start_s=source.start_s,
        aac_frames=aac_frames,
        bit_rate_bps=profile.audio_bps,
        sample_rate_hz=AUDIO_RATE_HZ,
        cuts=tuple(sorted(cut for cut in cuts if cut < aac_frames)),
    )


def _matrix(source: SourceInfo) -> str:
    """Return the colour matrix to convert from; players take an unnamed one for BT.709 in HD and BT.601 below."""
    if source.matrix != "unknown":
        return source.matrix
    return "bt709" if min(source.width_px, source.height_px) >= _HD_SHORT_SIDE_PX else "smpte170m"


def _poster_rung(rungs: tuple[Rung, ...]) -> str:
    fitting = [rung for rung in rungs if min(rung.width_px, rung.height_px) <= _POSTER_SHORT_SIDE_PX]
    return (fitting or rungs)[0].name if rungs else ""
