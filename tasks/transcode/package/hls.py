"""HLS playlists (RFC 8216) whose segments are byte ranges of the units' files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ..captions import FORCED, SDH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..captions import CaptionTrack
    from ..outputs import MediaFile

HLS_CONTENT_TYPE = "application/vnd.apple.mpegurl"
_VERSION = 7
"""RFC 8216bis, section 8: EXT-X-MAP needs 6 in playlists that are not I-frames only; its examples declare 7."""

WHOLE_TYPE = "#EXT-X-PLAYLIST-TYPE:VOD"
GROWING_TYPE = "#EXT-X-PLAYLIST-TYPE:EVENT"
_FROM_START = "#EXT-X-START:TIME-OFFSET=0"
"""Without it, players begin a growing playlist near its end."""

_SHORTEST_PEAK = Fraction(1, 2)
_LONGEST_PEAK = Fraction(3, 2)
"""Shortest and longest run of segments that counts for the peak bit rate, in target durations: RFC 8216, 4.3.4.2."""


@dataclass(frozen=True)
class PlacedFile:
    """A media file and its URL in playlists."""

    url: str
    file: MediaFile


@dataclass(frozen=True)
class Planned:
    """What a track will be that is not complete yet, so that its playlists declare what those of the whole will."""

    times: tuple[tuple[int, int], ...]
    """(start, duration) of all segments, in ticks."""
    peak_bps: int
    """Upper limit of the peak bit rate."""


@dataclass(frozen=True)
class Track:
    """The files of one rung, or of the audio, in chronological order."""

    name: str
    files: tuple[PlacedFile, ...]
    planned: Planned | None = None
    """None if the track is complete."""

    @property
    def times(self) -> Sequence[tuple[int, int]]:
        """(start, duration) of each segment of the complete track, in ticks."""
        if self.planned is not None:
            return self.planned.times
        return [
            (segment.start_ticks, segment.duration_ticks) for placed in self.files for segment in placed.file.segments
        ]

    @property
    def longest_s(self) -> Fraction:
        """Seconds of the longest segment of the complete track."""
        return Fraction(max(duration for _, duration in self.times), self.files[0].file.timescale)

    @property
    def codec(self) -> str:
        """Codec string (RFC 6381)."""
        return self.files[0].file.codec

    @property
    def segments(self) -> list[tuple[Fraction, int]]:
        """(seconds, bytes) of each segment."""
        return [
            (Fraction(segment.duration_ticks, placed.file.timescale), segment.bytes)
            for placed in self.files
            for segment in placed.file.segments
        ]

    @property
    def duration_s(self) -> Fraction:
        """Seconds of all segments."""
        return sum((duration_s for duration_s, _ in self.segments), Fraction(0))

    @property
    def average_bps(self) -> int:
        """Average bit rate over all segments."""
        return round(sum(size for _, size in self.segments) * 8 / self.duration_s)

    @property
    def peak_bps(self) -> int:
        """Largest bit rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216, 4.3.4.2).

        Its limit if the track is not complete.
        """
        if self.planned is not None:
            return max(self.planned.peak_bps, self.average_bps)
        segments, target_s = self.segments, target_duration_s(self)
        peak = Fraction(self.average_bps)
        for start in range(len(segments)):
            run_s, run_bytes = Fraction(0), 0
            for duration_s, size in segments[start:]:
                run_s, run_bytes = run_s + duration_s, run_bytes + size
                if run_s > _LONGEST_PEAK * target_s:
                    break
                if run_s >= _SHORTEST_PEAK * target_s:
                    peak = max(peak, run_bytes * 8 / run_s)
        return round(peak)


@dataclass(frozen=True)
class Variant:
    """A rung as offered by the master playlist."""

    track: Track
    playlist: str
    i_frame_playlist: str
    width_px: int
    height_px: int
    frame_rate: Fraction


@dataclass(frozen=True)
class PlacedCaptions:
    """A caption track with the URLs of its WebVTT file and of the playlist that contains that file."""

    track: CaptionTrack
    url: str
    playlist: str
    bytes: int


def target_duration_s(track: Track) -> int:
    """Return the longest segment's duration, rounded to whole seconds as in RFC 8216, 4.3.3.1; at least 1."""
    return max(1, int(track.longest_s + Fraction(1, 2)))


def key_frame_track(track: Track) -> Track:
    """Return a track whose segments are the key frames of `track`; each lasts until the next one."""
    return Track(
        track.name,
        tuple(replace(placed, file=replace(placed.file, segments=placed.file.key_frames)) for placed in track.files),
    )


def i_frame_playlist(track: Track) -> str:
    """Return the playlist of a rung's key frames alone (RFC 8216, 4.3.3.6), for fast forward and scrubbing."""
    return _playlist(key_frame_track(track), "#EXT-X-I-FRAMES-ONLY")


def media_playlist(track: Track) -> str:
    """Return the playlist of one rung or of the audio."""
    return _playlist(track, "#EXT-X-INDEPENDENT-SEGMENTS")


def _playlist(track: Track, type_tag: str) -> str:
    """Return the playlist of a track. All files of the track share the first file's init segment.

    An incomplete track's playlist only grows (RFC 8216, 4.3.3.5).
    """
    first, is_growing = track.files[0], track.planned is not None
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{target_duration_s(track)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        *((GROWING_TYPE, _FROM_START) if is_growing else (WHOLE_TYPE,)),
        type_tag,
        f'#EXT-X-MAP:URI="{first.url}",BYTERANGE="{first.file.init_bytes}@0"',
    ]
    for placed in track.files:
        for segment in placed.file.segments:
            lines += [
                f"#EXTINF:{segment.duration_ticks / placed.file.timescale:.6f},",
                f"#EXT-X-BYTERANGE:{segment.bytes}@{segment.offset}",
                placed.url,
            ]
    return "\n".join([*lines, "" if is_growing else "#EXT-X-ENDLIST\n"])


def caption_playlist(url: str, duration_s: Fraction) -> str:
    """Return the playlist of a WebVTT file as one segment, so that cues may cross the video's segment boundaries."""
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{max(1, int(duration_s + Fraction(1, 2)))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        WHOLE_TYPE,
        f"#EXTINF:{float(duration_s):.6f},",
        url,
        "#EXT-X-ENDLIST",
    ]
    return "\n".join([*lines, ""])


def master_playlist(
    variants: Sequence[Variant], audio: Track | None, audio_playlist: str, captions: Sequence[PlacedCaptions]
) -> str:
    """Return the playlist that offers all rungs, with the audio and captions they share, or the audio alone."""
    tracks = [variant.track for variant in variants] + ([audio] if audio is not None else [])
    is_growing = any(track.planned is not None for track in tracks)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_FROM_START] if is_growing else []
    if audio is not None and variants:
        lines.append(
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
            f'URI="{audio_playlist}"'
        )
    lines += [_caption_line(each) for each in captions]
    for variant in variants:
        parts = [variant.track] + ([audio] if audio is not None else [])
        attributes = [
            f"BANDWIDTH={sum(part.peak_bps for part in parts)}",
            f"AVERAGE-BANDWIDTH={sum(part.average_bps for part in parts)}",
            f'CODECS="{",".join(part.codec for part in parts)}"',
            f"RESOLUTION={variant.width_px}x{variant.height_px}",
            f"FRAME-RATE={float(variant.frame_rate):.3f}",
            "VIDEO-RANGE=SDR",
            # The video stream contains no captions (CEA-608), so players need not look for any.
            "CLOSED-CAPTIONS=NONE",
        ]
        if audio is not None:
            attributes.append('AUDIO="audio"')
        if captions:
            attributes.append('SUBTITLES="captions"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", variant.playlist]
    if audio is not None:
        lines += [f"#EXT-X-STREAM-INF:{_audio_only_attributes(audio, variants, captions)}", audio_playlist]
    # Scrubbing can wait until everything is there.
    lines += [] if is_growing else [_i_frame_line(variant) for variant in variants]
    return "\n".join([*lines, ""])


def _audio_only_attributes(audio: Track, variants: Sequence[Variant], captions: Sequence[PlacedCaptions]) -> str:
    """Return the master playlist's attributes for the audio alone.

    Next to variants with video, it is for slow networks and for players in the background. Of those
    that cannot switch between the two, hls.js and Shaka Player ignore it.
    """
    attributes = [
        f"BANDWIDTH={audio.peak_bps}",
        f"AVERAGE-BANDWIDTH={audio.average_bps}",
        f'CODECS="{audio.codec}"',
    ]
    if variants:
        # If one variant declares that there are no closed captions, all must (RFC 8216, 4.3.4.2).
        attributes += ["CLOSED-CAPTIONS=NONE", 'AUDIO="audio"']
    return ",".join([*attributes, 'SUBTITLES="captions"'] if captions else attributes)


_FOR_THE_DEAF = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
"""RFC 8216, 4.3.4.1: characteristics of captions for the deaf and hard of hearing."""


def _caption_line(placed: PlacedCaptions) -> str:
    language = f'LANGUAGE="{placed.track.language}",' if placed.track.language else ""
    purpose = placed.track.purpose
    characteristics = f'CHARACTERISTICS="{_FOR_THE_DEAF}",' if purpose == SDH else ""
    return (
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="{placed.track.name}",{language}{characteristics}'
        f'DEFAULT=NO,AUTOSELECT=YES,FORCED={"YES" if purpose == FORCED else "NO"},URI="{placed.playlist}"'
    )


def _i_frame_line(variant: Variant) -> str:
    track = key_frame_track(variant.track)
    attributes = [
        f"BANDWIDTH={track.peak_bps}",
        f"AVERAGE-BANDWIDTH={track.average_bps}",
        f'CODECS="{track.codec}"',
        f"RESOLUTION={variant.width_px}x{variant.height_px}",
        "VIDEO-RANGE=SDR",
        f'URI="{variant.i_frame_playlist}"',
    ]
    return f"#EXT-X-I-FRAME-STREAM-INF:{','.join(attributes)}"
