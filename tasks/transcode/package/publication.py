"""Playlists and the manifest from the outputs of all units: what a player and the verification need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..captions import WEBVTT_CONTENT_TYPE, webvtt
from ..errors import AUDIO_UNIT
from ..plan.thumbnails import make_sprite, thumbnail_map
from ..source_warnings import SOURCE_WARNINGS
from .consistency import check_outputs
from .dash import DASH_CONTENT_TYPE, dash_manifest
from .hls import (
    HLS_CONTENT_TYPE,
    PlacedCaptions,
    PlacedFile,
    Track,
    Variant,
    caption_playlist,
    i_frame_playlist,
    master_playlist,
    media_playlist,
)
from .manifest import (
    MANIFEST_VERSION,
    Publication,
    PublishedFile,
    described_object,
    described_playlists,
    track_summary,
    with_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..errors import UnitKey
    from ..outputs import MediaFile, UnitOutput
    from ..plan.plan import Plan

MASTER_NAME = "master.m3u8"
DASH_NAME = "manifest.mpd"
AUDIO_PLAYLIST_NAME = "audio.m3u8"
THUMBNAILS_NAME = "thumbnails.vtt"


def build_publication(
    plan: Plan,
    outputs: Mapping[UnitKey, UnitOutput],
    *,
    url_of: Callable[[UnitKey, MediaFile], str],
) -> Publication:
    """Return playlists and manifest for the outputs of all units of `plan`.

    `url_of` returns a media file's URL relative to the folder of the playlists. Raises
    InconsistentOutputError or SeamMismatchError, with the units that must be redone.
    """
    check_outputs(plan, outputs)
    rungs = [
        Track(
            rung.name,
            tuple(
                _placed(unit.index, file, url_of)
                for unit in plan.video_units
                for file in outputs[unit.index].files
                if file.rung == rung.name
            ),
        )
        for rung in plan.rungs
    ]
    audio = None
    if plan.has_audio:
        audio = Track("audio", (_placed(AUDIO_UNIT, outputs[AUDIO_UNIT].files[0], url_of),))
    playlists = (*_playlists(plan, rungs, audio), *_thumbnail_map(plan, outputs, url_of))
    manifest = _manifest(plan, outputs, url_of, (rungs, audio, playlists))
    return with_manifest(playlists, manifest)


def _placed(unit: UnitKey, file: MediaFile, url_of: Callable[[UnitKey, MediaFile], str]) -> PlacedFile:
    return PlacedFile(url_of(unit, file), file)


def _playlists(plan: Plan, rungs: Sequence[Track], audio: Track | None) -> tuple[PublishedFile, ...]:
    variants = [
        Variant(track, f"{rung.name}.m3u8", _i_frame_name(track), rung.width_px, rung.height_px, plan.rate)
        for rung, track in zip(plan.rungs, rungs, strict=True)
    ]
    duration_s = plan.frames / plan.rate
    captions, caption_files = _captions(plan)
    texts = {MASTER_NAME: master_playlist(variants, audio, AUDIO_PLAYLIST_NAME, captions)}
    texts |= {f"{track.name}.m3u8": media_playlist(track) for track in rungs}
    texts |= {_i_frame_name(track): i_frame_playlist(track) for track in rungs}
    if audio is not None:
        texts[AUDIO_PLAYLIST_NAME] = media_playlist(audio)
    texts |= {each.playlist: caption_playlist(each.url, duration_s) for each in captions}
    hls = tuple(PublishedFile(name, HLS_CONTENT_TYPE, text.encode()) for name, text in texts.items())
    mpd = dash_manifest(variants, audio, captions, duration_s=duration_s)
    return (*hls, PublishedFile(DASH_NAME, DASH_CONTENT_TYPE, mpd.encode()), *caption_files)


def _captions(plan: Plan) -> tuple[tuple[PlacedCaptions, ...], tuple[PublishedFile, ...]]:
    files = tuple(
        PublishedFile(f"{_caption_name(number)}.vtt", WEBVTT_CONTENT_TYPE, webvtt(track).encode())
        for number, track in enumerate(plan.captions)
    )
    placed = tuple(
        PlacedCaptions(track, file.name, f"{_caption_name(number)}.m3u8", len(file.content))
        for number, (track, file) in enumerate(zip(plan.captions, files, strict=True))
    )
    return placed, files


def _caption_name(number: int) -> str:
    return f"captions-{number}"


def _thumbnail_map(
    plan: Plan, outputs: Mapping[UnitKey, UnitOutput], url_of: Callable[[UnitKey, MediaFile], str]
) -> tuple[PublishedFile, ...]:
    if plan.thumbnails is None:
        return ()
    sprites = [
        (url_of(unit.index, file), sprite)
        for unit in plan.video_units
        for file in outputs[unit.index].files
        if file.role == "sprite" and (sprite := make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame))
    ]
    text = thumbnail_map(sprites, rate=plan.rate, end_frame=plan.frames)
    return (PublishedFile(THUMBNAILS_NAME, WEBVTT_CONTENT_TYPE, text.encode()),)


def _i_frame_name(track: Track) -> str:
    return f"{track.name}-iframes.m3u8"


def _manifest(
    plan: Plan,
    outputs: Mapping[UnitKey, UnitOutput],
    url_of: Callable[[UnitKey, MediaFile], str],
    tracks: tuple[Sequence[Track], Track | None, Sequence[PublishedFile]],
) -> dict[str, Any]:
    rungs, audio, playlists = tracks
    units: list[UnitKey] = [unit.index for unit in plan.video_units] + ([AUDIO_UNIT] if plan.has_audio else [])
    objects = [described_object(unit, file, url_of(unit, file)) for unit in units for file in outputs[unit].files]
    return {
        "version": MANIFEST_VERSION,
        "engine": plan.engine,
        "profile": plan.profile,
        "warnings": [{"code": code, "message": SOURCE_WARNINGS[code]} for code in plan.warnings],
        "duration_s": plan.duration_s,
        "frame_rate": str(plan.rate) if plan.rungs else None,
        "gop_ticks": plan.gop_frames * plan.frame_ticks,
        "master": MASTER_NAME,
        "dash": DASH_NAME,
        "thumbnails": THUMBNAILS_NAME if plan.thumbnails else None,
        "poster": next(entry["url"] for entry in objects if entry["role"] == "poster"),
        "rungs": [
            {
                **track_summary(track),
                "i_frame_playlist": _i_frame_name(track),
                "width_px": rung.width_px,
                "height_px": rung.height_px,
            }
            for rung, track in zip(plan.rungs, rungs, strict=True)
        ],
        "audio": None if audio is None else track_summary(audio),
        "captions": [
            {
                "name": track.name,
                "language": track.language,
                "cues": len(track.cues),
                "url": f"{_caption_name(number)}.vtt",
                "playlist": f"{_caption_name(number)}.m3u8",
            }
            for number, track in enumerate(plan.captions)
        ],
        "units": [
            {
                "unit": unit.index,
                "first_frame": unit.first_frame,
                "end_frame": unit.end_frame,
                "seam_frames": len(tail.sums) if (tail := outputs[unit.index].tail) else 0,
            }
            for unit in plan.video_units
        ],
        "playlists": described_playlists(playlists),
        "objects": objects,
    }
