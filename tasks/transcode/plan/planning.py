"""Planning: from a probed source and a profile to a plan.

The grid is the timeline of the output: frames at a constant rate, numbered from 0, whatever the
times of the source frames. Frame 0 is at the first frame of the source, or at the start of its
audio if that begins clearly earlier (audio lead-in). GOPs, segments and units are ranges of grid
frames, so they are the same in every rung.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ..audio.level import gain_db
from ..audio.tracks import names_of
from ..captions import plan_captions
from ..chapters import plan_chapters
from ..languages import language_of
from ..source_warnings import with_detail
from .cost import video_cost_s
from .direct_play import plays_directly
from .fit import largest_px, plan_fit, sizes_in_words
from .grid.division import first_segments
from .grid.frame_rate import choose_rate
from .grid.frames import Grid, round_half_up
from .ladder import choose_rungs
from .plan import AudioPlan, AudioTrack, Plan, VideoUnit, segment_starts
from .speech import plan_speech
from .thumbnails import plan_thumbnails

if TYPE_CHECKING:
    from ..audio.level import AudioLevel
    from ..source import SourceInfo
    from .ladder import Rung
    from .profile import Profile
    from .thumbnails import ThumbnailPlan

AAC_FRAME_SAMPLES = 1024
AUDIO_RATE_HZ = 48_000

_MAX_AUDIO_LEAD_IN_S = Fraction(1, 2)
"""Audio that begins before the video by more than this is a lead-in, and the first frame is held
meanwhile. Less is cut off.
"""

_AUDIO_HEAD_SHARE = 30
"""The first audio unit is a thirtieth of the audio. Each unit is encoded from the beginning, at 56 times
real time (measured): the second one takes half of the time for which the first one lasts, and the first
one takes 2 CPU seconds for an hour of audio.
"""

_FEWEST_AUDIO_HEADS = 5
"""Audio that is shorter than this many minimum first units is one unit, which is done soon enough."""

_FEWEST_AAC_FRAMES = 2
"""The first AAC frame is encoder priming. A video too short for another one loses its audio."""

_POSTER_SHARE = 10
_POSTER_LATEST_S = 60
_POSTER_SHORT_SIDE_PX = 720
_HD_SHORT_SIDE_PX = 720


def make_plan(
    source: SourceInfo, profile: Profile, *, threads: int, slots: int = 0, speech_cpu_s_per_s: float | None = None
) -> Plan:
    """Return the plan for `source` with `profile`; `threads` is the number of threads per encoder.

    `slots` is the number of units that several containers may work on at a time; 0 if only one
    container does. `speech_cpu_s_per_s` is the CPU time that transcribing takes for a second of audio; without
    it, there are no automatic captions. Pure function: the same arguments give the same plan.
    """
    rate = _rate(source, profile)
    direct = plays_directly(source)
    source, lead_in_frames = _with_lead_in(source, rate)
    grid = Grid(source, rate)
    gop_frames = max(1, round(rate * Fraction(profile.gop_s)))
    segment_frames = gop_frames * profile.segment_gops
    rungs = choose_rungs(source, profile, rate) if source.has_video else ()
    duration_s = grid.frames / rate
    cost_s = video_cost_s(source, rungs, profile.preset, frames=grid.frames, gop_frames=gop_frames)
    chapters, has_mistimed = plan_chapters(source.chapters, start_s=source.start_s, duration_s=duration_s)
    warnings = [
        with_detail(each, sizes_in_words(source)) if each == "SIZE_CHANGES" else each for each in source.warnings
    ]
    if has_mistimed:
        warnings.append("CHAPTERS_MISTIMED")
    audio = _audio(source, profile, grid, segment_frames)
    captions = plan_captions(source.captions if profile.captions else (), start_s=source.start_s, duration_s=duration_s)
    return Plan(
        engine=source.engine,
        profile=profile.name,
        demuxer=source.demuxer,
        stream=source.stream,
        time_base=source.time_base,
        first_pts=source.first_pts,
        source_px=largest_px(source),
        matrix=_matrix(source),
        transfer=source.transfer,
        full_range=source.full_range,
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
        video_units=_units(
            grid,
            segment_frames,
            profile,
            slots=slots,
            warm_up_frames=gop_frames * profile.warm_up_gops,
            cost_s=cost_s,
        )
        if rungs
        else (),
        audio=audio,
        poster_frame=min(grid.frames // _POSTER_SHARE, int(rate * _POSTER_LATEST_S)),
        poster_rung=_poster_rung(rungs),
        thumbnails=_thumbnails(rungs, profile, gop_frames),
        captions=captions,
        chapters=chapters,
        plays_directly=direct,
        warnings=tuple(warnings),
        video_cost_s=cost_s,
        fit=plan_fit(source),
        splicing=source.splicing,
        merges_streams=source.merges_streams,
        decoders=source.decoders,
        speech=None
        if speech_cpu_s_per_s is None or audio is None
        else plan_speech(audio.tracks, captions, frames=grid.frames, rate=rate, cpu_s_per_s=speech_cpu_s_per_s),
    )


def _rate(source: SourceInfo, profile: Profile) -> Fraction:
    """Return the grid's frames per second: of the video, or AAC frames for an audio-only source."""
    if not source.has_video:
        return Fraction(AUDIO_RATE_HZ, AAC_FRAME_SAMPLES)
    return choose_rate(source.frame_pts, source.time_base, source.declared_rates, max_rate=profile.max_rate_fps)


def _with_lead_in(source: SourceInfo, rate: Fraction) -> tuple[SourceInfo, int]:
    """Return the source with first_pts moved back by the audio lead-in; its length in frames."""
    if source.audio_span_s is None or not source.has_video:
        return source, 0
    lead_s = source.start_s - source.audio_span_s[0]
    if lead_s <= _MAX_AUDIO_LEAD_IN_S:
        return source, 0
    # Whole frames, so that the source frames keep their positions on the grid.
    lead_in_frames = math.ceil(lead_s * rate)
    return replace(
        source, first_pts=source.first_pts - round_half_up(lead_in_frames / rate / source.time_base)
    ), lead_in_frames


def _units(
    grid: Grid, segment_frames: int, profile: Profile, *, slots: int, warm_up_frames: int, cost_s: float
) -> tuple[VideoUnit, ...]:
    """Divide the grid into units. A remainder shorter than a segment becomes part of the last unit."""
    segments = max(1, grid.frames // segment_frames)
    extra_segments = (warm_up_frames + profile.look_ahead_frames) / segment_frames
    firsts = first_segments(segments, profile, slots=slots, extra_segments=extra_segments, cost_s=cost_s)
    starts = [first * segment_frames for first in firsts]
    ends = [*starts[1:], grid.frames]
    return tuple(
        VideoUnit(
            index,
            first,
            end,
            seeks_s=grid.seeks_s(first - warm_up_frames),
            start_bytes=grid.start_bytes(first - warm_up_frames),
            skipped_frames=grid.skipped_frames(first - warm_up_frames),
        )
        for index, (first, end) in enumerate(zip(starts, ends, strict=True))
    )


def _thumbnails(rungs: tuple[Rung, ...], profile: Profile, gop_frames: int) -> ThumbnailPlan | None:
    if not rungs or profile.thumbnail_s is None:
        return None
    interval_gops = max(1, round(profile.thumbnail_s / profile.gop_s))
    return plan_thumbnails(rungs[-1], interval_gops=interval_gops, gop_frames=gop_frames)


def _audio(source: SourceInfo, profile: Profile, grid: Grid, segment_frames: int) -> AudioPlan | None:
    if not source.audio:
        return None
    aac_rate = Fraction(AUDIO_RATE_HZ, AAC_FRAME_SAMPLES)
    # Rounded up: audio that ends before the last frame keeps players from reaching the end.
    aac_frames = math.ceil(grid.frames / grid.rate * aac_rate)
    if aac_frames < _FEWEST_AAC_FRAMES:
        if source.has_video:
            return None
        aac_frames = _FEWEST_AAC_FRAMES
    starts = segment_starts(0, grid.frames, segment_frames=segment_frames, rate=grid.rate)
    least_segments = math.ceil(Fraction(profile.audio_head_s) * grid.rate / segment_frames)
    cuts = tuple(sorted({round_half_up(frame / grid.rate * aac_rate) for frame in starts} - {aac_frames}))
    return AudioPlan(
        start_s=source.start_s,
        aac_frames=aac_frames,
        bit_rate_bps=profile.audio_bps,
        sample_rate_hz=AUDIO_RATE_HZ,
        cuts=cuts,
        unit_segments=_audio_unit_segments(len(cuts), least=least_segments) if source.has_video else (0,),
        tracks=tuple(
            AudioTrack(
                streams=track.streams,
                downmix=track.downmix,
                is_one_sided=track.level is not None and track.level.is_one_sided,
                gain_db=_gain_db(track.level, profile.loudness_lufs),
                language=language_of(track.language).tag,
                name=name,
                purpose=track.purpose,
                is_default=track.is_default,
            )
            for track, name in zip(source.audio, names_of(source.audio), strict=True)
        ),
    )


def _gain_db(level: AudioLevel | None, target_lufs: float | None) -> float | None:
    return None if level is None or target_lufs is None else gain_db(level, target_lufs)


def _audio_unit_segments(segments: int, *, least: int) -> tuple[int, ...]:
    """Return the first segment of each audio unit: of two if the audio is long, so that its beginning is done early."""
    head = max(least, -(-segments // _AUDIO_HEAD_SHARE))
    return (0, head) if segments >= _FEWEST_AUDIO_HEADS * least else (0,)


def _matrix(source: SourceInfo) -> str:
    """Return the colour matrix to convert from.

    If it is not declared, players assume BT.709 for HD and BT.601 below.
    """
    if source.matrix != "unknown":
        return source.matrix
    return "bt709" if min(source.width_px, source.height_px) >= _HD_SHORT_SIDE_PX else "smpte170m"


def _poster_rung(rungs: tuple[Rung, ...]) -> str:
    fitting = [rung for rung in rungs if min(rung.width_px, rung.height_px) <= _POSTER_SHORT_SIDE_PX]
    return (fitting or rungs)[0].name if rungs else ""
