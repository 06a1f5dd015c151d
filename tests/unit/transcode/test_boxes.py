"""Boxes are parsed correctly however their bytes arrive, and invalid ones are reported."""

from __future__ import annotations

import contextlib
import itertools
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.transcode import EncodeError
from tasks.transcode.mp4.boxes import Fragment, FragmentReader, InvalidBoxError
from tasks.transcode.mp4.fragments import read_fragments, with_times
from tasks.transcode.mp4.moof import Sample, build_moof


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


SIZES = ([5, 7, 9], [11], [2, 2])
INIT = _box(b"ftyp", b"iso6") + _box(b"moov", b"x" * 40)


def _moof(number: int, sizes: list[int]) -> bytes:
    return build_moof(number, number * 4096, [Sample(size, 1024) for size in sizes], all_sync=True)


FILE = INIT + b"".join(_moof(number, sizes) + bytes(sum(sizes)) for number, sizes in enumerate(SIZES, start=1))


def _read(content: bytes, cuts: list[int]) -> tuple[bytes, list[Fragment]]:
    reader = FragmentReader()
    found: list[Fragment] = []
    bounds = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    for start, end in itertools.pairwise(bounds):
        found += reader.take(content[start:end])
    reader.close()
    return reader.init, found


@given(cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_fragments_are_the_same_when_bytes_arrive_in_any_blocks(cuts: list[int]) -> None:
    init, found = _read(FILE, cuts)
    assert init == INIT
    assert [fragment.sample_sizes for fragment in found] == [tuple(sizes) for sizes in SIZES]
    assert [fragment.sequence for fragment in found] == [1, 2, 3]
    assert [fragment.decode_ticks for fragment in found] == [4096, 8192, 12288]
    assert [fragment.duration_ticks for fragment in found] == [1024 * len(sizes) for sizes in SIZES]
    assert [fragment.sync_samples for fragment in found] == [(0, 1, 2), (0,), (0, 1)]
    assert found[0].offset == len(INIT)
    assert sum(fragment.size_bytes for fragment in found) == len(FILE) - len(INIT)


LARGE = INIT + b"".join(_moof(number, [300_000, 700_000]) + bytes(1_000_000) for number in (1, 2, 3))


def _rchar_bytes() -> int:
    """Return how many bytes this process has read until now (proc_pid_io(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("content", [FILE, LARGE], ids=["small", "large"])
def test_fragments_of_a_file_are_the_same_when_its_media_data_is_left_out(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    before = _rchar_bytes()
    assert read_fragments(path) == _read(content, [])
    assert _rchar_bytes() - before < 100_000


@pytest.mark.parametrize("lost_bytes", [1, 500_000, 1_000_100])
def test_file_is_invalid_when_media_data_that_is_left_out_is_truncated(lost_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(LARGE[:-lost_bytes])
    with pytest.raises(InvalidBoxError):
        read_fragments(path)


def test_times_are_read_back_when_frames_last_differently_and_are_reordered() -> None:
    samples = [Sample(9, 1, 2), Sample(5, 58, 59), Sample(3, 1, -57)]
    head = build_moof(4, 600, samples, all_sync=False)
    (fragment,) = _read(INIT + head + bytes(17), [])[1]
    assert fragment.presentation_ticks == (602, 660, 602)
    assert (fragment.duration_ticks, fragment.sync_samples, fragment.sample_sizes) == (60, (0,), (9, 5, 3))
    assert len(head) == len(build_moof(4, 600, [Sample(9, 1)] * 3, all_sync=False)) + 3 * 8


@given(length=st.integers(len(INIT) + 1, len(FILE) - 1))
def test_truncation_is_detected_when_a_file_ends_inside_a_fragment(length: int) -> None:
    ends = {len(INIT)}
    for fragment in _read(FILE, [])[1]:
        ends.add(fragment.offset + fragment.size_bytes)
    if length in ends:
        assert _read(FILE[:length], [])
    else:
        with pytest.raises(InvalidBoxError):
            _read(FILE[:length], [])


_RUN = _box(b"tfhd", bytes(8)) + _box(b"tfdt", bytes(8)) + _box(b"trun", struct.pack(">II", 0, 0xFFFF_FFFF))
_MANY_SAMPLES = _box(b"moof", _box(b"mfhd", bytes(8)) + _box(b"traf", _RUN))
"""A track run of four billion samples without duration and size, in 16 bytes."""


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">I4s", 3, b"free"),
        struct.pack(">I4s", 0x7FFF_FFFF, b"moov"),
        FILE + _box(b"moov", b""),
        INIT + _box(b"mdat", b"abc"),
        INIT + _box(b"moof", b"") + _box(b"mdat", b""),
        INIT + _moof(1, [5, 6])[:-8] + _box(b"mdat", bytes(10)),
        INIT + _MANY_SAMPLES + _box(b"mdat", b""),
    ],
    ids=[
        "size too small",
        "moov too large",
        "moov in the middle",
        "mdat without moof",
        "empty moof",
        "wrong sample sizes",
        "four billion samples",
    ],
)
def test_boxes_are_rejected_when_they_are_invalid(content: bytes) -> None:
    with pytest.raises(InvalidBoxError):
        _read(content, [])


@given(noise=st.binary(max_size=300), at=st.integers(0, len(FILE)))
def test_reader_raises_only_invalid_box_error_when_a_file_has_noise(noise: bytes, at: int) -> None:
    with contextlib.suppress(InvalidBoxError):
        _read(FILE[:at] + noise + FILE[at + len(noise) :], [])


def test_times_are_refused_when_two_frames_have_the_same_time() -> None:
    moof = build_moof(1, 0, [Sample(9, 1), Sample(5, 1, 1), Sample(3, 1)], all_sync=False)
    (fragment,) = _read(INIT + moof + bytes(17), [])[1]
    assert fragment.presentation_ticks == (0, 2, 2)
    with pytest.raises(EncodeError, match="not one GOP"):
        with_times(fragment, delay_ticks=0, end_ticks=60, shift_ticks=0)
