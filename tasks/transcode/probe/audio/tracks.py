"""All audio tracks of a container while it is read, and what is published of them.

Runs only in the probe's child process.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.error

from ...audio.meter import MixMeter
from ...audio.tracks import default_of, select_tracks
from ...languages import language_of
from ...sandbox.limits import MAX_AUDIO_TRACKS
from ...source_warnings import with_detail
from ..streams import codec_name, programme_of
from .packets import AudioPackets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...source import AudioSource
    from ..packets import VideoPackets


class AudioTracks:
    """The audio streams of the video's programme, up to a number; default ones take precedence."""

    def __init__(self, container: Any, video: VideoPackets | None) -> None:
        self._container = container
        programme = programme_of(container, video.stream) if video is not None else None
        self._all = [
            stream for stream in container.streams.audio if programme is None or stream.index in programme
        ] or list(container.streams.audio)
        readable = [stream for stream in self._all if stream.codec_context is not None]
        best = container.streams.best("audio", related=video.stream) if programme and video is not None else None
        self._best = best.index if best is not None else None
        ranked = sorted(readable, key=lambda stream: (stream.index != self._best, not _is_default(stream)))
        taken = {stream.index for stream in ranked[:MAX_AUDIO_TRACKS]}
        self._packets = {
            stream.index: AudioPackets(stream, container.size) for stream in readable if stream.index in taken
        }
        self._beyond = [stream for stream in readable if stream.index not in taken]

    @property
    def streams(self) -> list[Any]:
        """The streams that are read."""
        return [packets.stream for packets in self._packets.values()]

    def take(self, packet: Any) -> bool:
        """Process a packet; return False if it is of none of the streams."""
        packets = self._packets.get(packet.stream.index)
        if packets is None:
            return False
        packets.take(packet)
        return True

    def decodes(self, packet: Any) -> bool:
        """Return whether any frame of a packet's stream was decoded."""
        packets = self._packets.get(packet.stream.index)
        return packets is not None and packets.decodes

    def covers(self, start_s: Fraction, end_s: Fraction) -> bool:
        """Return whether one of the tracks has audio from `start_s` to `end_s`, but for pauses of a minute."""
        return any(packets.covers(start_s, end_s) for packets in self._packets.values())

    def sources(self, warnings: list[str], video: tuple[Fraction, Fraction] | None = None) -> tuple[AudioSource, ...]:
        """Return the tracks to publish, one of them as default, and add the codes of warnings to `warnings`.

        `video` is when the video starts and ends, in seconds. Tracks without any packet are ignored.
        Tracks of several streams have no level yet.
        """
        found = [(index, packets.source(video[1] if video else None)) for index, packets in self._packets.items()]
        tracks = [
            replace(track, is_default=track.is_default if self._best is None else index == self._best)
            for index, track in found
            if track is not None
        ]
        start_s, end_s = video or (
            min((track.start_s for track in tracks), default=Fraction(0)),
            max((track.end_s for track in tracks), default=Fraction(0)),
        )
        selection = select_tracks(tracks, (start_s, end_s))
        self._warn_of_unreadable(warnings, tracks)
        if any(packets.is_cut for packets in self._packets.values()):
            warnings.append("AUDIO_CUT")
        reasons = [
            (self._named(index for track in selection.silent for index in track.streams), "silent"),
            (self._named(index for track in selection.spare for index in track.streams), "spare microphones"),
            (self._named(stream.index for stream in self._beyond), f"more than {MAX_AUDIO_TRACKS} tracks"),
        ]
        if any(names for names, _ in reasons):
            detail = ", ".join(f"{names} ({reason})" for names, reason in reasons if names)
            warnings.append(with_detail("AUDIO_LEFT_OUT", detail))
        kept = tuple(_one(group) for group in selection.kept)
        mixed = [track.streams for track in kept if len(track.streams) > 1]
        warnings += [with_detail("AUDIO_MIXED", self._named(streams)) for streams in mixed]
        return tuple(replace(track, is_default=track is default_of(kept)) for track in kept)

    def _warn_of_unreadable(self, warnings: list[str], tracks: list[AudioSource]) -> None:
        if not tracks:
            if self._all:
                warnings.append(with_detail("AUDIO_UNREADABLE", "all of it, so the video is silent"))
            return
        readable = {index for track in tracks for index in track.streams} | {stream.index for stream in self._beyond}
        # A track without any packet has nothing that could be lost.
        unreadable = [
            stream
            for stream in self._all
            if stream.index not in readable
            and not (stream.index in self._packets and self._packets[stream.index].is_empty)
        ]
        if unreadable:
            warnings.append(with_detail("AUDIO_UNREADABLE", self._named(stream.index for stream in unreadable)))

    def _named(self, indices: Iterable[int]) -> str:
        """Return numbers of tracks, as players count them from 1, with their languages: `track 2 (Français)`."""
        places = [stream.index for stream in self._container.streams.audio]
        return ", ".join(
            f"track {places.index(index) + 1}{self._about(self._container.streams[index])}" for index in indices
        )

    def _about(self, stream: Any) -> str:
        codec = codec_name(self._container, stream) if stream.codec_context is None else ""
        words = [language_of(stream.metadata.get("language", "")).name, codec]
        return f" ({', '.join(word for word in words if word)})" if any(words) else ""

    def with_positions(self, tracks: tuple[AudioSource, ...], time_base: Fraction) -> tuple[AudioSource, ...]:
        """Return the tracks with their stretches, timed in another time base."""
        return tuple(replace(track, stretches=self._stretches(track, time_base)) for track in tracks)

    def _stretches(self, track: AudioSource, time_base: Fraction) -> Any:
        of_streams = [self._packets[index].stretches(time_base) for index in track.streams]
        if not all(of_streams):
            return ()
        return tuple(sorted((each for stretches in of_streams for each in stretches), key=lambda each: each.dts))


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.default)


def _one(group: tuple[AudioSource, ...]) -> AudioSource:
    """Return what the tracks of a group become."""
    first = group[0]
    if len(group) == 1:
        return first
    return replace(
        first,
        streams=tuple(index for track in group for index in track.streams),
        start_s=min(track.start_s for track in group),
        end_s=max(track.end_s for track in group),
        downmix="",
        level=None,
        is_default=any(track.is_default for track in group),
    )


def with_mixed_levels(tracks: tuple[AudioSource, ...], container: Any) -> tuple[AudioSource, ...]:
    """Return the tracks with the level of those that are mixed; `container` is read from its beginning for them.

    What two microphones are like together is known only of their sum: one may have recorded what the
    other one did.
    """
    return tuple(
        replace(track, level=_mixed_level(track, container)) if len(track.streams) > 1 else track for track in tracks
    )


def _mixed_level(track: AudioSource, container: Any) -> Any:
    streams = [container.streams[index] for index in track.streams]
    for stream in container.streams:
        if stream not in streams:
            stream.discard = av.stream.Discard.all
    meter = MixMeter(streams, float(track.end_s - track.start_s))
    try:
        for packet in container.demux(streams):
            meter.take(packet)
    except (av.error.FFmpegError, IndexError):  # as when it was read before
        pass
    return meter.level()


def level_warnings(tracks: tuple[AudioSource, ...]) -> list[str]:
    """Return the codes of warnings about the levels of the tracks."""
    warnings = []
    levels = [track.level for track in tracks if track.level is not None]
    if any(level.is_quiet for level in levels):
        warnings.append("AUDIO_QUIET")
    if any(level.is_clipped for level in levels):
        warnings.append("AUDIO_CLIPPED")
    return warnings
