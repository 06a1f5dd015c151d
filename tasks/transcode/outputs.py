"""What a unit hands over: its files, what is in them, and the checksums that prove its seams."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .errors import UnitKey

Role = Literal["video", "audio", "poster", "sprite"]
_RANGES = ("segments", "key_frames")


@dataclass(frozen=True)
class Segment:
    """A byte range of a file at which playback can start. Times in ticks of the file's timescale.

    As a segment it is a run of whole fragments; as a key frame it is a fragment's beginning, up to its first picture.
    """

    offset: int
    bytes: int
    start_ticks: int
    duration_ticks: int


@dataclass(frozen=True)
class MediaFile:
    """One file of an output. A video or audio file stands on its own: init (ftyp, moov), then its segments."""

    name: str
    role: Role
    rung: str | None
    content_type: str
    bytes: int
    sha256: str
    init_bytes: int = 0
    init_sha256: str = ""
    timescale: int = 0
    """Ticks a second; 0 for a picture."""
    codec: str = ""
    """As RFC 6381 names it, e.g. `avc1.64001f`."""
    segments: tuple[Segment, ...] = ()
    key_frames: tuple[Segment, ...] = ()
    """Each key frame of a video file; it lasts until the next one."""


@dataclass(frozen=True)
class SeamSums:
    """Checksums (Adler-32) of decoded, scaled pictures in a row, the first one showing `first_frame`."""

    first_frame: int
    sums: tuple[int, ...]


@dataclass(frozen=True)
class UnitOutput:
    """All that one unit made. The files lie in the directory that its encoder was given."""

    unit: UnitKey
    files: tuple[MediaFile, ...]
    cpu_s: float
    head: SeamSums | None = None
    """Pictures around the unit's first frame, which the unit before decoded too."""
    tail: SeamSums | None = None
    """Pictures around the unit's end, which the unit behind decodes too."""

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON can carry; segments and key frames as rows of (offset, bytes, start_ticks, duration_ticks)."""
        form = asdict(self)
        for file in form["files"]:
            for name in _RANGES:
                file[name] = [list(segment.values()) for segment in file[name]]
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> UnitOutput:
        """Rebuild exactly what to_json gave, before or after JSON."""
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
    return None if form is None else SeamSums(form["first_frame"], tuple(form["sums"]))
