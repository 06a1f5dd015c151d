"""The probe itself.

Run under limits as `python -m tasks.transcode.probe.child PATH DEMUXER`; writes JSON to stdout.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.stream

from ..arrival import ArrivalClient
from ..errors import InputRejectedError
from ..rejections import rejection
from ..source import SourceInfo
from ..source_warnings import with_spans
from ..splicing import SPLICED_DEMUXERS, ClockSurvey, Splicer
from .audio.tracks import AudioTracks, level_warnings, with_mixed_levels
from .captions import CaptionPackets
from .chapters import read_chapters
from .checks import check_playable, check_unencrypted
from .description import describe_audio, describe_video
from .packets import VideoPackets
from .parts.other_kinds import OtherKinds
from .positions import UnreadParts
from .sample_index import has_sample_index
from .source_file import SourceFile
from .streams import choose_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_Spans = list[tuple[Fraction, Fraction]]

_OTHER_TRACKS = ("AUDIO_LEFT_OUT", "AUDIO_UNREADABLE track")
"""Beginnings of the warnings about single audio tracks."""


def probe(file: SourceFile, demuxer: str) -> SourceInfo:
    """Read every packet of the file and describe it; read it again if its clock starts over or its streams change.

    Raises InputRejectedError with a message for the file's owner. Its cause may be an error of the
    disk, which libav does not tell from the end of the file: see `SourceFile.error`.
    """
    source, unread_s, other_s = _on_one_clock(file, demuxer)
    if unread_s and demuxer == "mpegts":
        with suppress(InputRejectedError):
            merged, still_unread_s, merged_other_s = _on_one_clock(file, demuxer, {"merge_pmt_versions": "1"})
            if len(still_unread_s) + len(merged_other_s) < len(unread_s):
                source, unread_s, other_s = replace(merged, merges_streams=True), still_unread_s, merged_other_s
    warnings = list(source.warnings)
    if unread_s:
        # The other audio tracks are those of that part.
        source = replace(source, audio=tuple(track for track in source.audio if track.is_default))
        warnings = [each for each in warnings if not each.startswith(_OTHER_TRACKS)]
    # The lengths of the former are known, those of the latter estimates.
    left_out_s = _separate([*other_s, *unread_s])
    if left_out_s:
        warnings.append(with_spans("PART_LEFT_OUT", left_out_s))
    if left_out_s or source.splicing is not None:
        # What libav takes for the duration is only the distance between the first and the last time.
        warnings = [each for each in warnings if each != "SHORTER_THAN_DECLARED"]
    return replace(source, warnings=tuple(warnings))


def _on_one_clock(
    file: SourceFile, demuxer: str, options: Mapping[str, str] | None = None
) -> tuple[SourceInfo, _Spans, _Spans]:
    """Return the description, and the spans of time for which there are other streams, or other kinds in them."""
    if demuxer not in SPLICED_DEMUXERS:
        return _probe(file, demuxer, (), options), [], []
    survey, unread, kinds = ClockSurvey(), _unread_parts(demuxer), _other_kinds(file, demuxer)
    try:
        source = _probe(file, demuxer, (survey.take, *(part.take for part in unread)), options, kinds)
    except InputRejectedError:
        if survey.splicing() is None:
            raise
    splicing = survey.splicing()
    if splicing is not None:
        unread, kinds = _unread_parts(demuxer), _other_kinds(file, demuxer)
        source = _probe(file, demuxer, (Splicer(splicing).take, *(part.take for part in unread)), options, kinds)
        source = replace(source, declared_duration_s=0.0, splicing=splicing)
    file.on_block = None
    unread_s = _separate(span for part in unread for span in part.spans_s(file))
    if kinds is None:
        return source, unread_s, []
    return replace(source, decoders=kinds.decoders()), unread_s, _separate(kinds.spans_s())


def _other_kinds(file: SourceFile, demuxer: str) -> OtherKinds | None:
    return OtherKinds(file) if demuxer == "mpegts" else None


def _unread_parts(demuxer: str) -> tuple[UnreadParts, ...]:
    return UnreadParts(demuxer), UnreadParts(demuxer, "video"), UnreadParts(demuxer, "audio")


def _separate(spans_s: Iterable[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
    """Return spans without those that overlap an earlier one, in order of time."""
    kept: list[tuple[Fraction, Fraction]] = []
    for start_s, end_s in spans_s:
        if all(end_s <= other_start_s or start_s >= other_end_s for other_start_s, other_end_s in kept):
            kept.append((start_s, end_s))
    return sorted(kept)


def _probe(
    file: SourceFile,
    demuxer: str,
    follow: Sequence[Callable[[Any], None]],
    options: Mapping[str, str] | None,
    kinds: OtherKinds | None = None,
) -> SourceInfo:
    file.seek(0)
    try:
        container = _open(file, demuxer, options)
    except (av.error.FFmpegError, ValueError) as error:
        raise InputRejectedError(**rejection("DAMAGED.header")) from error
    with container:
        video = choose_video(container)
        tracks = AudioTracks(container, video)
        if video is None:
            check_playable(container, tracks)
        captions = CaptionPackets(container)
        warnings = _read(container, _Reader(video, tracks, captions, follow, kinds))
        if video is not None:
            video.assign_missing_times()
            source = describe_video(
                container, video, tracks, warnings, demuxer=demuxer, captions_end_s=captions.end_s()
            )
        else:
            source = describe_audio(container, tracks, warnings, demuxer)
        indexed = demuxer == "mov" and has_sample_index(file)
        chapters, more_warnings = read_chapters(container, file, demuxer)
        source = replace(
            source,
            audio=tracks.with_positions(source.audio, source.time_base),
            captions=captions.sources(),
            chapters=chapters,
            indexed=indexed,
            size_bytes=file.seek(0, 2),
            stretches=video.positions.stretches() if video is not None else (),
        )
    if any(len(track.streams) > 1 for track in source.audio):
        file.seek(0)
        with _open(file, demuxer, options) as container:
            source = replace(source, audio=with_mixed_levels(source.audio, container))
    return replace(source, warnings=(*source.warnings, *level_warnings(source.audio), *more_warnings))


def _open(file: SourceFile, demuxer: str, options: Mapping[str, str] | None) -> Any:
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer, **(options or {})}
    return av.open(file, format=demuxer, options=options, metadata_errors="replace")


@dataclass
class _Reader:
    """What processes the packets that are read."""

    video: VideoPackets | None
    tracks: AudioTracks
    captions: CaptionPackets
    follow: Sequence[Callable[[Any], None]]
    """These get each packet first, and may change its times."""
    kinds: OtherKinds | None

    @property
    def streams(self) -> list[Any]:
        """The streams that are read."""
        return [*([self.video.stream] if self.video else []), *self.tracks.streams, *self.captions.streams]

    def take(self, packet: Any) -> None:
        """Process a packet, or the empty one at the end of a stream."""
        if self.kinds is not None and self.kinds.has(packet):
            return
        for take in self.follow:
            take(packet)
        if packet.stream.index in {stream.index for stream in self.captions.streams}:
            self.captions.take(packet)
            return
        check_unencrypted(packet)
        is_audio = self.tracks.take(packet)
        if not is_audio and self.video is not None:
            self.video.take(packet)
        if self.kinds is not None:
            has_frame = self.video is not None and self.video.first is not None
            self.kinds.note(packet, decodes=self.tracks.decodes(packet) if is_audio else has_frame)


def _read(container: Any, reader: _Reader) -> list[str]:
    """Demux to the end of the file, or as far as it can be read; return the codes of warnings."""
    wanted = reader.streams
    for stream in container.streams:
        if stream not in wanted:
            stream.discard = av.stream.Discard.all
    warnings = []
    try:
        for packet in container.demux(wanted):
            reader.take(packet)
    except av.error.FFmpegError:
        warnings.append("READING_BROKE_OFF")
    except IndexError:  # by PyAV, after the last packet, if streams appeared that were not there at the beginning
        pass
    if reader.captions.exceeds_limits:
        warnings.append("CAPTIONS_CUT")
    return warnings


def main() -> None:
    """Write `{"source": ...}`, `{"rejected": ARGUMENTS}` or `{"unreadable": TEXT}` to standard output."""
    av.logging.set_level(av.logging.PANIC)
    result: dict[str, Any]
    arrival = ArrivalClient(*map(int, sys.argv[3:])) if sys.argv[3:] else None
    with SourceFile(sys.argv[1], arrival) as file:
        try:
            result = {"source": probe(file, sys.argv[2]).to_json()}
        except InputRejectedError as error:
            result = {"rejected": {"code": error.code, "message": error.message, "details": error.details}}
        if file.error is not None:
            result = {"unreadable": file.error.strerror or str(file.error)}
    json.dump(result, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
