"""The output of a unit: its files, their contents, and the checksums for the seam check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .errors import UnitKey

Role = Literal["video", "audio", "poster", "sprite"]
_RANGES = ("segments", "key_frames")


@dataclass(frozen=True)
class Segment:
    """A byte range of a file at which playback can start.

    Times are in ticks of the file's timescale.

    A segment consists of whole fragments; a key frame is the start of a fragment, up to the end of
    its first frame.
    """

    offset: int
    bytes: int
    start_ticks: int
    duration_ticks: int


@dataclass(frozen=True)
class MediaFile:
    """One file of an output.

    A video or audio file is self-contained: init (ftyp, moov), then its segments.
    """

    name: str
    role: Role
    rung: str | None
    content_type: str
    bytes: int
    sha256: str
    init_bytes: int = 0
    init_sha256: str = ""
    timescale: int = 0
    """Ticks per second; 0 for a still image."""
    codec: str = ""
    """RFC 6381 codec string, e.g. `avc1.64001f`."""
    segments: tuple[Segment, ...] = ()
    key_frames: tuple[Segment, ...] = ()
    """All key frames of a video file; each lasts until the next one."""


@dataclass(frozen=True)
class SeamSums:
    """Checksums (Adler-32) of the decoded and scaled frames that were encoded, around a boundary of units."""

    frames: tuple[int, ...]
    """Their places on the grid, ascending."""
    sums: tuple[int, ...]


@dataclass(frozen=True)
class UnitOutput:
    """Everything that one unit produced. The files are in the directory passed to its encoder."""

    unit: UnitKey
    files: tuple[MediaFile, ...]
    cpu_s: float
    head: SeamSums | None = None
    """Frames around the start of the unit that the previous unit decoded too."""
    tail: SeamSums | None = None
    """Frames around the end of the unit that the next unit decodes too."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable form.

        Segments and key frames are rows of (offset, bytes, start_ticks, duration_ticks).
        """
        form = asdict(self)
        for file in form["files"]:
            for name in _RANGES:
                file[name] = [list(segment.values()) for segment in file[name]]
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> UnitOutput:
        """Rebuild an equal object from the result of to_json, before or after JSON."""
        return cls(
            unit=form["unit"],
            files=tuple(
                MediaFile(**file | {name: tuple(Segment(*row) for row in file.get(name, ())) for name in _RANGES})
                for file in form["files"]
            ),
            cpu_s=form["cpu_s"],
            head=_sums(form["head"]),
            tail=_sums(form["tail"]),
        )


def _sums(form: dict[str, Any] | None) -> SeamSums | None:
    return None if form is None else SeamSums(tuple(form["frames"]), tuple(form["sums"]))
