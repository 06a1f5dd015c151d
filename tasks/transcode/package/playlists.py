"""The playlists of one output, complete or growing: all rungs, the audio and the captions."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..captions import WEBVTT_CONTENT_TYPE, webvtt
from .dash import DASH_CONTENT_TYPE, dash_manifest
from .hls import (
    HLS_CONTENT_TYPE,
    Variant,
    caption_playlist,
    i_frame_playlist,
    master_playlist,
    media_playlist,
)
from .manifest import PublishedFile
from .renditions import PlacedCaptions, Rendition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    from ..captions import CaptionTrack
    from ..plan.plan import Plan
    from .tracks import Track

MASTER_NAME = "master.m3u8"
DASH_NAME = "manifest.mpd"
AUDIO_NAME = "audio"
CAPTIONS_NAME = "captions-"
"""Begins the names of the files of captions."""

_CONTENT_TYPES = {".m3u8": HLS_CONTENT_TYPE, ".mpd": DASH_CONTENT_TYPE, ".vtt": WEBVTT_CONTENT_TYPE}


def playlist_writers(
    plan: Plan, rungs: Sequence[Track], audio: Sequence[Track], *, growing_at: str = ""
) -> dict[str, Callable[[], str]]:
    """Return a function for each playlist and caption file, by name, that returns its text.

    `growing_at` is the time now (ISO 8601) if the tracks are not complete. HLS has no captions then:
    they are one segment from start to end, but target durations may only differ if the captions' list
    has its end (RFC 8216, 6.2.4), and Shaka Player 5.2 reads none of the others again if one has.
    """
    variants = [
        Variant(track, f"{rung.name}.m3u8", i_frame_name(track), rung.width_px, rung.height_px, plan.rate)
        for rung, track in zip(plan.rungs, rungs, strict=True)
    ]
    renditions = [Rendition(about, track) for about, track in zip(plan.audio_tracks, audio, strict=True)]
    texts = [webvtt(track) for track in plan.captions]
    captions = [
        (placed_captions(number, track, text), text)
        for number, (track, text) in enumerate(zip(plan.captions, texts, strict=True))
    ]
    return offered(variants, renditions, captions, duration_s=plan.frames / plan.rate, growing_at=growing_at)


def offered(
    variants: Sequence[Variant],
    renditions: Sequence[Rendition],
    captions: Sequence[tuple[PlacedCaptions, str]],
    *,
    duration_s: Fraction,
    growing_at: str = "",
) -> dict[str, Callable[[], str]]:
    """Return the same for tracks of any origin; `captions` has each track with its WebVTT."""
    placed = [each for each, _ in captions]
    in_hls = [] if growing_at else placed
    writers: dict[str, Callable[[], str]] = {MASTER_NAME: partial(master_playlist, variants, renditions, in_hls)}
    writers |= {each.playlist: partial(media_playlist, each.track) for each in variants}
    if not growing_at:
        writers |= {each.i_frame_playlist: partial(i_frame_playlist, each.track) for each in variants}
    writers |= {each.playlist: partial(media_playlist, each.track) for each in renditions}
    writers |= {each.playlist: partial(caption_playlist, each.url, duration_s) for each in in_hls}
    writers[DASH_NAME] = partial(
        dash_manifest, variants, renditions, placed, duration_s=duration_s, growing_at=growing_at
    )
    return writers | {each.url: partial(str, text) for each, text in captions}


def placed_captions(number: int, track: CaptionTrack, text: str) -> PlacedCaptions:
    """Return the track with the names of its files: it is number `number`, from 0, of the output."""
    name = caption_name(number)
    return PlacedCaptions(track, f"{name}.vtt", f"{name}.m3u8", len(text.encode()))


def playlists(plan: Plan, rungs: Sequence[Track], audio: Sequence[Track]) -> tuple[PublishedFile, ...]:
    """Return all playlists and captions of complete tracks."""
    return written(playlist_writers(plan, rungs, audio))


def written(writers: Mapping[str, Callable[[], str]]) -> tuple[PublishedFile, ...]:
    """Return the files of these writers."""
    return tuple(
        PublishedFile(name, _CONTENT_TYPES[PurePosixPath(name).suffix], write().encode())
        for name, write in writers.items()
    )


def audio_name(number: int) -> str:
    """Return the name of an audio track and of its playlist, without suffix."""
    return f"{AUDIO_NAME}-{number}" if number else AUDIO_NAME


def caption_name(number: int) -> str:
    """Return the name of a caption track's files, without suffix."""
    return f"{CAPTIONS_NAME}{number}"


def i_frame_name(track: Track) -> str:
    """Return the name of a rung's I-frame playlist."""
    return f"{track.name}-iframes.m3u8"
