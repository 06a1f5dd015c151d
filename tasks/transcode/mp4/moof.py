"""Writing of a fragment's moof (ISO/IEC 14496-12, clause 8.8)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SYNC_FLAGS, _OTHER_FLAGS = 0x0200_0000, 0x0101_0000
"""Sample flags (clause 8.8.3.1): depends on no other sample; depends on others and is no sync sample."""

_DEFAULT_DURATION, _DEFAULT_FLAGS, _DEFAULT_BASE_IS_MOOF = 0x8, 0x20, 0x020000
_DATA_OFFSET, _FIRST_FLAGS, _DURATIONS, _SIZES, _OFFSETS = 0x1, 0x4, 0x100, 0x200, 0x800


class Sample(NamedTuple):
    """One sample of a fragment, in the order of decoding."""

    size_bytes: int
    duration_ticks: int
    offset_ticks: int = 0
    """From its decode time to its presentation; may be negative."""


def build_moof(sequence: int, decode_ticks: int, samples: Sequence[Sample], *, all_sync: bool) -> bytes:
    """Return a moof and the header of its mdat. The first sample is a sync sample, the others if `all_sync`.

    Equal durations and missing offsets take no space.
    """
    duration_ticks = samples[0].duration_ticks
    is_steady = all(sample.duration_ticks == duration_ticks for sample in samples)
    has_offsets = any(sample.offset_ticks for sample in samples)
    tfhd = struct.pack(
        ">IIII",
        _DEFAULT_BASE_IS_MOOF | _DEFAULT_DURATION | _DEFAULT_FLAGS,
        1,
        duration_ticks,
        _SYNC_FLAGS if all_sync else _OTHER_FLAGS,
    )
    track = _box(b"tfhd", tfhd) + _box(b"tfdt", struct.pack(">B3xQ", 1, decode_ticks))
    mfhd = _box(b"mfhd", struct.pack(">II", 0, sequence))
    flags = _DATA_OFFSET | _SIZES
    flags |= (0 if all_sync else _FIRST_FLAGS) | (0 if is_steady else _DURATIONS) | (_OFFSETS if has_offsets else 0)
    row = struct.Struct(">" + ("" if is_steady else "I") + "I" + ("i" if has_offsets else ""))
    rows = b"".join(
        row.pack(
            *([] if is_steady else [sample.duration_ticks]),
            sample.size_bytes,
            *([sample.offset_ticks] if has_offsets else []),
        )
        for sample in samples
    )
    first_flags = b"" if all_sync else struct.pack(">I", _SYNC_FLAGS)
    run_bytes = 8 + 12 + len(first_flags) + len(rows)
    moof_bytes = 8 + len(mfhd) + 8 + len(track) + run_bytes
    # Version 1, because its offsets are signed.
    run = struct.pack(">BBHII", int(has_offsets), 0, flags, len(samples), moof_bytes + 8) + first_flags + rows
    moof = _box(b"moof", mfhd + _box(b"traf", track + _box(b"trun", run)))
    return moof + struct.pack(">I4s", 8 + sum(sample.size_bytes for sample in samples), b"mdat")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
