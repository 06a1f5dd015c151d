"""HLS playlists (RFC 8216) whose segments are byte ranges of the units' files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .renditions import audio_lines, caption_line, default_rendition
from .tracks import key_frame_track, target_duration_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .renditions import PlacedCaptions, Rendition
    from .tracks import Track

HLS_CONTENT_TYPE = "application/vnd.apple.mpegurl"
_VERSION = 7
"""RFC 8216bis, section 8: EXT-X-MAP needs 6 in playlists that are not I-frames only; its examples declare 7."""

WHOLE_TYPE = "#EXT-X-PLAYLIST-TYPE:VOD"
GROWING_TYPE = "#EXT-X-PLAYLIST-TYPE:EVENT"
_FROM_START = "#EXT-X-START:TIME-OFFSET=0"
"""Without it, players begin a growing playlist near its end."""


@dataclass(frozen=True)
class Variant:
    """A rung as offered by the master playlist."""

    track: Track
    playlist: str
    i_frame_playlist: str
    width_px: int
    height_px: int
    frame_rate: Fraction


def i_frame_playlist(track: Track) -> str:
    """Return the playlist of a rung's key frames alone (RFC 8216, 4.3.3.6), for fast forward and scrubbing."""
    return _playlist(key_frame_track(track), "#EXT-X-I-FRAMES-ONLY")


def media_playlist(track: Track) -> str:
    """Return the playlist of one rung or audio track."""
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


def master_playlist(variants: Sequence[Variant], audio: Sequence[Rendition], captions: Sequence[PlacedCaptions]) -> str:
    """Return the playlist that offers all rungs, with the audio and captions they share, or the audio alone.

    The bit rates of a variant count the audio track that needs most (RFC 8216bis, 4.4.6.2), and so do
    those of the audio alone. Without video, that one has the group of audio only if there is a choice.
    """
    tracks = [variant.track for variant in variants] + [each.track for each in audio]
    has_group = bool(variants) or len(audio) > 1
    is_growing = any(track.planned is not None for track in tracks)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_FROM_START] if is_growing else []
    lines += audio_lines(audio) if has_group else []
    lines += [caption_line(each) for each in captions]
    audio_peak_bps, audio_average_bps, audio_codecs = _of_audio(audio)
    for variant in variants:
        attributes = [
            f"BANDWIDTH={variant.track.peak_bps + audio_peak_bps}",
            f"AVERAGE-BANDWIDTH={variant.track.average_bps + audio_average_bps}",
            f'CODECS="{",".join([variant.track.codec, *audio_codecs])}"',
            f"RESOLUTION={variant.width_px}x{variant.height_px}",
            f"FRAME-RATE={float(variant.frame_rate):.3f}",
            "VIDEO-RANGE=SDR",
            # The video stream contains no captions (CEA-608), so players need not look for any.
            "CLOSED-CAPTIONS=NONE",
        ]
        if audio:
            attributes.append('AUDIO="audio"')
        if captions:
            attributes.append('SUBTITLES="captions"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", variant.playlist]
    alone = default_rendition(audio)
    if alone is not None:
        attributes = [
            f"BANDWIDTH={audio_peak_bps}",
            f"AVERAGE-BANDWIDTH={audio_average_bps}",
            f'CODECS="{",".join(audio_codecs)}"',
            # If one variant declares that there are no closed captions, all must (RFC 8216, 4.3.4.2).
            *(["CLOSED-CAPTIONS=NONE"] if variants else []),
            *(['AUDIO="audio"'] if has_group else []),
            *(['SUBTITLES="captions"'] if captions else []),
        ]
        # Next to variants with video, it is for slow networks and for players in the background. Of those
        # that cannot switch between the two, hls.js and Shaka Player ignore it.
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", alone.playlist]
    # Scrubbing can wait until everything is there.
    lines += [] if is_growing else [_i_frame_line(variant) for variant in variants]
    return "\n".join([*lines, ""])


def _of_audio(audio: Sequence[Rendition]) -> tuple[int, int, list[str]]:
    """Return the largest peak and average bit rate, and the codecs, of audio tracks; zeros without any."""
    tracks = [each.track for each in audio]
    return (
        max((track.peak_bps for track in tracks), default=0),
        max((track.average_bps for track in tracks), default=0),
        sorted({track.codec for track in tracks}),
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
