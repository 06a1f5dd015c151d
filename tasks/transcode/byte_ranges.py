"""Byte ranges of a file: (offset of the first byte, offset after the last one)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ByteRange = tuple[int, int]
ByteRanges = tuple[ByteRange, ...]


def merged(ranges: Iterable[ByteRange], *, gap_bytes: int = 0) -> ByteRanges:
    """Return the same bytes as ascending ranges, with gaps of up to `gap_bytes` between them filled."""
    result: list[ByteRange] = []
    for first, end in sorted(each for each in ranges if each[0] < each[1]):
        if result and first <= result[-1][1] + gap_bytes:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((first, end))
    return tuple(result)


def missing(wanted: Iterable[ByteRange], present: Iterable[ByteRange]) -> ByteRanges:
    """Return the bytes of `wanted` that are not in `present`."""
    result: list[ByteRange] = []
    have = merged(present)
    for first, end in merged(wanted):
        at = first
        for start, stop in have:
            if stop <= at or start >= end:
                continue
            if start > at:
                result.append((at, start))
            at = max(at, stop)
        if at < end:
            result.append((at, end))
    return tuple(result)


def total_bytes(ranges: Iterable[ByteRange]) -> int:
    """Return the number of bytes in ranges that do not overlap."""
    return sum(end - first for first, end in ranges)


def pieces(ranges: Iterable[ByteRange], size_bytes: int) -> list[ByteRange]:
    """Divide ranges into pieces of at most `size_bytes`, in the same order."""
    return [(at, min(at + size_bytes, end)) for first, end in ranges for at in range(first, end, size_bytes)]
