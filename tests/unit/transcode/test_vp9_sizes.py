"""Sizes in the headers of VP9 frames, made bit by bit: encoders for files change them at key frames only."""

from __future__ import annotations

from tasks.transcode.probe.sizes.vp9 import Vp9Sizes

SYNC = f"{0x498342:024b}"
SMALL, LARGE = (320, 180), (1280, 720)


def _bytes(bits: str) -> bytes:
    whole = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(whole, 2).to_bytes(len(whole) // 8, "big") + bytes(8)


def _size(size: tuple[int, int]) -> str:
    return "".join(f"{side - 1:016b}" for side in size)


def _key(size: tuple[int, int], *, profile: int = 0) -> bytes:
    # Marker, profile (low bit first), not shown again, key frame, shown, not resilient; BT.709.
    color = {0: "0100", 1: "0100" + "000", 2: "0" + "0100"}[profile]
    return _bytes(f"10{profile & 1}{profile >> 1}0010{SYNC}{color}{_size(size)}")


def _inter(*, refers_to: int | None = None, size: tuple[int, int] = SMALL, refreshes: int = 0, shown: int = 1) -> bytes:
    """Return a frame that has the size of its second reference, or its own."""
    intra_only = "" if shown else "0"
    references = f"0000{refers_to or 0:03b}00000"
    found = f"000{_size(size)}" if refers_to is None else "01"
    return _bytes("10000" + f"1{shown}0{intra_only}00{refreshes:08b}{references}{found}")


def _superframe(*frames: bytes) -> bytes:
    marker = bytes([0b11001000 | len(frames) - 1])
    lengths = b"".join(len(frame).to_bytes(2, "little") for frame in frames)
    return b"".join(frames) + marker + lengths + marker


def test_vp9_size_is_found_when_it_changes_without_a_key_frame() -> None:
    sizes = Vp9Sizes()
    assert sizes.size_of(_key(LARGE)) == LARGE
    assert sizes.size_of(_inter(size=SMALL, refreshes=1 << 5)) == SMALL
    assert sizes.size_of(_inter(refers_to=5)) == SMALL
    assert sizes.size_of(_inter(refers_to=4)) == LARGE


def test_vp9_size_is_that_of_the_shown_frame_when_a_packet_has_several() -> None:
    sizes = Vp9Sizes()
    assert sizes.size_of(_key(LARGE)) == LARGE
    hidden = _inter(size=SMALL, refreshes=1 << 2, shown=0)
    assert sizes.size_of(_superframe(hidden, _inter(refers_to=0))) == LARGE
    # Shown again: frame 2.
    assert sizes.size_of(_bytes("10001010")) == SMALL


def test_vp9_size_is_found_when_the_profile_has_more_bits_of_color() -> None:
    assert [Vp9Sizes().size_of(_key(LARGE, profile=profile)) for profile in (0, 1, 2)] == [LARGE] * 3


def test_vp9_size_is_none_when_the_packet_is_damaged() -> None:
    sizes = Vp9Sizes()
    assert [sizes.size_of(packet) for packet in (b"", b"\x00" * 20, b"\x82" + b"\x00" * 20)] == [None] * 3
    assert sizes.size_of(_inter(refers_to=1)) is None
