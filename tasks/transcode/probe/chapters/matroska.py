"""Chapters of Matroska and WebM files (RFC 9559, 5.1.7), as their authors want them displayed.

libav returns hidden and disabled chapters like all others, and leaves out chapters inside chapters
and those that are not in order of time. If there are several lists, those of a later one that begin
after the last chapter of an earlier one come behind it (findings/ffmpeg-matroska-chapters-mixed.sh).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ...chapters import ChapterMark
from ...sandbox.limits import MAX_CHAPTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..source_file import SourceFile

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_CHAPTERS, _EDITION, _EDITION_HIDDEN, _EDITION_DEFAULT = 0x1043A770, 0x45B9, 0x45BD, 0x45DB
_ATOM, _START, _END, _HIDDEN, _ENABLED, _OTHER_FILE = 0xB6, 0x91, 0x92, 0x98, 0x4598, 0x6E67
_DISPLAY, _STRING = 0x80, 0x85

_MAX_ELEMENTS = 1000
"""Elements of the first level before the first cluster: usually fewer than ten."""

_MAX_LIST_BYTES = 1_000_000
"""Largest list of chapters that is read: MAX_CHAPTERS of them with the longest titles are 600 kB."""

_MAX_CHILDREN = 10_000
"""Elements that are read of one. The worst list of _MAX_LIST_BYTES takes 3 CPU seconds (measured)."""

_MAX_HEAD_BYTES = 16

_MAX_DEPTH = 8
"""Chapters around all others that are looked into."""


class ChapterList(NamedTuple):
    """What a file declares."""

    marks: list[ChapterMark]
    """In the file's order, with titles as written."""
    has_others: bool = False
    """Whether there are chapters inside these, in other lists, or in other files."""


@dataclass(frozen=True)
class _Element:
    kind: int
    content: memoryview

    @cached_property
    def _inside(self) -> list[_Element]:
        return list(_elements(self.content))

    def children(self, kind: int) -> list[_Element]:
        """Return the elements of one kind in this one."""
        return [child for child in self._inside if child.kind == kind]

    def number(self, kind: int, default: int) -> int:
        """Return the unsigned integer of this kind."""
        found = self.children(kind)
        return int.from_bytes(found[0].content, "big") if found else default


class _Place(NamedTuple):
    """An element in the file."""

    kind: int
    start: int
    """First byte of its content."""
    end: int


def matroska_chapters(file: SourceFile) -> ChapterList | None:
    """Return the chapters of the default list; None if there is no list that can be read."""
    place = _find_chapters(file)
    if place is None or place.end - place.start > _MAX_LIST_BYTES:
        return None
    file.seek(place.start)
    chapters = _Element(_CHAPTERS, memoryview(file.read(place.end - place.start)))
    editions = [each for each in chapters.children(_EDITION) if not each.number(_EDITION_HIDDEN, 0)]
    if not editions:
        return ChapterList([])
    chosen = next((each for each in editions if each.number(_EDITION_DEFAULT, 0)), editions[0])
    others = any(_visible(each) for each in editions if each is not chosen)
    atoms = _visible(chosen)
    for _ in range(_MAX_DEPTH):
        # One around all others is the video itself.
        if len(atoms) != 1 or not (inside := _visible(atoms[0])):
            break
        atoms = inside
    here = [atom for atom in atoms if not atom.children(_OTHER_FILE)]
    others = others or len(here) < len(atoms) or any(_visible(atom) for atom in here)
    return ChapterList([_mark(atom) for atom in here], others)


def _visible(parent: _Element) -> list[_Element]:
    """Return the chapters in this element: one more than MAX_CHAPTERS if there are more."""
    atoms = parent.children(_ATOM)
    visible = (atom for atom in atoms if not atom.number(_HIDDEN, 0) and atom.number(_ENABLED, 1))
    return list(islice(visible, MAX_CHAPTERS + 1))


def _mark(atom: _Element) -> ChapterMark:
    title = next((text for display in atom.children(_DISPLAY) for text in display.children(_STRING)), None)
    end_ns = atom.number(_END, -1)
    return ChapterMark(
        round(atom.number(_START, 0) / 1_000_000),
        None if end_ns < 0 else round(end_ns / 1_000_000),
        "" if title is None else bytes(title.content).decode(errors="replace").split("\0")[0],
    )


def _find_chapters(file: SourceFile) -> _Place | None:
    """Return where the list of chapters is: before the first cluster, or where an index of the file has it."""
    size = file.seek(0, 2)
    at, segment = 0, None
    for _ in range(2):
        segment = _place(file, at, size)
        if segment is None or segment.kind == _SEGMENT:
            break
        at = segment.end
    if segment is None or segment.kind != _SEGMENT:
        return None
    waiting, visited = [segment.start], set[int]()
    for _ in range(_MAX_ELEMENTS):
        if not waiting:
            return None
        at = waiting.pop()
        place = None if at in visited else _place(file, at, segment.end)
        visited.add(at)
        if place is None or place.kind == _CLUSTER:
            continue
        if place.kind == _CHAPTERS:
            return place
        waiting.append(place.end)
        if place.kind == _SEEK_HEAD:
            waiting += [segment.start + offset for offset in _indexed(file, place)]
    return None


def _indexed(file: SourceFile, place: _Place) -> Iterator[int]:
    """Yield where the list of chapters, and further indexes, are according to an index, from the segment's start on."""
    if place.end - place.start > _MAX_LIST_BYTES:
        return
    file.seek(place.start)
    for seek in _Element(_SEEK_HEAD, memoryview(file.read(place.end - place.start))).children(_SEEK):
        if seek.number(_SEEK_ID, 0) in {_CHAPTERS, _SEEK_HEAD}:
            yield seek.number(_SEEK_POSITION, 0)


def _place(file: SourceFile, at: int, limit: int) -> _Place | None:
    """Return the element at a byte of the file, or None if it is damaged."""
    if at >= limit:
        return None
    file.seek(at)
    found = _head(file.read(_MAX_HEAD_BYTES))
    if found is None:
        return None
    kind, head_bytes, size = found
    start = min(limit, at + head_bytes)
    return _Place(kind, start, limit if size is None else min(limit, start + size))


def _elements(content: memoryview) -> Iterator[_Element]:
    """Yield the first elements of a list, up to one that is damaged."""
    at = 0
    for _ in range(_MAX_CHILDREN):
        found = _head(content[at : at + _MAX_HEAD_BYTES])
        if found is None:
            return
        kind, head_bytes, size = found
        start = at + head_bytes
        at = len(content) if size is None else start + size
        yield _Element(kind, content[start:at])


def _head(head: bytes | memoryview) -> tuple[int, int, int | None] | None:
    """Return an element's kind, the size of its head and of its content (RFC 8794, 4 to 6).

    The last is None for an unknown size: it ends with what contains it. None if there is no whole head.
    """
    kind_bytes = _number_bytes(head)
    size_bytes = _number_bytes(head[kind_bytes:])
    if not kind_bytes or not size_bytes:
        return None
    size = int.from_bytes(head[kind_bytes : kind_bytes + size_bytes], "big") - (1 << 7 * size_bytes)
    is_unknown = size == (1 << 7 * size_bytes) - 1
    return int.from_bytes(head[:kind_bytes], "big"), kind_bytes + size_bytes, None if is_unknown else size


def _number_bytes(head: bytes | memoryview) -> int:
    """Return the length of the variable-length number at the beginning; 0 if there is no whole one."""
    length = 9 - head[0].bit_length() if len(head) else 9
    return length if length <= min(8, len(head)) else 0
