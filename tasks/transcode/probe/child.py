"""The probe itself.

Run under limits as `python -m tasks.transcode.probe.child PATH DEMUXER`; writes JSON to stdout.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.stream

from ..errors import InputRejectedError
from ..source import AudioSource, SourceInfo
from .captions import CaptionPackets
from .checks import check_size, check_span, check_start, check_times, check_unencrypted
from .packets import CHECK_AND_EXPORT, AudioPackets, VideoPackets
from .sample_index import has_sample_index
from .sizes.choice import describe_frames
from .sizes.looks import look_of, sample_aspect
from .source_file import SourceFile
from .streams import (
    choose_audio,
    choose_video,
    declared_crop,
    has_captions_inside,
    is_cover,
    is_upright,
    turn_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sizes.choice import Frames

_FEW_EARLY_FRAMES = 16
"""Frames after the first key frame that may be displayed before it: the maximum that H.264 can
reorder (A.3.1).
"""

_LONG_BROKEN_START_S = Fraction(1, 2)
"""If the undecodable start lasts longer, it is more than the leading frames of the first key frame:
the recording begins in the middle of a stream.
"""

_FIELD_ORDERS = range(2, 6)
"""Interlaced values of ffmpeg's AVFieldOrder: 0 is unknown, 1 is progressive, the others state
which field is first.
"""


def probe(file: SourceFile, demuxer: str) -> SourceInfo:
    """Read every packet of the file and describe it.

    Raises InputRejectedError with a message for the file's owner. Its cause may be an error of the
    disk, which libav does not tell from the end of the file: see `SourceFile.error`.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer}
    try:
        container = av.open(file, format=demuxer, options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputRejectedError(
            code="DAMAGED",
            message=f"The file is incomplete or damaged: its header or index cannot be read. {CHECK_AND_EXPORT}",
        ) from error
    with container:
        video = choose_video(container)
        audio_packets = choose_audio(container, video)
        if video is None and any(not is_cover(stream) for stream in container.streams.video):
            raise InputRejectedError(
                code="UNKNOWN_CODEC",
                message="The video is in a format that we cannot read. "
                "Please export it again as an MP4 file with H.264, and upload that.",
            )
        if video is None and audio_packets is None:
            raise InputRejectedError(
                code="NOTHING_TO_PLAY",
                message="The file contains neither video nor audio. Please upload the video itself.",
            )
        captions = CaptionPackets(container)
        warnings = _read(container, video, audio_packets, captions)
        if video is not None:
            video.assign_missing_times()
            source = _describe(
                container, video, audio_packets, warnings, demuxer=demuxer, captions_end_s=captions.end_s()
            )
        else:
            source = _describe_audio_only(container, audio_packets, warnings, demuxer)
        indexed = demuxer == "mov" and has_sample_index(file)
        return replace(
            source,
            captions=captions.sources(),
            indexed=indexed,
            size_bytes=file.seek(0, 2),
            stretches=video.positions.stretches() if video is not None else (),
            audio_stretches=audio_packets.stretches(source.time_base) if audio_packets is not None else (),
        )


def _read(
    container: Any, video: VideoPackets | None, audio_packets: AudioPackets | None, captions: CaptionPackets
) -> list[str]:
    """Demux to the end of the file, or as far as it can be read; return the codes of warnings."""
    wanted = [part.stream for part in (video, audio_packets) if part] + captions.streams
    for stream in container.streams:
        if stream not in wanted:
            stream.discard = av.stream.Discard.all
    warnings = []
    try:
        for packet in container.demux(wanted):
            if video and packet.stream is video.stream:
                check_unencrypted(packet)
                video.take(packet)
            elif audio_packets and packet.stream is audio_packets.stream:
                check_unencrypted(packet)
                audio_packets.take(packet)
            else:
                captions.take(packet)
    except av.error.FFmpegError:
        warnings.append("READING_BROKE_OFF")
    if captions.exceeds_limits:
        warnings.append("CAPTIONS_CUT")
    return warnings


def _describe(
    container: Any,
    video: VideoPackets,
    audio_packets: AudioPackets | None,
    warnings: list[str],
    *,
    demuxer: str,
    captions_end_s: Fraction,
) -> SourceInfo:
    first, first_pts, stream = video.first, video.first_pts, video.stream
    if first is None:
        raise InputRejectedError(
            code="DAMAGED",
            message=f"The file is damaged: not a single frame of the video can be decoded. {CHECK_AND_EXPORT}",
        )
    time_base = Fraction(stream.time_base)
    # Several frames may have the same time, and the first that decodes may follow some that do not.
    times = sorted({time for time in video.times if time >= first_pts} | {first_pts})
    end = _end(times, video.last, stream)
    if video.early > max(_FEW_EARLY_FRAMES, len(video.times) // 2):
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message="The video's timestamps are damaged: most frames are timed before the first one. "
            f"{CHECK_AND_EXPORT}",
        )
    check_times(times, end, time_base, audio_packets)
    if container.start_time is not None:
        check_start(first_pts * time_base, Fraction(container.start_time, av.time_base))
    audio = _audio(audio_packets)
    begin_s, end_s = first_pts * time_base, end * time_base
    if audio is not None and begin_s - min(video.times) * time_base > _LONG_BROKEN_START_S:
        # The audio of the undecodable frames at the start is dropped with them.
        audio = replace(audio, start_s=max(audio.start_s, begin_s))
    if audio is not None:
        # Audio that begins before the video or outlasts it is kept; a frame is held meanwhile.
        begin_s, end_s = min(begin_s, audio.start_s), max(end_s, audio.end_s)
        check_span(end_s - begin_s)
    frames = _frames(container, video, int(end_s / time_base), warnings)
    if container.streams.audio and audio is None:
        warnings.append("AUDIO_UNREADABLE")
    if video.repeated > _FEW_EARLY_FRAMES:
        warnings.append("CLOCK_STARTS_OVER")
    if has_captions_inside(first):
        warnings.append("CAPTIONS_IN_FRAMES")
    declared_s = _declared_s(container)
    if _falls_short(max(end_s, captions_end_s) - begin_s, declared_s):
        warnings.append("SHORTER_THAN_DECLARED")
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
    )


def _frames(container: Any, video: VideoPackets, end: int, warnings: list[str]) -> Frames:
    looks = video.looks.all(video.first_pts, look_of(video.first, video.stream.codec_context))
    crop_px = declared_crop(container, video.stream)
    frames = describe_frames(looks, end, container_aspect=sample_aspect(video.stream), crop_px=crop_px)
    check_size(frames.shape)
    if len(frames.changes) > 1:
        warnings.append("SIZE_CHANGES")
    return frames


def _describe_audio_only(
    container: Any, audio_packets: AudioPackets | None, warnings: list[str], demuxer: str
) -> SourceInfo:
    """Describe an audio-only recording; its clock is that of the audio."""
    audio = _audio(audio_packets)
    if audio_packets is None or audio is None or audio.end_s <= audio.start_s:
        raise InputRejectedError(
            code="DAMAGED",
            message=f"The file is damaged: it contains only audio, and none of it can be decoded. {CHECK_AND_EXPORT}",
        )
    check_span(audio.end_s - audio.start_s)
    declared_s = _declared_s(container)
    if _falls_short(audio.end_s - audio.start_s, declared_s):
        warnings.append("SHORTER_THAN_DECLARED")
    time_base = Fraction(audio_packets.stream.time_base)
    return SourceInfo(
        engine="",
        demuxer=demuxer,
        stream=audio.stream,
        codec=audio.codec,
        time_base=time_base,
        first_pts=int(audio.start_s / time_base),
        end_pts=int(audio.end_s / time_base),
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
        bit_rate_bps=round(container.size * 8 / (audio.end_s - audio.start_s)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
    )


def _declared_s(container: Any) -> float:
    return float(container.duration / av.time_base) if container.duration else 0.0


def _falls_short(found_s: Fraction, declared_s: float) -> bool:
    return declared_s > found_s * Fraction(21, 20) + 2


def _end(times: Sequence[int], last: tuple[int, int] | None, stream: Any) -> int:
    """Return when the last frame ends, from its own duration or else the median frame distance."""
    if last is not None and last[0] == times[-1] and last[1] > 0:
        return sum(last)
    if len(times) > 1:
        distances = sorted(later - earlier for earlier, later in itertools.pairwise(times))
        return times[-1] + distances[len(distances) // 2]
    rate = Fraction(stream.average_rate or 25)
    return times[-1] + max(1, round(1 / rate / Fraction(stream.time_base)))


def _audio(audio_packets: AudioPackets | None) -> AudioSource | None:
    if audio_packets is None or audio_packets.start is None or not audio_packets.decodes:
        return None
    time_base, codec = Fraction(audio_packets.stream.time_base), audio_packets.stream.codec_context
    return AudioSource(
        stream=audio_packets.stream.index,
        codec=codec.name,
        channels=codec.channels,
        sample_rate_hz=codec.sample_rate,
        start_s=audio_packets.start * time_base,
        end_s=audio_packets.end * time_base,
    )


def main() -> None:
    """Write `{"source": ...}`, `{"rejected": {"code", "message"}}` or `{"unreadable": TEXT}` to standard output."""
    av.logging.set_level(av.logging.PANIC)
    result: dict[str, Any]
    with SourceFile(sys.argv[1]) as file:
        try:
            result = {"source": probe(file, sys.argv[2]).to_json()}
        except InputRejectedError as error:
            result = {"rejected": {"code": error.code, "message": error.message}}
        if file.error is not None:
            result = {"unreadable": file.error.strerror or str(file.error)}
    json.dump(result, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
