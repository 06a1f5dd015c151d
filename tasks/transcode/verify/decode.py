"""Verification of a publication's media from one read of each object: its checks, and test decoding.

What is decoded, the first and the last segment of each track or everything, is kept while the object
is read for its checksum. See the docstring of the package for all steps.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import EncodeError
from ..sandbox.ffmpeg import run_ffmpeg
from ..sandbox.limits import decode_limits
from .objects import BadUnit, verify_publication

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from ..errors import UnitKey


_NOT_THE_UNITS_FAULT = frozenset({"DISK_FULL", "DISK_FAILED", "NO_PROGRESS", "ENCODER_CRASHED", "ENCODER_KILLED"})
"""Codes of runs that failed because of the machine. Encoding the unit again would not help: it has its
checksum, so what crashes here is not damage on the way."""


def verify_media(
    manifest: Mapping[str, Any],
    read: Callable[[str], Iterator[bytes]],
    folder: Path,
    *,
    whole: bool,
    stop: threading.Event,
    progress: Callable[[int], None] = lambda _: None,
    connections: int = 1,
) -> tuple[BadUnit, ...]:
    """Return the units with an object that is bad or cannot be decoded, each with the first reason found.

    `read`, `progress` and `connections` are those of `verify_publication`; each object is read once. If
    all are good, the first and the last segment of each rung and audio track are decoded. With `whole`,
    objects are read one at a time, and each good one is decoded completely. `folder` temporarily holds
    what is decoded: with `whole`, one object. Raises StoppedError, or EncodeError if the machine is at
    fault.
    """
    with _Excerpts(manifest, folder, whole=whole, stop=stop) as excerpts:
        bad = verify_publication(
            manifest,
            excerpts.keeping(read),
            progress=progress,
            connections=1 if whole else connections,
            check=excerpts.problem if whole else lambda _: "",
        )
        return bad if bad or whole else excerpts.undecodable(progress)


class _Excerpt(NamedTuple):
    """Consecutive segments of one object, each (offset, bytes, start_ticks, duration_ticks), and where to keep them."""

    entry: Mapping[str, Any]
    segments: Sequence[Sequence[int]]
    path: Path

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(offset, end) in bytes: the init segment, then the media segments."""
        first, last = self.segments[0], self.segments[-1]
        return (0, self.entry["init_bytes"]), (first[0], last[0] + last[1])

    @property
    def duration_s(self) -> float:
        """Seconds of all segments."""
        return float(sum(ticks for _, _, _, ticks in self.segments) / self.entry["timescale"])


class _Excerpts:
    """The excerpts that are decoded. A context manager that deletes them at the end."""

    def __init__(self, manifest: Mapping[str, Any], folder: Path, *, whole: bool, stop: threading.Event) -> None:
        self._stop = stop
        self._excerpts = [
            _Excerpt(entry, segments, folder / f"excerpt-{number}.mp4")
            for number, (entry, segments) in enumerate(_chosen(manifest, whole=whole))
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for excerpt in self._excerpts:
            excerpt.path.unlink(missing_ok=True)

    def keeping(self, read: Callable[[str], Iterator[bytes]]) -> Callable[[str], Iterator[bytes]]:
        """Return a `read` that also writes the excerpts of what it yields."""
        return lambda url: _kept([each for each in self._excerpts if each.entry["url"] == url], read(url))

    def problem(self, entry: Mapping[str, Any]) -> str:
        """Decode what was kept of an object, and delete it. Return why that failed, or an empty text."""
        for excerpt in self._excerpts:
            if excerpt.entry["url"] == entry["url"]:
                try:
                    if reason := self._reason(excerpt):
                        return reason
                finally:
                    excerpt.path.unlink()
        return ""

    def undecodable(self, progress: Callable[[int], None]) -> tuple[BadUnit, ...]:
        """Return the units with an excerpt that cannot be decoded. `progress` gets the number decoded."""
        # One ffmpeg for all of them: starting it takes longer than decoding a segment.
        try:
            _decode(self._excerpts, self._stop)
        except EncodeError:
            pass
        else:
            progress(len(self._excerpts))
            return ()
        bad: dict[UnitKey, str] = {}
        for done, excerpt in enumerate(self._excerpts, start=1):
            if reason := self._reason(excerpt):
                bad.setdefault(excerpt.entry["unit"], reason)
            progress(done)
        return tuple(BadUnit(unit, reason) for unit, reason in bad.items())

    def _reason(self, excerpt: _Excerpt) -> str:
        try:
            _decode([excerpt], self._stop)
        except EncodeError as error:
            if error.code in _NOT_THE_UNITS_FAULT:
                raise
            return f"{excerpt.entry['url']}: it cannot be decoded: {error.message}"
        return ""


def _chosen(manifest: Mapping[str, Any], *, whole: bool) -> Iterator[tuple[Mapping[str, Any], Sequence[Sequence[int]]]]:
    """Yield the objects of which something is decoded, with the segments; one of which both ends are, twice."""
    tracks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in manifest["objects"]:
        if entry["segments"]:
            tracks[entry["track"]].append(entry)
    for entries in tracks.values():
        if whole:
            yield from ((entry, entry["segments"]) for entry in entries)
            continue
        yield entries[0], entries[0]["segments"][:1]
        if len(entries) > 1 or len(entries[0]["segments"]) > 1:
            yield entries[-1], entries[-1]["segments"][-1:]


def _kept(excerpts: Sequence[_Excerpt], blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the blocks of an object unchanged, and write its excerpts."""
    with ExitStack() as files:
        kept = [(files.enter_context(each.path.open("wb")), each.ranges) for each in excerpts]
        at = 0
        for block in blocks:
            for file, ranges in kept:
                for start, end in ranges:
                    file.write(block[max(0, start - at) : max(0, end - at)])
            at += len(block)
            yield block


def _decode(excerpts: Sequence[_Excerpt], stop: threading.Event) -> None:
    inputs: list[str] = []
    maps: list[str] = []
    for number, excerpt in enumerate(excerpts):
        inputs += [
            *("-protocol_whitelist", "file", "-err_detect", "explode"),
            *("-f", "mov", "-i", f"file:{excerpt.path.absolute()}"),
        ]
        maps += ["-map", str(number)]
    run_ffmpeg(
        ["-xerror", *inputs, *maps, "-f", "null", "-"],
        limits=decode_limits(sum(excerpt.duration_s for excerpt in excerpts)),
        on_line=lambda _: None,
        on_wait=lambda _: None,
        stop=stop,
        reads=[excerpt.path for excerpt in excerpts],
    )
