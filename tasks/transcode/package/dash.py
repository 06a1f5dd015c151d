"""The DASH manifest (ISO/IEC 23009-1), with the same byte ranges as the HLS playlists."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ..audio.tracks import COMMENTARY, DESCRIPTION
from ..captions import FORCED, SDH, WEBVTT_CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hls import Variant
    from .renditions import PlacedCaptions, Rendition
    from .tracks import Track

DASH_CONTENT_TYPE = "application/dash+xml"

_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_PROFILE = "urn:mpeg:dash:profile:full:2011"
"""The profiles for templated file names do not fit: a segment is a byte range of a unit's file."""

_ROLE_SCHEME = "urn:mpeg:dash:role:2011"
_CHANNELS_SCHEME = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
_STARTS_WITH_KEY_FRAME = "1"
"""SAP type 1, ISO/IEC 14496-12 annex I: every segment decodes on its own, and its first frame is shown first."""


_UTC_SCHEME = "urn:mpeg:dash:utc:direct:2014"
_LONG_AGO = "1970-01-01T00:00:00Z"


def dash_manifest(
    variants: Sequence[Variant],
    audio: Sequence[Rendition],
    captions: Sequence[PlacedCaptions],
    *,
    duration_s: Fraction,
    growing_at: str = "",
) -> str:
    """Return the MPD that offers all rungs, with the audio and captions they share, for `duration_s` seconds.

    With `growing_at`, the time now (ISO 8601), it is dynamic: players read it again until it is static.
    """
    tracks = [variant.track for variant in variants] + [each.track for each in audio]
    root = ET.Element(
        "MPD",
        {
            "xmlns": _NAMESPACE,
            "profiles": _PROFILE,
            "type": "dynamic" if growing_at else "static",
            "mediaPresentationDuration": _duration(duration_s),
            "minBufferTime": _duration(_min_buffer_s(tracks)),
        },
    )
    if growing_at:
        # How far a video is made does not follow the clock. So by the clock all of it is available,
        # and the delay makes players begin at the start.
        root.attrib |= {
            "availabilityStartTime": _LONG_AGO,
            "publishTime": growing_at,
            # As often as players of HLS read a growing playlist.
            "minimumUpdatePeriod": _duration(_min_buffer_s(tracks)),
            "suggestedPresentationDelay": _duration(duration_s),
        }
    period = ET.SubElement(root, "Period", {"id": "0", "start": "PT0S", "duration": _duration(duration_s)})
    if variants:
        _add_video(period, variants)
    for number, rendition in enumerate(audio, start=1):
        _add_audio(period, str(number), rendition)
    for number, each in enumerate(captions, start=1 + max(1, len(audio))):
        _add_captions(period, str(number), each, duration_s)
    if growing_at:
        ET.SubElement(root, "UTCTiming", {"schemeIdUri": _UTC_SCHEME, "value": growing_at})
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _min_buffer_s(tracks: Sequence[Track]) -> Fraction:
    """Return the duration of the longest segment.

    Once that much is buffered, `bandwidth`, the peak over segments, is enough to keep playing.
    """
    return max(track.longest_s for track in tracks)


def _add_video(period: ET.Element, variants: Sequence[Variant]) -> None:
    kind = {"id": "0", "contentType": "video", "mimeType": "video/mp4", "segmentAlignment": "true"}
    rungs = ET.SubElement(period, "AdaptationSet", kind | {"startWithSAP": _STARTS_WITH_KEY_FRAME})
    for variant in variants:
        rung = _add_representation(rungs, variant.track)
        rate = variant.frame_rate
        rung.attrib |= {
            "width": str(variant.width_px),
            "height": str(variant.height_px),
            "sar": "1:1",
            "frameRate": str(rate),
        }
        _add_segments(rung, variant.track)


_AUDIO_ROLES = {COMMENTARY: "commentary", DESCRIPTION: "description"}
_AUDIO_PURPOSE_SCHEME, _FOR_THE_BLIND = "urn:tva:metadata:cs:AudioPurposeCS:2007", "1"
"""DASH-IF Interoperability Points, 4.3: how players recognise a description of the video."""


def _add_audio(period: ET.Element, number: str, rendition: Rendition) -> None:
    about, audio = rendition.about, rendition.track
    kind = {"id": number, "contentType": "audio", "mimeType": "audio/mp4", "segmentAlignment": "true"}
    language = {"lang": about.language} if about.language else {}
    audio_set = ET.SubElement(period, "AdaptationSet", kind | {"startWithSAP": _STARTS_WITH_KEY_FRAME} | language)
    ET.SubElement(audio_set, "Label").text = about.name
    if about.purpose == DESCRIPTION:
        purpose = {"schemeIdUri": _AUDIO_PURPOSE_SCHEME, "value": _FOR_THE_BLIND}
        ET.SubElement(audio_set, "Accessibility", purpose)
    roles = ["main"] if about.is_default else [] if about.purpose else ["alternate"]
    for role in (*roles, *([_AUDIO_ROLES[about.purpose]] if about.purpose else [])):
        ET.SubElement(audio_set, "Role", {"schemeIdUri": _ROLE_SCHEME, "value": role})
    representation = _add_representation(audio_set, audio)
    # The timescale of the engine's audio tracks is the sample rate.
    representation.set("audioSamplingRate", str(audio.files[0].file.timescale))
    ET.SubElement(representation, "AudioChannelConfiguration", {"schemeIdUri": _CHANNELS_SCHEME, "value": "2"})
    _add_segments(representation, audio)


_CAPTION_ROLES = {"": "subtitle", FORCED: "forced-subtitle", SDH: "caption"}
"""ISO/IEC 23009-1, table of roles: captions contain what the deaf would miss."""


def _add_captions(period: ET.Element, number: str, placed: PlacedCaptions, duration_s: Fraction) -> None:
    kind = {"id": number, "contentType": "text", "mimeType": WEBVTT_CONTENT_TYPE}
    language = {"lang": placed.track.language} if placed.track.language else {}
    texts = ET.SubElement(period, "AdaptationSet", kind | language)
    # In this order, by the standard's schema.
    ET.SubElement(texts, "Label").text = placed.track.name
    ET.SubElement(texts, "Role", {"schemeIdUri": _ROLE_SCHEME, "value": _CAPTION_ROLES[placed.track.purpose]})
    bandwidth_bps = max(1, round(placed.bytes * 8 / duration_s))
    attributes = {"id": f"captions-{number}", "bandwidth": str(bandwidth_bps)}
    ET.SubElement(ET.SubElement(texts, "Representation", attributes), "BaseURL").text = placed.url


def _add_representation(parent: ET.Element, track: Track) -> ET.Element:
    attributes = {"id": track.name, "bandwidth": str(track.peak_bps), "codecs": track.codec}
    return ET.SubElement(parent, "Representation", attributes)


def _add_segments(representation: ET.Element, track: Track) -> None:
    """Add the time and byte range of every segment. All files of the track share the first file's init segment.

    The last one of an output is left out while the manifest is dynamic. Its end is not a multiple of the
    nominal duration, and Shaka Player 5.2 moves it there only if it is added when the manifest is static;
    otherwise it waits for more, and never ends.
    """
    first = track.files[0]
    attributes = {"timescale": str(first.file.timescale), "duration": str(_nominal_ticks(track.times))}
    segment_list = ET.SubElement(representation, "SegmentList", attributes)
    ET.SubElement(segment_list, "Initialization", {"sourceURL": first.url, "range": _range(0, first.file.init_bytes)})
    for placed in track.files:
        for segment in placed.file.segments:
            if track.planned is not None and segment.start_ticks >= track.times[-1][0]:
                break
            media_range = _range(segment.offset, segment.bytes)
            ET.SubElement(segment_list, "SegmentURL", {"media": placed.url, "mediaRange": media_range})


def _nominal_ticks(times: Sequence[tuple[int, int]]) -> int:
    """Return the duration of all segments but the last.

    It is exact for video; audio can only be cut between AAC frames, so its segments differ by up to
    one frame. The standard lets a segment differ by half of the duration (5.3.9.5.3). A
    SegmentTimeline would be exact for audio too, but dash.js 5.2 ignores it in a SegmentList: it
    plays the first segment again and again.
    """
    (first, duration), (last, _) = times[0], times[-1]
    return duration if len(times) == 1 else round(Fraction(last - first, len(times) - 1))


def _range(offset: int, size_bytes: int) -> str:
    return f"{offset}-{offset + size_bytes - 1}"


def _duration(seconds: Fraction) -> str:
    return f"PT{float(seconds):.6f}S"
