"""Editions: a publication again, with captions and chapters that people added to it.

An edition has playlists, captions, chapters and a manifest of its own, and refers to the media objects of
the publication. It is made from the manifest of that publication: all in it that describes media is
unchanged, so what was verified once stays verified. Without any change, its files are those of the
publication.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from ..captions import WEBVTT_CONTENT_TYPE, CaptionTrack
from ..chapters import CHAPTERS_NAME, Chapter, ChapterMark, chapter_of, chapters_webvtt, described, plan_chapters
from ..errors import TranscodeError
from ..languages import unique_name
from ..outputs import MediaFile, Segment
from ..plan.plan import AudioTrack
from .hls import Variant
from .manifest import MANIFEST_VERSION, Publication, PublishedFile, described_playlists, with_manifest
from .playlists import offered, placed_captions, written
from .renditions import PlacedCaptions, Rendition
from .tracks import PlacedFile, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

AUTOMATIC = " (automatic)"
"""Appended to the name of a track that no person has written or edited."""

MANIFEST_UNUSABLE = "MANIFEST_UNUSABLE"


class AddedCaptions(NamedTuple):
    """A caption track that was added to the video."""

    id: str
    """Identifies it in the manifest."""
    language: str
    """BCP 47 tag."""
    name: str
    """Wanted name in the player's menu; a number is appended if another track has it."""
    purpose: str
    """FORCED, SDH, or empty for any other (`captions`)."""
    cues: int
    webvtt: str
    """A whole WebVTT file, on the clock of the output."""
    is_automatic: bool = False
    """Whether no person has written or edited it. Its name in the menu shows that."""


@dataclass(frozen=True, kw_only=True)
class Edits:
    """What people changed of a video."""

    number: int
    """Number of the newest change."""
    captions: tuple[AddedCaptions, ...] = ()
    keeps_own_captions: bool = True
    """Whether the tracks of the source are offered, too, except those that an added one replaces."""
    chapters: tuple[ChapterMark, ...] | None = None
    """None for those of the source."""

    def __bool__(self) -> bool:
        """Return whether an edition with them differs from the publication."""
        return bool(self.captions) or not self.keeps_own_captions or self.chapters is not None


def make_edition(manifest: Mapping[str, Any], read: Callable[[str], bytes], edits: Edits) -> Publication:
    """Return the playlists and the manifest of a publication with these edits.

    `manifest` is that of the publication, which is not an edition itself; `read` returns one of its text
    files by name. An added track replaces one of the source with the same language and purpose. Raises
    TranscodeError if the manifest is of another version, or a text file is not as it lists it.
    """
    if manifest["version"] != MANIFEST_VERSION:
        message = f"Its manifest has version {manifest['version']}, and only {MANIFEST_VERSION} can be changed."
        raise TranscodeError(MANIFEST_UNUSABLE, message)
    texts = _Texts(manifest, read)
    captions, listed = _captions(manifest, texts, edits)
    duration_s = _duration_s(manifest)
    files = list(written(offered(_variants(manifest), _renditions(manifest), captions, duration_s=duration_s)))
    if manifest["thumbnails"]:
        files.append(texts.file(manifest["thumbnails"]))
    chapters = chapters_of(manifest["chapters"], edits.chapters, duration_s=duration_s)
    if chapters:
        files.append(PublishedFile(CHAPTERS_NAME, WEBVTT_CONTENT_TYPE, chapters_webvtt(chapters).encode()))
    changed = {
        "edition": edits.number,
        "captions": listed,
        "chapters": [described(chapter) for chapter in chapters],
        "chapters_url": CHAPTERS_NAME if chapters else None,
        "playlists": described_playlists(files),
    }
    return with_manifest(files, {**manifest, **changed})


def chapters_of(
    own: Sequence[Mapping[str, Any]], entered: Sequence[ChapterMark] | None, *, duration_s: Fraction
) -> tuple[Chapter, ...]:
    """Return the chapters that people entered, on the clock of the output, or else those of the source."""
    if entered is None:
        return tuple(chapter_of(each) for each in own)
    return plan_chapters(entered, start_s=Fraction(0), duration_s=duration_s)[0]


class _Texts:
    """The text files of a publication, each compared with the manifest when it is read."""

    def __init__(self, manifest: Mapping[str, Any], read: Callable[[str], bytes]) -> None:
        self._listed = {entry["name"]: entry for entry in manifest["playlists"]}
        self._read = read

    def file(self, name: str) -> PublishedFile:
        entry, content = self._listed[name], self._read(name)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            message = f"{name} is not as its manifest lists it."
            raise TranscodeError(MANIFEST_UNUSABLE, message)
        return PublishedFile(name, entry["content_type"], content)


def _captions(
    manifest: Mapping[str, Any], texts: _Texts, edits: Edits
) -> tuple[list[tuple[PlacedCaptions, str]], list[dict[str, Any]]]:
    """Return all tracks with their WebVTT, first those of the source, and what the manifest lists of them."""
    replaced = {(each.language, each.purpose) for each in edits.captions}
    own = [
        (each, texts.file(each["url"]).content.decode())
        for each in (manifest["captions"] if edits.keeps_own_captions else ())
        if (each["language"], each["purpose"]) not in replaced
    ]
    placed: list[tuple[PlacedCaptions, str]] = []
    listed: list[dict[str, Any]] = []

    def add(about: Mapping[str, Any], text: str) -> None:
        track = CaptionTrack(about["language"], about["name"], (), about["purpose"])
        each = placed_captions(len(placed), track, text)
        placed.append((each, text))
        listed.append({**about, "url": each.url, "playlist": each.playlist})

    for about, text in own:
        add(about, text)
    for added in edits.captions:
        taken = [each["name"] for each in listed]
        name = unique_name(added.name + AUTOMATIC * added.is_automatic, taken=taken, otherwise="Captions")
        about = {"name": name, "language": added.language, "purpose": added.purpose, "cues": added.cues}
        marks = {"added": added.id} | ({"automatic": True} if added.is_automatic else {})
        add({**about, **marks}, added.webvtt)
    return placed, listed


def _duration_s(manifest: Mapping[str, Any]) -> Fraction:
    """Return the exact length of the output, as its plan had it."""
    if manifest["frame_rate"] is None:
        return Fraction(manifest["duration_s"])
    return Fraction(manifest["units"][-1]["end_frame"]) / Fraction(manifest["frame_rate"])


def _variants(manifest: Mapping[str, Any]) -> list[Variant]:
    return [
        Variant(
            _track(manifest, rung["name"]),
            rung["playlist"],
            rung["i_frame_playlist"],
            rung["width_px"],
            rung["height_px"],
            Fraction(manifest["frame_rate"]),
        )
        for rung in manifest["rungs"]
    ]


def _renditions(manifest: Mapping[str, Any]) -> list[Rendition]:
    return [
        Rendition(
            AudioTrack(
                streams=(),
                downmix="",
                is_one_sided=False,
                gain_db=None,
                language=about["language"],
                name=about["title"],
                purpose=about["purpose"],
                is_default=about["is_default"],
            ),
            _track(manifest, about["name"]),
        )
        for about in manifest["audio"]
    ]


def _track(manifest: Mapping[str, Any], name: str) -> Track:
    entries = [each for each in manifest["objects"] if each["track"] == name and each["segments"]]
    return Track(name, tuple(PlacedFile(each["url"], _media_file(each)) for each in entries))


def _media_file(entry: Mapping[str, Any]) -> MediaFile:
    return MediaFile(
        name=posixpath.basename(entry["url"]),
        segments=tuple(Segment(*row) for row in entry["segments"]),
        key_frames=tuple(Segment(*row) for row in entry["key_frames"]),
        **{name: entry[name] for name in _FIELDS},
    )


_FIELDS = ("role", "rung", "content_type", "bytes", "sha256", "init_bytes", "init_sha256", "timescale", "codec")
