"""What a transport stream's tables declare is known for each place, however the file is read."""

from __future__ import annotations

from tasks.transcode.probe.parts.tables import Tables

PMT_PID, VIDEO_PID, AUDIO_PID = 0x1000, 0x100, 0x101
H264, HEVC, PRIVATE = 0x1B, 0x24, 0x06
AC3_DESCRIPTOR, LANGUAGE_DESCRIPTOR = b"\x6a\x01\x00", b"\x0a\x04eng\x00"
OTHER_PACKET = b"\x47\x01\x00\x10" + b"\xff" * 184


def _table(*streams: tuple[int, int, bytes]) -> bytes:
    """Return a PMT in as many packets as it needs; the streams are types, PIDs and descriptors."""
    listed = b"".join(
        bytes([kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, len(descriptors)]) + descriptors
        for kind, pid, descriptors in streams
    )
    body = b"\x00\x01\xc1\x00\x00\xe1\x00\xf0\x00" + listed + b"\xde\xad\xbe\xef"
    left = b"\x00\x02" + (0xB000 | len(body)).to_bytes(2, "big") + body
    packets = b""
    while left:
        begins = 0 if packets else 0x40
        header = bytes([0x47, begins | PMT_PID >> 8, PMT_PID & 0xFF, 0x10 | len(packets) // 188 % 16])
        packets += header + left[:184].ljust(184, b"\xff")
        left = left[184:]
    return packets


def _read(content: bytes, *, block: int) -> Tables:
    tables = Tables()
    for at in range(0, len(content), block):
        tables.take(at, content[at : at + block])
    return tables


def test_kind_is_the_one_declared_before_a_packet_when_it_changes() -> None:
    before = _table((H264, VIDEO_PID, b""))
    content = OTHER_PACKET + before + OTHER_PACKET * 3 + before + _table((HEVC, VIDEO_PID, b"")) + OTHER_PACKET
    for block in (len(content), 188, 100, 7):
        tables = _read(content, block=block)
        found = [tables.kind_at(VIDEO_PID, position) for position in (0, 188 * 5, 188 * 6, 188 * 7)]
        assert found == [(H264, b""), (H264, b""), (HEVC, b""), (HEVC, b"")], block
        assert tables.kind_at(AUDIO_PID, 188 * 7) is None


def test_streams_at_the_end_of_a_table_are_known_when_it_has_several_packets() -> None:
    many = [(H264, pid, LANGUAGE_DESCRIPTOR) for pid in range(0x200, 0x230)]
    table = _table(*many, (HEVC, VIDEO_PID, b""))
    assert len(table) == 3 * 188
    # Packets of other streams are between them.
    content = b"".join(table[at : at + 188] + 5 * OTHER_PACKET for at in range(0, len(table), 188))
    for block in (len(content), 188, 500):
        assert _read(content, block=block).kind_at(VIDEO_PID, 0) == (HEVC, b""), block


def test_codec_of_private_data_is_known_when_descriptors_name_it() -> None:
    content = _table((PRIVATE, AUDIO_PID, LANGUAGE_DESCRIPTOR + AC3_DESCRIPTOR), (PRIVATE, VIDEO_PID, b"\x05\x04Opus"))
    tables = _read(content, block=188)
    assert tables.kind_at(AUDIO_PID, 0) == (PRIVATE, b"\x6a")
    assert tables.kind_at(VIDEO_PID, 0) == (PRIVATE, b"\x05\x04Opus")


def test_mpeg_1_and_mpeg_2_are_one_kind_when_a_table_changes_its_mind() -> None:
    content = _table((0x01, VIDEO_PID, b""), (0x03, AUDIO_PID, b"")) + _table(
        (0x02, VIDEO_PID, b""), (0x04, AUDIO_PID, b"")
    )
    tables = _read(content, block=188)
    assert tables.kind_at(VIDEO_PID, 0) == tables.kind_at(VIDEO_PID, 188)
    assert tables.kind_at(AUDIO_PID, 0) == tables.kind_at(AUDIO_PID, 188)


def test_blocks_are_ignored_when_they_were_read_before_or_are_ahead() -> None:
    first, second = _table((H264, VIDEO_PID, b"")), _table((HEVC, VIDEO_PID, b""))
    tables = Tables()
    tables.take(0, first + OTHER_PACKET)
    tables.take(10 * 188, second)
    tables.take(0, first + OTHER_PACKET)
    assert tables.kind_at(VIDEO_PID, 20 * 188) == (H264, b"")
    tables.take(188, OTHER_PACKET + second)
    assert tables.kind_at(VIDEO_PID, 20 * 188) == (HEVC, b"")
