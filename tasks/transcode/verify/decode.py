"""Test decoding of a publication: the first and the last segment of each track, or everything.

This is the last check before publication; see the docstring of the package for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import EncodeError
from ..sandbox.ffmpeg import run_ffmpeg
from ..sandbox.limits import decode_limits
from .objects import BadUnit

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ..errors import UnitKey


_NOT_THE_UNITS_FAULT = frozenset({"DISK_FULL", "DISK_FAILED", "NO_PROGRESS", "ENCODER_CRASHED", "ENCODER_KILLED"})
"""Codes of runs that failed because of the machine. Encoding the unit again would not help: it has its
checksum, so what crashes here is not damage on the way."""


def undecodable_units(
    manifest: Mapping[str, Any],
    read: Callable[[str], Iterator[bytes]],
    folder: Path,
    *,
    whole: bool,
    stop: threading.Event,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[BadUnit, ...]:
    """Return the units with a segment that cannot be decoded without an error, each with ffmpeg's error message.

    Decodes the first and the last segment of each rung and of the audio, or every segment if
    `whole`. `read` yields an object's bytes in blocks. `folder` temporarily holds those first and
    last segments, or one object at a time. `progress` gets the number of excerpts decoded. Raises
    StoppedError, or EncodeError if the machine is at fault.
    """
    excerpts = list(_chosen(manifest, whole=whole))
    if not whole:
        # One ffmpeg for all of them: starting it takes longer than decoding a segment.
        try:
            _decode(excerpts, read, folder, stop)
        except EncodeError:
            pass
        else:
            progress(len(excerpts))
            return ()
    bad: dict[UnitKey, str] = {}
    for done, excerpt in enumerate(excerpts, start=1):
        try:
            _decode([excerpt], read, folder, stop)
        except EncodeError as error:
            if error.code in _NOT_THE_UNITS_FAULT:
                raise
            bad.setdefault(excerpt.entry["unit"], f"{excerpt.entry['url']}: it cannot be decoded: {error.message}")
        progress(done)
    return tuple(BadUnit(unit, reason) for unit, reason in bad.items())


class _Excerpt(NamedTuple):
    """Consecutive segments of one object, each (offset, bytes, start_ticks, duration_ticks)."""

    entry: Mapping[str, Any]
    segments: Sequence[Sequence[int]]

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(offset, end) in bytes: the init segment, then the media segments."""
        first, last = self.segments[0], self.segments[-1]
        return (0, self.entry["init_bytes"]), (first[0], last[0] + last[1])

    @property
    def duration_s(self) -> float:
        """Seconds of all segments."""
        return float(sum(ticks for _, _, _, ticks in self.segments) / self.entry["timescale"])


def _chosen(manifest: Mapping[str, Any], *, whole: bool) -> Iterator[_Excerpt]:
    tracks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in manifest["objects"]:
        if entry["segments"]:
            tracks[entry["rung"] or entry["role"]].append(entry)
    for entries in tracks.values():
        if whole:
            yield from (_Excerpt(entry, entry["segments"]) for entry in entries)
            continue
        yield _Excerpt(entries[0], entries[0]["segments"][:1])
        if len(entries) > 1 or len(entries[0]["segments"]) > 1:
            yield _Excerpt(entries[-1], entries[-1]["segments"][-1:])


def _decode(
    excerpts: Sequence[_Excerpt], read: Callable[[str], Iterator[bytes]], folder: Path, stop: threading.Event
) -> None:
    paths = [folder / f"decoded-{number}.mp4" for number in range(len(excerpts))]
    inputs: list[str] = []
    maps: list[str] = []
    try:
        for number, (excerpt, path) in enumerate(zip(excerpts, paths, strict=True)):
            _write(path, read(excerpt.entry["url"]), excerpt.ranges)
            inputs += [
                "-protocol_whitelist",
                "file",
                "-err_detect",
                "explode",
                "-f",
                "mov",
                "-i",
                f"file:{path.absolute()}",
            ]
            maps += ["-map", str(number)]
        run_ffmpeg(
            ["-xerror", *inputs, *maps, "-f", "null", "-"],
            limits=decode_limits(sum(excerpt.duration_s for excerpt in excerpts)),
            on_line=lambda _: None,
            on_wait=lambda _: None,
            stop=stop,
            reads=paths,
        )
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _write(path: Path, blocks: Iterator[bytes], ranges: Sequence[tuple[int, int]]) -> None:
    """Write the byte ranges of an object that is read in `blocks`."""
    at = 0
    with path.open("wb") as file:
        for block in blocks:
            for start, end in ranges:
                file.write(block[max(0, start - at) : max(0, end - at)])
            at += len(block)
            if at >= ranges[-1][1]:
                return
