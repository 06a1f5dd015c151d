"""The probe itself. Run as `python -m tasks.transcode.probe_child PATH DEMUXER`, under limits; answers JSON."""

from __future__ import annotations

import itertools
import json
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.stream

from tasks.transcode.caption_packets import CaptionPackets
from tasks.transcode.errors import InputRefused
from tasks.transcode.packets import CHECK_AND_EXPORT, PicturePackets, SoundPackets
from tasks.transcode.source import AudioSource, SourceInfo
from tasks.transcode.source_checks import check_clear, check_size, check_span, check_start, check_times
from tasks.transcode.stream_choice import chosen_pictures, chosen_sound, is_cover

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_SAMPLE_ASPECT = 16
_FEW_EARLY_PICTURES = 16
"""Pictures behind the first key frame that are shown before it: as many as H.264 may reorder (A.3.1)."""

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Names that ffmpeg's scale filter knows, by the numbers of ITU-T H.273, table 4."""

_HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
"""HDR10 and Dolby Vision's base; HLG. Numbers of ITU-T H.273, table 3."""

_LONG_BROKEN_START_S = Fraction(1, 2)
"""More than the pictures that a first key frame refers to: the recording begins in the middle of a stream."""

_NO_TURN = struct.pack("=9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""The display matrix that changes nothing, in the fixed-point numbers of ISO/IEC 14496-12, 8.3.2."""

_FIELD_ORDERS = range(2, 6)
"""AVFieldOrder of ffmpeg: 0 is unknown, 1 progressive, the others name which field comes first."""


def probe(path: str, demuxer: str) -> SourceInfo:
    """Read every packet of `path`. Raises InputRefused with a sentence for the file's owner."""
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer}
    try:
        container = av.open(f"file:{path}", format=demuxer, options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputRefused(
            code="DAMAGED",
            sentence=f"The file is incomplete or damaged: its beginning or its index cannot be read. {CHECK_AND_EXPORT}",
        ) from error
    with container:
        pictures = chosen_pictures(container)
        sound = chosen_sound(container, pictures)
        if pictures is None and any(not is_cover(stream) for stream in container.streams.video):
            raise InputRefused(
                code="UNKNOWN_CODEC",
                sentence="The pictures of this video are in a format that we cannot read. "
                "Please export it again as an MP4 file with H.264, and upload that.",
            )
        if pictures is None and sound is None:
            raise InputRefused(
                code="NOTHING_TO_PLAY",
                sentence="The file holds neither moving pictures nor sound. Please upload the video itself.",
            )
        captions = CaptionPackets(container)
        warnings = _read(container, pictures, sound, captions)
        if pictures is not None:
            pictures.settle()
            source = _describe(container, pictures, sound, warnings, demuxer=demuxer, captions_end_s=captions.end_s())
        else:
            source = _describe_sound(container, sound, warnings, demuxer)
        return replace(source, captions=captions.sources())


def _read(
    container: Any, pictures: PicturePackets | None, sound: SoundPackets | None, captions: CaptionPackets
) -> list[str]:
    """Demux to the end, or to where the file breaks off."""
    wanted = [part.stream for part in (pictures, sound) if part] + captions.streams
    for stream in container.streams:
        if stream not in wanted:
            stream.discard = av.stream.Discard.all
    warnings = []
    try:
        for packet in container.demux(wanted):
            if pictures and packet.stream is pictures.stream:
                check_clear(packet)
                pictures.take(packet)
            elif sound and packet.stream is sound.stream:
                check_clear(packet)
                sound.take(packet)
            else:
                captions.take(packet)
    except av.error.FFmpegError:
        warnings.append("READING_BROKE_OFF")
    if captions.was_cut:
        warnings.append("CAPTIONS_CUT")
    return warnings


def _describe(
    container: Any,
    pictures: PicturePackets,
    sound: SoundPackets | None,
    warnings: list[str],
    *,
    demuxer: str,
    captions_end_s: Fraction,
) -> SourceInfo:
    first, first_pts, stream = pictures.first, pictures.first_pts, pictures.stream
    if first is None:
        raise InputRefused(
            code="DAMAGED",
            sentence=f"Not a single picture of this video can be shown: the file is damaged. {CHECK_AND_EXPORT}",
        )
    time_base = Fraction(stream.time_base)
    # Several pictures may claim one time; and the first that decodes may come after some that do not.
    times = sorted({time for time in pictures.times if time >= first_pts} | {first_pts})
    end = _end(times, pictures.last, stream)
    if pictures.early > max(_FEW_EARLY_PICTURES, len(pictures.times) // 2):
        raise InputRefused(
            code="BROKEN_TIMES", sentence=f"The video begins at its end: the clock is damaged. {CHECK_AND_EXPORT}"
        )
    check_times(times, end, time_base)
    if container.start_time is not None:
        check_start(first_pts * time_base, Fraction(container.start_time, av.time_base))
    check_size(first)
    audio = _audio(sound)
    begin_s, end_s = first_pts * time_base, end * time_base
    if audio is not None and begin_s - min(pictures.times) * time_base > _LONG_BROKEN_START_S:
        # What sounds with pictures that cannot be shown goes with them.
        audio = replace(audio, start_s=max(audio.start_s, begin_s))
    if audio is not None:
        # Sound that begins before the pictures or outlasts them is kept, and a picture stands under it.
        begin_s, end_s = min(begin_s, audio.start_s), max(end_s, audio.end_s)
        check_span(end_s - begin_s)
    if container.streams.audio and audio is None:
        warnings.append("AUDIO_UNREADABLE")
    if pictures.repeated > _FEW_EARLY_PICTURES:
        warnings.append("CLOCK_STARTS_OVER")
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
        picture_pts=tuple(times),
        keys=tuple(sorted(pictures.keys, key=lambda key: key.pts)),
        declared_rates=tuple(Fraction(rate) for rate in rates if rate),
        width_px=first.width,
        height_px=first.height,
        sample_aspect=_sample_aspect(stream),
        quarter_turns=round(first.rotation / 90) % 4,
        pixel_format=first.format.name,
        matrix=_MATRICES.get(int(first.colorspace), "unknown"),
        transfer=_HDR_TRANSFERS.get(int(first.color_trc), ""),
        interlaced=bool(first.interlaced_frame) or int(stream.codec_context.field_order) in _FIELD_ORDERS,
        upright=_is_upright(first),
        closed_gops=pictures.closed_gops,
        bit_rate_bps=round(container.size * 8 / ((end - first_pts) * time_base)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
    )


def _describe_sound(container: Any, sound: SoundPackets | None, warnings: list[str], demuxer: str) -> SourceInfo:
    """Describe a recording without pictures: its clock is the sound's."""
    audio = _audio(sound)
    if sound is None or audio is None or audio.end_s <= audio.start_s:
        raise InputRefused(
            code="DAMAGED", sentence=f"The file holds only sound, and none of it can be heard. {CHECK_AND_EXPORT}"
        )
    check_span(audio.end_s - audio.start_s)
    declared_s = _declared_s(container)
    if _falls_short(audio.end_s - audio.start_s, declared_s):
        warnings.append("SHORTER_THAN_DECLARED")
    time_base = Fraction(sound.stream.time_base)
    return SourceInfo(
        engine="",
        demuxer=demuxer,
        stream=audio.stream,
        codec=audio.codec,
        time_base=time_base,
        first_pts=int(audio.start_s / time_base),
        end_pts=int(audio.end_s / time_base),
        picture_pts=(),
        keys=(),
        declared_rates=(),
        width_px=0,
        height_px=0,
        sample_aspect=Fraction(1),
        quarter_turns=0,
        pixel_format="",
        matrix="unknown",
        transfer="",
        interlaced=False,
        upright=True,
        closed_gops=True,
        bit_rate_bps=round(container.size * 8 / (audio.end_s - audio.start_s)),
        audio=audio,
        declared_duration_s=declared_s,
        warnings=tuple(warnings),
    )


def _is_upright(first: Any) -> bool:
    try:
        matrix = first.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # It comes with data of a kind that PyAV does not know, as the second view of a spatial video does.
        return False
    return matrix is None or bytes(matrix) == _NO_TURN


def _declared_s(container: Any) -> float:
    return float(container.duration / av.time_base) if container.duration else 0.0


def _falls_short(found_s: Fraction, declared_s: float) -> bool:
    return declared_s > found_s * Fraction(21, 20) + 2


def _end(times: Sequence[int], last: tuple[int, int] | None, stream: Any) -> int:
    """Return when the last picture ends: by its own duration, else after the usual distance of two."""
    if last is not None and last[0] == times[-1] and last[1] > 0:
        return sum(last)
    if len(times) > 1:
        distances = sorted(later - earlier for earlier, later in itertools.pairwise(times))
        return times[-1] + distances[len(distances) // 2]
    rate = Fraction(stream.average_rate or 25)
    return times[-1] + max(1, round(1 / rate / Fraction(stream.time_base)))


def _sample_aspect(stream: Any) -> Fraction:
    """Return the width of a pixel over its height, the container's word before the codec's; 1 where absent or absurd."""
    aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    sane = Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT
    return aspect if sane else Fraction(1)


def _audio(sound: SoundPackets | None) -> AudioSource | None:
    if sound is None or sound.start is None or not sound.decodes:
        return None
    time_base, codec = Fraction(sound.stream.time_base), sound.stream.codec_context
    return AudioSource(
        stream=sound.stream.index,
        codec=codec.name,
        channels=codec.channels,
        sample_rate_hz=codec.sample_rate,
        start_s=sound.start * time_base,
        end_s=sound.end * time_base,
    )


def main() -> None:
    """Answer `{"source": ...}` or `{"refused": {"code", "sentence"}}` on standard output."""
    av.logging.set_level(av.logging.PANIC)
    try:
        answer: dict[str, Any] = {"source": probe(sys.argv[1], sys.argv[2]).to_json()}
    except InputRefused as refusal:
        answer = {"refused": {"code": refusal.code, "sentence": refusal.sentence}}
    json.dump(answer, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
