"""The probe itself.

Run under limits as `python -m tasks.transcode.probe.child PATH DEMUXER`; writes JSON to stdout.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.stream

from ..errors import InputRejectedError
from ..source import SourceInfo
from ..source_warnings import with_spans
from ..splicing import SPLICED_DEMUXERS, ClockSurvey, Splicer
from .captions import CaptionPackets
from .checks import (
    check_playable,
    check_size,
    check_span,
    check_start,
    check_times,
    check_unencrypted,
    declared_s_of,
    falls_short,
)
from .packets import CHECK_AND_EXPORT, AudioPackets, VideoPackets
from .positions import UnreadParts
from .sample_index import has_sample_index
from .source_file import SourceFile
from .streams import audio_warnings, choose_audio, choose_video, has_captions_inside, is_upright, sample_aspect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FEW_EARLY_FRAMES = 16
"""Frames after the first key frame that may be displayed before it: the maximum that H.264 can
reorder (A.3.1).
"""

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Names that ffmpeg's scale filter accepts, by their numbers in ITU-T H.273, table 4."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG of ffmpeg."""

_HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
"""HDR10 and the base layer of Dolby Vision; HLG. By their numbers in ITU-T H.273, table 3."""

_LONG_BROKEN_START_S = Fraction(1, 2)
"""If the undecodable start lasts longer, it is more than the leading frames of the first key frame:
the recording begins in the middle of a stream.
"""

_FIELD_ORDERS = range(2, 6)
"""Interlaced values of ffmpeg's AVFieldOrder: 0 is unknown, 1 is progressive, the others state
which field is first.
"""


def probe(file: SourceFile, demuxer: str) -> SourceInfo:
    """Read every packet of the file and describe it; read it again if its clock starts over or its streams change.

    Raises InputRejectedError with a message for the file's owner. Its cause may be an error of the
    disk, which libav does not tell from the end of the file: see `SourceFile.error`.
    """
    source, left_out_s = _on_one_clock(file, demuxer)
    if left_out_s and demuxer == "mpegts":
        with suppress(InputRejectedError):
            merged, still_left_out_s = _on_one_clock(file, demuxer, {"merge_pmt_versions": "1"})
            if len(still_left_out_s) < len(left_out_s):
                source, left_out_s = replace(merged, merges_streams=True), still_left_out_s
    if left_out_s:
        source = replace(source, warnings=(*source.warnings, with_spans("PART_LEFT_OUT", left_out_s)))
    if left_out_s or source.splicing is not None:
        # What libav takes for the duration is only the distance between the first and the last time.
        warnings = tuple(each for each in source.warnings if each != "SHORTER_THAN_DECLARED")
        source = replace(source, warnings=warnings)
    return source


def _on_one_clock(
    file: SourceFile, demuxer: str, options: Mapping[str, str] | None = None
) -> tuple[SourceInfo, list[tuple[Fraction, Fraction]]]:
    """Return the description, and the spans of time for which there are only other streams in the file."""
    survey, unread = ClockSurvey(), UnreadParts()
    try:
        source = _probe(file, demuxer, (survey.take, unread.take), options)
    except InputRejectedError:
        if survey.splicing(demuxer) is None:
            raise
    splicing = survey.splicing(demuxer)
    if splicing is not None:
        unread = UnreadParts()
        source = _probe(file, demuxer, (Splicer(splicing).take, unread.take), options)
        source = replace(source, declared_duration_s=0.0, splicing=splicing)
    return source, unread.spans_s(file) if demuxer in SPLICED_DEMUXERS else []


def _probe(
    file: SourceFile, demuxer: str, follow: Sequence[Callable[[Any], None]], options: Mapping[str, str] | None
) -> SourceInfo:
    file.seek(0)
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer, **(options or {})}
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
        if video is None:
            check_playable(container, audio_packets)
        captions = CaptionPackets(container)
        warnings = _read(container, video, audio_packets, captions, follow)
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
    container: Any,
    video: VideoPackets | None,
    audio_packets: AudioPackets | None,
    captions: CaptionPackets,
    follow: Sequence[Callable[[Any], None]],
) -> list[str]:
    """Demux to the end of the file, or as far as it can be read; return the codes of warnings.

    `follow` gets each packet first, and may change its times.
    """
    wanted = [part.stream for part in (video, audio_packets) if part] + captions.streams
    for stream in container.streams:
        if stream not in wanted:
            stream.discard = av.stream.Discard.all
    warnings = []
    try:
        for packet in container.demux(wanted):
            for take in follow:
                take(packet)
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
    except IndexError:  # by PyAV, after the last packet, if streams appeared that were not there at the beginning
        pass
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
    end = video.end(times)
    if video.early > max(_FEW_EARLY_FRAMES, len(video.times) // 2):
        raise InputRejectedError(
            code="BROKEN_TIMES",
            message="The video's timestamps are damaged: most frames are timed before the first one. "
            f"{CHECK_AND_EXPORT}",
        )
    check_times(times, end, time_base, audio_packets)
    if container.start_time is not None:
        check_start(first_pts * time_base, Fraction(container.start_time, av.time_base))
    check_size(first)
    audio = audio_packets.source(end * time_base) if audio_packets is not None else None
    begin_s, end_s = first_pts * time_base, end * time_base
    if audio is not None and begin_s - min(video.times) * time_base > _LONG_BROKEN_START_S:
        # The audio of the undecodable frames at the start is dropped with them.
        audio = replace(audio, start_s=max(audio.start_s, begin_s))
    if audio is not None:
        # Audio that begins before the video or outlasts it is kept; a frame is held meanwhile.
        begin_s, end_s = min(begin_s, audio.start_s), max(end_s, audio.end_s)
        check_span(end_s - begin_s)
    warnings += audio_warnings(container, audio_packets, audio)
    if video.repeated > _FEW_EARLY_FRAMES:
        warnings.append("CLOCK_STARTS_OVER")
    if has_captions_inside(first):
        warnings.append("CAPTIONS_IN_FRAMES")
    declared_s = declared_s_of(container)
    latest_start_s = max(first_pts * time_base, audio.start_s if audio is not None else begin_s)
    if falls_short(begin_s, latest_start_s, max(end_s, captions_end_s), declared_s, demuxer):
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
        width_px=first.width,
        height_px=first.height,
        sample_aspect=sample_aspect(stream),
        quarter_turns=round(first.rotation / 90) % 4,
        pixel_format=first.format.name,
        matrix=_MATRICES.get(int(first.colorspace), "unknown"),
        transfer=_HDR_TRANSFERS.get(int(first.color_trc), ""),
        full_range=int(first.color_range) == _FULL_RANGE,
        interlaced=bool(first.interlaced_frame) or int(stream.codec_context.field_order) in _FIELD_ORDERS,
        upright=is_upright(first),
        indexed=False,
        bit_rate_bps=round(container.size * 8 / ((end - first_pts) * time_base)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
    )


def _describe_audio_only(
    container: Any, audio_packets: AudioPackets | None, warnings: list[str], demuxer: str
) -> SourceInfo:
    """Describe an audio-only recording; its clock is that of the audio."""
    audio = audio_packets.source() if audio_packets is not None else None
    if audio_packets is None or audio is None or audio.end_s <= audio.start_s:
        raise InputRejectedError(
            code="DAMAGED",
            message=f"The file is damaged: it contains only audio, and none of it can be decoded. {CHECK_AND_EXPORT}",
        )
    check_span(audio.end_s - audio.start_s)
    declared_s = declared_s_of(container)
    if falls_short(audio.start_s, audio.start_s, audio.end_s, declared_s, demuxer):
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
