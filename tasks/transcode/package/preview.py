"""The preview's playlists and its manifest of level 0, from a source's own streams after the remux."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import PREVIEW_UNIT, EncodeError
from .hls import (
    HLS_CONTENT_TYPE,
    PlacedFile,
    Track,
    Variant,
    i_frame_playlist,
    master_playlist,
    media_playlist,
)
from .manifest import (
    MANIFEST_VERSION,
    PREVIEW_LEVEL,
    Publication,
    PublishedFile,
    described_object,
    described_playlists,
    track_summary,
    with_manifest,
)
from .publication import AUDIO_PLAYLIST_NAME, MASTER_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..outputs import MediaFile, UnitOutput
    from ..plan.plan import Plan


def build_preview(plan: Plan, output: UnitOutput, *, url_of: Callable[[MediaFile], str]) -> Publication:
    """Return playlists and manifest for the output of `remux`; `url_of` as for build_publication.

    HLS only, because a preview is shown for minutes.
    """
    if plan.preview is None:
        raise EncodeError(code="REMUX_UNFIT", message="The plan has no preview to publish.")
    tracks = [
        Track("audio" if file.role == "audio" else "source", (PlacedFile(url_of(file), file),)) for file in output.files
    ]
    video, audio = tracks[0], tracks[1] if len(tracks) > 1 else None
    variant = Variant(
        video, "source.m3u8", "source-iframes.m3u8", plan.preview.width_px, plan.preview.height_px, plan.rate
    )
    texts = {
        MASTER_NAME: master_playlist([variant], audio, AUDIO_PLAYLIST_NAME, ()),
        variant.playlist: media_playlist(video),
        variant.i_frame_playlist: i_frame_playlist(video),
    }
    if audio is not None:
        texts[AUDIO_PLAYLIST_NAME] = media_playlist(audio)
    playlists = [PublishedFile(name, HLS_CONTENT_TYPE, text.encode()) for name, text in texts.items()]
    rung = {
        **track_summary(video),
        "i_frame_playlist": variant.i_frame_playlist,
        "width_px": variant.width_px,
        "height_px": variant.height_px,
    }
    manifest = {
        "version": MANIFEST_VERSION,
        "level": PREVIEW_LEVEL,
        "engine": plan.engine,
        "profile": plan.profile,
        "warnings": [],
        "duration_s": float(video.duration_s),
        "frame_rate": str(plan.rate),
        "gop_ticks": None,
        "master": MASTER_NAME,
        "dash": None,
        "thumbnails": None,
        "poster": None,
        "rungs": [rung],
        "audio": None if audio is None else track_summary(audio),
        "captions": [],
        "units": [],
        "playlists": described_playlists(playlists),
        "objects": [described_object(PREVIEW_UNIT, file, url_of(file)) for file in output.files],
    }
    return with_manifest(playlists, manifest)
