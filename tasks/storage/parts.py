"""Objects and the parts of a multipart upload as the bucket has them, and the size of parts."""

from __future__ import annotations

from dataclasses import dataclass

MIN_PART_BYTES = 16 * 1024 * 1024
"""Minimum part size. S3 accepts parts of 5 MiB or more; larger parts need fewer requests, smaller
ones lose less when a connection breaks."""

MAX_PARTS = 10_000
"""Maximum number of parts (Amazon S3, "Multipart upload limits"). R2 has the same limit."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was found. Another one under the same key has another `etag`."""

    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that the bucket has stored."""

    number: int
    etag: str
    size_bytes: int


def part_size_bytes(size_bytes: int) -> int:
    """Return the part size for a file, in bytes.

    It is the smallest number of whole MiB that MAX_PARTS allows, and at least MIN_PART_BYTES.
    """
    mib = 1024 * 1024
    return max(MIN_PART_BYTES, -(-size_bytes // MAX_PARTS // mib) * mib)
