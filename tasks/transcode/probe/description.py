"""The description of a source, from what was collected while its packets were read."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from ..errors import InputRejectedError
from ..rejections import rejection
from ..source import SourceInfo
from .checks import check_size, check_span, check_start, check_times, declared_s_of, falls_short
from .packets import VideoPackets
from .sizes.choice import describe_frames
from .sizes.looks import look_of, sample_aspect
from .streams import declared_crop, has_captions_inside, is_upright, turn_of

if TYPE_CHECKING:
    from .audio.tracks import AudioTracks
    from .sizes.choice import Frames

_FEW_EARLY_FRAMES = 16
"""Frames after the first key frame that may be displayed before it: the maximum that H.264 can
reorder (A.3.1).
"""

_LONG_BROKEN_START_S = Fraction(1, 2)
"""If the undecodable start lasts longer, it is more than the leading frames of the first key frame:
the recording begins in the middle of a stream.
"""

_STILL_BYTES, _STILL_PX_PER_BYTE = 64, 10_000
"""A packet that is not larger shows nothing new: x264 writes 67 to 77 bytes for a frame of 1080p that it skips, and
2,000 or more for one in which a speaker moves in a corner (measured).
"""

_FIELD_ORDERS = range(2, 6)
"""Interlaced values of ffmpeg's AVFieldOrder: 0 is unknown, 1 is progressive, the others state
which field is first.
"""


def describe_video(
    container: Any,
    video: VideoPackets,
    tracks: AudioTracks,
    warnings: list[str],
    *,
    demuxer: str,
    captions_end_s: Fraction,
) -> SourceInfo:
    """Describe a video, and the audio that it has. Raises InputRejectedError."""
    first, first_pts, stream = video.first, video.first_pts, video.stream
    if first is None:
        raise InputRejectedError(**rejection("DAMAGED.frames"))
    time_base = Fraction(stream.time_base)
    # Several frames may have the same time, and the first that decodes may follow some that do not.
    times = sorted({time for time in video.times if time >= first_pts} | {first_pts})
    end = video.end(times)
    if video.early > max(_FEW_EARLY_FRAMES, len(video.times) // 2):
        raise InputRejectedError(**rejection("BROKEN_TIMES.early"))
    check_times(times, end, time_base, tracks)
    if container.start_time is not None:
        check_start(first_pts * time_base, Fraction(container.start_time, av.time_base))
    begin_s, end_s = first_pts * time_base, end * time_base
    audio = tracks.sources(warnings, (begin_s, end_s))
    if begin_s - min(video.times) * time_base > _LONG_BROKEN_START_S:
        # The audio of the undecodable frames at the start is dropped with them.
        audio = tuple(replace(track, start_s=max(track.start_s, begin_s)) for track in audio)
    latest_start_s = max([begin_s, *(track.start_s for track in audio)])
    if audio:
        # Audio that begins before the video or outlasts it is kept; a frame is held meanwhile.
        begin_s = min([begin_s, *(track.start_s for track in audio)])
        end_s = max([end_s, *(track.end_s for track in audio)])
        check_span(end_s - begin_s)
    frames = _frames(container, video, int(end_s / time_base), warnings)
    if video.repeated > _FEW_EARLY_FRAMES:
        warnings.append("CLOCK_STARTS_OVER")
    if video.has_captions or has_captions_inside(first):
        warnings.append("CAPTIONS_IN_FRAMES")
    declared_s = declared_s_of(container)
    if falls_short(begin_s, latest_start_s, max(end_s, captions_end_s), declared_s, demuxer):
        warnings.append("SHORTER_THAN_DECLARED")
    still_frames, new_frame_bytes = _news(video, frames.shape.area_px)
    rates = [stream.average_rate, stream.base_rate, stream.guessed_rate]
    return SourceInfo(
        engine="",
        demuxer=demuxer,
        stream=stream.index,
        codec=stream.codec_context.name,
        time_base=time_base,
        first_pts=first_pts,
        end_pts=end,
        frame_pts=tuple(times),
        keys=tuple(sorted(video.keys, key=lambda key: key.pts)),
        declared_rates=tuple(Fraction(rate) for rate in rates if rate),
        width_px=frames.shape.width_px,
        height_px=frames.shape.height_px,
        sample_aspect=frames.shape.sample_aspect,
        quarter_turns=round(first.rotation / 90) % 4,
        pixel_format=frames.look.pixel_format,
        matrix=frames.look.matrix,
        transfer=frames.look.transfer,
        full_range=frames.look.full_range,
        interlaced=frames.interlaced or int(stream.codec_context.field_order) in _FIELD_ORDERS,
        upright=is_upright(first),
        indexed=False,
        bit_rate_bps=round(container.size * 8 / ((end - first_pts) * time_base)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
        shapes=frames.changes if len(frames.changes) > 1 else (),
        turn=turn_of(first),
        crop_px=frames.crop_px,
        parameter_sets=len(video.looks.parameter_sets),
        still_frames=still_frames,
        new_frame_bytes=new_frame_bytes,
    )


def _news(video: VideoPackets, area_px: int) -> tuple[int, int]:
    """Return the number of packets that show nothing new, and the mean size of the others in bytes."""
    most_bytes = _STILL_BYTES + area_px // _STILL_PX_PER_BYTE
    new = [size for size in video.sizes if size > most_bytes]
    return len(video.sizes) - len(new), round(sum(new) / max(1, len(new)))


def _frames(container: Any, video: VideoPackets, end: int, warnings: list[str]) -> Frames:
    looks = video.looks.all(video.first_pts, look_of(video.first, video.stream.codec_context))
    crop_px = declared_crop(container, video.stream)
    frames = describe_frames(looks, end, container_aspect=sample_aspect(video.stream), crop_px=crop_px)
    check_size(frames.shape)
    if len(frames.changes) > 1:
        warnings.append("SIZE_CHANGES")
    return frames


def describe_audio(container: Any, tracks: AudioTracks, warnings: list[str], demuxer: str) -> SourceInfo:
    """Describe an audio-only recording; its clock is that of the default track."""
    audio = tracks.sources(warnings)
    if not audio or any(track.end_s <= track.start_s for track in audio):
        raise InputRejectedError(**rejection("DAMAGED.audio"))
    begin_s, end_s = min(track.start_s for track in audio), max(track.end_s for track in audio)
    check_span(end_s - begin_s)
    declared_s = declared_s_of(container)
    if falls_short(begin_s, max(track.start_s for track in audio), end_s, declared_s, demuxer):
        warnings.append("SHORTER_THAN_DECLARED")
    default = next(track for track in audio if track.is_default)
    time_base = Fraction(container.streams[default.streams[0]].time_base)
    return SourceInfo(
        engine="",
        demuxer=demuxer,
        stream=default.streams[0],
        codec=default.codec,
        time_base=time_base,
        first_pts=int(begin_s / time_base),
        end_pts=int(end_s / time_base),
        frame_pts=(),
        keys=(),
        declared_rates=(),
        width_px=0,
        height_px=0,
        sample_aspect=Fraction(1),
        quarter_turns=0,
        pixel_format="",
        matrix="unknown",
        transfer="",
        full_range=False,
        interlaced=False,
        upright=True,
        indexed=False,
        bit_rate_bps=round(container.size * 8 / (end_s - begin_s)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
    )
