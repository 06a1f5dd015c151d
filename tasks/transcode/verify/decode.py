"""Decodes what was made: the first and the last segment of each track, or all of it. The last proof before anyone sees it."""

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


def undecodable_units(
    manifest: Mapping[str, Any],
    read: Callable[[str], Iterator[bytes]],
    folder: Path,
    *,
    whole: bool,
    stop: threading.Event,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[BadUnit, ...]:
    """Return the units of which a segment cannot be decoded without an error, each with ffmpeg's own words.

    Looks at the first and the last segment of each rung and of the audio, or at every one if `whole`. `read` gives an object's bytes in
    pieces; `folder` holds those segments, or one object at a time. `progress` gets the number of pieces decoded. Raises StoppedError.
    """
    pieces = list(_chosen(manifest, whole=whole))
    if not whole:
        # One ffmpeg for all of them: its start takes longer than decoding a segment.
        try:
            _decode(pieces, read, folder, stop)
        except EncodeError:
            pass
        else:
            progress(len(pieces))
            return ()
    bad: dict[UnitKey, str] = {}
    for done, piece in enumerate(pieces, start=1):
        try:
            _decode([piece], read, folder, stop)
        except EncodeError as error:
            bad.setdefault(piece.entry["unit"], f"{piece.entry['url']}: it cannot be decoded: {error.message}")
        progress(done)
    return tuple(BadUnit(unit, reason) for unit, reason in bad.items())


class _Piece(NamedTuple):
    """Segments in a row of one object, rows of (offset, bytes, start_ticks, duration_ticks)."""

    entry: Mapping[str, Any]
    segments: Sequence[Sequence[int]]

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(offset, end) in bytes: the init, then the segments."""
        first, last = self.segments[0], self.segments[-1]
        return (0, self.entry["init_bytes"]), (first[0], last[0] + last[1])

    @property
    def duration_s(self) -> float:
        """Seconds of all its segments."""
        return float(sum(ticks for _, _, _, ticks in self.segments) / self.entry["timescale"])


def _chosen(manifest: Mapping[str, Any], *, whole: bool) -> Iterator[_Piece]:
    tracks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in manifest["objects"]:
        if entry["segments"]:
            tracks[entry["rung"] or entry["role"]].append(entry)
    for entries in tracks.values():
        if whole:
            yield from (_Piece(entry, entry["segments"]) for entry in entries)
            continue
        yield _Piece(entries[0], entries[0]["segments"][:1])
        if len(entries) > 1 or len(entries[0]["segments"]) > 1:
            yield _Piece(entries[-1], entries[-1]["segments"][-1:])


def _decode(
    pieces: Sequence[_Piece], read: Callable[[str], Iterator[bytes]], folder: Path, stop: threading.Event
) -> None:
    paths = [folder / f"decoded-{number}.mp4" for number in range(len(pieces))]
    inputs: list[str] = []
    maps: list[str] = []
    try:
        for number, (piece, path) in enumerate(zip(pieces, paths, strict=True)):
            _write(path, read(piece.entry["url"]), piece.ranges)
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
            limits=decode_limits(sum(piece.duration_s for piece in pieces)),
            on_line=lambda _: None,
            on_wait=lambda _: None,
            stop=stop,
        )
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _write(path: Path, pieces: Iterator[bytes], ranges: Sequence[tuple[int, int]]) -> None:
    """Write the ranges of the object that comes in `pieces`."""
    at = 0
    with path.open("wb") as file:
        for piece in pieces:
            for start, end in ranges:
                file.write(piece[max(0, start - at) : max(0, end - at)])
            at += len(piece)
            if at >= ranges[-1][1]:
                return
