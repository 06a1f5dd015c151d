"""Playlists and the manifest from the outputs of all units: what a player and the verification need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..captions import WEBVTT_CONTENT_TYPE
from ..chapters import CHAPTERS_NAME, chapters_webvtt, described
from ..plan.thumbnails import make_sprite, thumbnail_map
from ..source_warnings import describe
from .consistency import check_outputs
from .manifest import (
    MANIFEST_VERSION,
    Publication,
    PublishedFile,
    described_object,
    described_playlists,
    track_summary,
    with_manifest,
)
from .playlists import DASH_NAME, MASTER_NAME, audio_name, caption_name, i_frame_name, playlists
from .tracks import PlacedFile, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..errors import UnitKey
    from ..outputs import MediaFile, UnitOutput
    from ..plan.plan import Plan

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
    audio = [
        Track(
            audio_name(number),
            tuple(
                _placed(unit.key, outputs[unit.key].files[0], url_of)
                for unit in plan.audio_units
                if unit.track == number
            ),
        )
        for number in range(len(plan.audio_tracks))
    ]
    texts = (*playlists(plan, rungs, audio), *_thumbnail_map(plan, outputs, url_of), *_chapter_list(plan))
    manifest = _manifest(plan, outputs, url_of, (rungs, audio, texts))
    return with_manifest(texts, manifest)


def _placed(unit: UnitKey, file: MediaFile, url_of: Callable[[UnitKey, MediaFile], str]) -> PlacedFile:
    return PlacedFile(url_of(unit, file), file)


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


def _chapter_list(plan: Plan) -> tuple[PublishedFile, ...]:
    if not plan.chapters:
        return ()
    return (PublishedFile(CHAPTERS_NAME, WEBVTT_CONTENT_TYPE, chapters_webvtt(plan.chapters).encode()),)


def _manifest(
    plan: Plan,
    outputs: Mapping[UnitKey, UnitOutput],
    url_of: Callable[[UnitKey, MediaFile], str],
    tracks: tuple[Sequence[Track], Sequence[Track], Sequence[PublishedFile]],
) -> dict[str, Any]:
    rungs, audio, texts = tracks
    # Those of one audio track follow each other.
    audio_units = sorted(plan.audio_units, key=lambda unit: unit.track)
    audio_names = {unit.key: audio_name(unit.track) for unit in audio_units}
    units: list[UnitKey] = [*(unit.index for unit in plan.video_units), *(unit.key for unit in audio_units)]
    objects = [
        described_object(unit, file, url_of(unit, file), audio_names.get(unit) if file.role == "audio" else file.rung)
        for unit in units
        for file in outputs[unit].files
    ]
    return {
        "version": MANIFEST_VERSION,
        "edition": 0,
        "engine": plan.engine,
        "profile": plan.profile,
        "warnings": [describe(warning) for warning in plan.warnings],
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
                "i_frame_playlist": i_frame_name(track),
                "width_px": rung.width_px,
                "height_px": rung.height_px,
            }
            for rung, track in zip(plan.rungs, rungs, strict=True)
        ],
        "audio": [
            {
                **track_summary(track),
                "title": about.name,
                "language": about.language,
                "purpose": about.purpose,
                "is_default": about.is_default,
                "is_mixed": len(about.streams) > 1,
            }
            for about, track in zip(plan.audio_tracks, audio, strict=True)
        ],
        "captions": [
            {
                "name": track.name,
                "language": track.language,
                "purpose": track.purpose,
                "cues": len(track.cues),
                "added": None,
                "url": f"{caption_name(number)}.vtt",
                "playlist": f"{caption_name(number)}.m3u8",
            }
            for number, track in enumerate(plan.captions)
        ],
        "chapters": [described(chapter) for chapter in plan.chapters],
        "chapters_url": CHAPTERS_NAME if plan.chapters else None,
        "units": [
            {
                "unit": unit.index,
                "first_frame": unit.first_frame,
                "end_frame": unit.end_frame,
                "seam_frames": len(tail.sums) if (tail := outputs[unit.index].tail) else 0,
            }
            for unit in plan.video_units
        ],
        "playlists": described_playlists(texts),
        "objects": objects,
    }
