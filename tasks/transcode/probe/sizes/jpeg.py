"""Frame headers of Motion JPEG, in which each frame has a size of its own. Follows ITU-T T.81, annex B."""

from __future__ import annotations

JPEG_HEADER_BYTES = 128 * 1024
"""More than the metadata that cameras write before a frame's header: a segment of it has 64 KiB at most."""

_MARKER = 0xFF
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA


def jpeg_header(frame: memoryview) -> bytes | None:
    """Return the header of a frame: precision, size and sampling of the components. None if there is none."""
    at = 0
    while at + 4 <= len(frame) and frame[at] == _MARKER:
        marker = frame[at + 1]
        if marker == _MARKER or marker in _WITHOUT_LENGTH:
            # Fill bytes, and the start of the image.
            at += 1 if marker == _MARKER else 2
            continue
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in _START_OF_FRAME:
            return bytes(frame[at + 4 : at + 2 + length])
        if marker == _START_OF_SCAN:
            return None
        at += 2 + length
    return None
