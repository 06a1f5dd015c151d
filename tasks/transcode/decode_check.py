"""Decodes what was made: the first and the last segment of each track, or all of it. The last proof before anyone sees it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tasks.transcode.errors import EncodeFailed
from tasks.transcode.ffmpeg import run_ffmpeg
from tasks.transcode.limits import decode_limits
from tasks.transcode.verify import BadUnit

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.transcode.errors import UnitKey


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
    pieces; `folder` holds one segment, or one object, at a time. `progress` gets the number of pieces decoded. Raises Stopped.
    """
    bad: dict[UnitKey, str] = {}
    for done, (entry, segments) in enumerate(_chosen(manifest, whole=whole), start=1):
        path = folder / "decoded.mp4"
        try:
            _write(path, read(entry["url"]), _ranges(entry, segments))
            _decode(path, entry, segments, stop)
        except EncodeFailed as error:
            bad.setdefault(entry["unit"], f"{entry['url']}: it cannot be decoded: {error.sentence}")
        finally:
            path.unlink(missing_ok=True)
        progress(done)
    return tuple(BadUnit(unit, reason) for unit, reason in bad.items())


def _chosen(manifest: Mapping[str, Any], *, whole: bool) -> Iterator[tuple[Mapping[str, Any], Sequence[Sequence[int]]]]:
    """Yield objects with those of their segments that are to be decoded in one go."""
    tracks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in manifest["objects"]:
        if entry["segments"]:
            tracks[entry["rung"] or entry["role"]].append(entry)
    for entries in tracks.values():
        if whole:
            yield from ((entry, entry["segments"]) for entry in entries)
            continue
        yield entries[0], entries[0]["segments"][:1]
        if len(entries) > 1 or len(entries[0]["segments"]) > 1:
            yield entries[-1], entries[-1]["segments"][-1:]


def _ranges(entry: Mapping[str, Any], segments: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return (offset, end) in bytes: the init, then the segments, which follow each other."""
    return [(0, entry["init_bytes"]), (segments[0][0], segments[-1][0] + segments[-1][1])]


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


def _decode(path: Path, entry: Mapping[str, Any], segments: Sequence[Sequence[int]], stop: threading.Event) -> None:
    media_s = sum(duration_ticks for _, _, _, duration_ticks in segments) / entry["timescale"]
    run_ffmpeg(
        [
            *(
                "-protocol_whitelist",
                "file",
                "-xerror",
                "-err_detect",
                "explode",
                "-f",
                "mov",
                "-i",
                f"file:{path.absolute()}",
            ),
            *("-map", "0", "-f", "null", "-"),
        ],
        limits=decode_limits(media_s),
        on_line=lambda _: None,
        on_wait=lambda: None,
        stop=stop,
    )
