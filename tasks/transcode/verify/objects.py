"""Verification of a publication from its manifest and its objects alone: present, whole, continuous, aligned.

See the docstring of the package for where this comes in the verification.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from ..mp4.boxes import Fragment, FragmentReader, InvalidBoxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..errors import UnitKey


_STILLS = frozenset({"poster", "sprite"})


class BadUnit(NamedTuple):
    """A unit whose objects do not match the manifest; redoing it fixes the publication."""

    unit: UnitKey
    reason: str


class BadPlaylist(NamedTuple):
    """A playlist that does not match the manifest; publishing again fixes it."""

    name: str
    reason: str


class _BadObjectError(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


def verify_publication(
    manifest: Mapping[str, Any],
    read: Callable[[str], Iterator[bytes]],
    *,
    progress: Callable[[int], None] = lambda _: None,
    connections: int = 1,
    check: Callable[[Mapping[str, Any]], str] = lambda _: "",
) -> tuple[BadUnit, ...]:
    """Return the units with a bad object, each with the first reason found; empty if the media is good.

    `read` takes an object's `url` and yields its bytes in blocks, or raises FileNotFoundError; it is
    called once for each object, in up to `connections` threads. `progress` gets the number of objects
    checked so far, out of `len(manifest["objects"])`. `check` gets each object that is good until then, and
    returns a reason why it is not, or an empty text. The source is not needed.
    """
    bad = _breaks(manifest)

    def problem(entry: Mapping[str, Any]) -> str:
        if entry["unit"] in bad:
            return ""
        try:
            _check_object(entry, manifest["gop_ticks"], read)
        except (_BadObjectError, InvalidBoxError) as error:
            return f"{entry['url']}: {error}"
        return check(entry)

    with ThreadPoolExecutor(connections, thread_name_prefix="verify") as pool:
        # In the order of the objects; an error of `read` cancels those that have not begun.
        found = zip(manifest["objects"], pool.map(problem, manifest["objects"]), strict=True)
        for done, (entry, reason) in enumerate(found, start=1):
            if reason:
                bad.setdefault(entry["unit"], reason)
            progress(done)
    return tuple(BadUnit(unit, reason) for unit, reason in bad.items())


def verify_playlists(manifest: Mapping[str, Any], read: Callable[[str], Iterator[bytes]]) -> tuple[BadPlaylist, ...]:
    """Return the playlists that are missing or altered; `read` takes their `name`."""
    bad = []
    for entry in manifest["playlists"]:
        try:
            _check_bytes(entry, read(entry["name"]))
        except (_BadObjectError, FileNotFoundError) as error:
            bad.append(BadPlaylist(entry["name"], str(error) or "it is missing"))
    return tuple(bad)


def _breaks(manifest: Mapping[str, Any]) -> dict[UnitKey, str]:
    """Return the units that do not begin where the previous one ends, and the last unit of a track of wrong length."""
    bad: dict[UnitKey, str] = {}
    tracks: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in manifest["objects"]:
        if entry["segments"]:
            tracks[entry["track"]].append(entry)
    for entries in tracks.values():
        expected = 0
        for entry in entries:
            start, last = entry["segments"][0][2], entry["segments"][-1]
            if start != expected:
                bad.setdefault(entry["unit"], f"{entry['url']}: it begins at tick {start}, not at {expected}")
            expected = last[2] + last[3]
        # A video's length is no multiple of an AAC frame: the audio may be off by one frame of
        # 1,024 samples.
        slack_s = 1024 / entries[-1]["timescale"] if entries[-1]["role"] == "audio" else 1e-6
        length_s = expected / entries[-1]["timescale"]
        if abs(length_s - manifest["duration_s"]) > slack_s:
            reason = f"{entries[-1]['url']}: it ends at {length_s:.6f} s, not at {manifest['duration_s']:.6f} s"
            bad.setdefault(entries[-1]["unit"], reason)
    return bad


def _check_object(entry: Mapping[str, Any], gop_ticks: int, read: Callable[[str], Iterator[bytes]]) -> None:
    try:
        blocks = read(entry["url"])
        if entry["role"] in _STILLS:
            _check_bytes(entry, blocks)
            return
        reader = FragmentReader()
        fragments: list[Fragment] = []
        _check_bytes(entry, _parsed(blocks, reader, fragments))
    except FileNotFoundError:
        raise _BadObjectError(reason="it is missing") from None
    reader.close()
    if hashlib.sha256(reader.init).hexdigest() != entry["init_sha256"]:
        raise _BadObjectError(reason="the checksum of its init segment does not match")
    _check_segments(entry["segments"], fragments)
    if entry["role"] == "video":
        _check_key_frames(fragments, gop_ticks)
        _check_first_frames(entry["key_frames"], fragments)


def _parsed(blocks: Iterator[bytes], reader: FragmentReader, fragments: list[Fragment]) -> Iterator[bytes]:
    """Yield the blocks unchanged, and append the fragments they contain to `fragments`."""
    for block in blocks:
        fragments.extend(reader.take(block))
        yield block


def _check_bytes(entry: Mapping[str, Any], blocks: Iterator[bytes]) -> None:
    found, size = hashlib.sha256(), 0
    for block in blocks:
        found.update(block)
        size += len(block)
    if size != entry["bytes"]:
        raise _BadObjectError(reason=f"it has {size} bytes instead of {entry['bytes']}")
    if found.hexdigest() != entry["sha256"]:
        raise _BadObjectError(reason="its checksum does not match")


def _check_segments(segments: Sequence[Sequence[int]], fragments: Sequence[Fragment]) -> None:
    """Raise _BadObjectError unless segments are runs of whole fragments, and no fragment is left over.

    Both bytes and times are compared.
    """
    remaining = list(fragments)
    for offset, size, start, duration in segments:
        at, time = offset, start
        while at < offset + size:
            if not remaining or remaining[0].offset != at or remaining[0].decode_ticks != time:
                raise _BadObjectError(reason=f"no fragment begins at byte {at} and tick {time}")
            at, time = at + remaining[0].size_bytes, time + remaining[0].duration_ticks
            del remaining[0]
        if at != offset + size or time != start + duration:
            raise _BadObjectError(reason=f"the segment at byte {offset} wrongly ends at byte {at} and tick {time}")
    if remaining:
        raise _BadObjectError(reason=f"the fragment at byte {remaining[0].offset} belongs to no segment")


def _check_key_frames(fragments: Sequence[Fragment], gop_ticks: int) -> None:
    """Raise _BadObjectError unless key frames are on the GOP grid that all rungs share, and nowhere else."""
    for fragment in fragments:
        if fragment.decode_ticks % gop_ticks or fragment.duration_ticks > gop_ticks or fragment.sync_samples != (0,):
            raise _BadObjectError(reason=f"key frames are off the grid in the fragment at tick {fragment.decode_ticks}")


def _check_first_frames(key_frames: Sequence[Sequence[int]], fragments: Sequence[Fragment]) -> None:
    """Raise _BadObjectError unless the manifest lists every key frame, with its byte range, and no others."""
    found = [
        [fragment.offset, fragment.first_frame_bytes, fragment.decode_ticks, fragment.duration_ticks]
        for fragment in fragments
    ]
    if [list(row) for row in key_frames] != found:
        raise _BadObjectError(reason="its list of key frames does not match")
