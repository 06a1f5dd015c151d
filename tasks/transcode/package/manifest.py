"""The manifest: what a publication consists of, so that it can be verified without its source.

Its schema is docs/reference/manifest.schema.json.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import UnitKey
    from ..outputs import MediaFile
    from .tracks import Track

MANIFEST_VERSION = 8
"""Incremented when the meaning of the manifest changes."""

MANIFEST_NAME = "manifest.json"


class PublishedFile(NamedTuple):
    """A file in the folder of the playlists."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Publication:
    """One output without its media: playlists and manifest as files, and the manifest as data."""

    files: tuple[PublishedFile, ...]
    manifest: dict[str, Any]


def with_manifest(playlists: Sequence[PublishedFile], manifest: dict[str, Any]) -> Publication:
    """Return the publication whose files are the playlists and the manifest."""
    content = json.dumps(manifest, indent=None, separators=(",", ":"), sort_keys=True).encode()
    return Publication((*playlists, PublishedFile(MANIFEST_NAME, "application/json", content)), manifest)


def described_playlists(playlists: Sequence[PublishedFile]) -> list[dict[str, Any]]:
    """Describe the text files that players load."""
    return [
        {"name": name, "content_type": content_type, **_fingerprint(content)}
        for name, content_type, content in playlists
    ]


def track_summary(track: Track) -> dict[str, Any]:
    """Describe a rung or an audio track."""
    return {
        "name": track.name,
        "playlist": f"{track.name}.m3u8",
        "codec": track.codec,
        "average_bps": track.average_bps,
        "peak_bps": track.peak_bps,
        "segments": len(track.segments),
        "bytes": sum(placed.file.bytes for placed in track.files),
    }


def described_object(unit: UnitKey, file: MediaFile, url: str, track: str | None) -> dict[str, Any]:
    """Describe a media file under its URL in playlists; `track` is its rung or audio track, None for an image."""
    duration_ticks = sum(segment.duration_ticks for segment in file.segments)
    form = asdict(file)
    del form["name"]
    return form | {
        "unit": unit,
        "track": track,
        "url": url,
        "duration_s": duration_ticks / file.timescale if file.timescale else 0.0,
        "segments": [list(segment.values()) for segment in form["segments"]],
        "key_frames": [list(key_frame.values()) for key_frame in form["key_frames"]],
    }


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
