"""A stream that begins in the middle of a packet, or after zeros, is read whole; nothing else becomes a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError, probe_source
from tests.media.clips import make_clip, read_numbers
from tests.media.partial_sources import encoded, make_recording, planned, remuxed, sparse_copy
from tests.media.torn_streams import rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

MPEG2 = ("-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-g", "15")

TORN = {
    "188 bytes, 100 missing": ("a.ts", {"without": 100}),
    "188 bytes after 376 zeros": ("a.ts", {"zeros": 376}),
    "188 bytes after 3,000 zeros": ("a.ts", {"zeros": 3000}),
    "192 bytes, 101 missing": ("a.m2ts", {"packet_bytes": 192, "without": 101}),
    "192 bytes after 1,000 zeros": ("a.m2ts", {"packet_bytes": 192, "zeros": 1000}),
    "204 bytes": ("a.ts", {"packet_bytes": 204}),
    "204 bytes, 50 missing": ("a.ts", {"packet_bytes": 204, "without": 50}),
    "204 bytes after 700 zeros": ("a.ts", {"packet_bytes": 204, "zeros": 700}),
    "program stream after 512 zeros": ("a.vob", {"zeros": 512}),
    "program stream, 1,500 missing": ("a.vob", {"without": 1500}),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", TORN)
def test_every_frame_is_shown_when_a_stream_begins_off_a_packet(
    kind: str, tmp_path: Path, transcode: Transcode
) -> None:
    name, change = TORN[kind]
    codec = {} if name != "a.vob" else {"codec": MPEG2}
    plain = make_clip(tmp_path / "a.ts" if name != "a.vob" else tmp_path / name, audio_s=5, **codec)  # type: ignore[arg-type]
    source = rewrite(plain, **change).rename(tmp_path / name)
    done = transcode(source)
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(150))
    assert done.plan.has_audio
    assert not done.plan.warnings


@pytest.mark.few(1)
@pytest.mark.parametrize(("packet_bytes", "without"), [(188, 100), (192, 0), (204, 50)])
def test_unit_has_the_same_bytes_when_a_part_of_a_torn_stream_is_present(
    packet_bytes: int, without: int, tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "a.mp4", seconds=16)
    source = rewrite(remuxed(recording, tmp_path / "a.ts"), packet_bytes=packet_bytes, without=without)
    plan = planned(source)
    assert plan.reads is not None
    assert not plan.reads.whole
    index = len(plan.video_units) - 1
    ranges = plan.reads.of_video(index)
    assert ranges is not None
    copy = sparse_copy(source, tmp_path / "copy", ranges)
    part, whole = tmp_path / "part", tmp_path / "whole"
    assert encoded(copy, plan, index, part, ranges) == encoded(source, plan, index, whole)
    assert {path.name: path.read_bytes() for path in part.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


@pytest.mark.parametrize("before", [b"PK\x03\x04", b"<html>", b"%PDF-1.7", b"RIFF\0\0\0\0CDXA", b"#EXTM3U\n"])
@pytest.mark.parametrize("name", ["a.ts", "a.vob"])
def test_file_of_another_kind_is_rejected_when_it_contains_a_stream(name: str, before: bytes, tmp_path: Path) -> None:
    source = make_clip(tmp_path / name, frames=30, codec=MPEG2)
    source.write_bytes(before + source.read_bytes())
    with pytest.raises(InputRejectedError, match="NOT_A_VIDEO"):
        probe_source(source)


@pytest.mark.parametrize(("name", "before"), [("a.ts", 5000), ("a.vob", 70_000)])
def test_file_is_rejected_when_a_stream_begins_beyond_the_search(name: str, before: int, tmp_path: Path) -> None:
    source = make_clip(tmp_path / name, frames=30, codec=MPEG2)
    source.write_bytes(b"\xee" * before + source.read_bytes())
    with pytest.raises(InputRejectedError, match="NOT_A_VIDEO"):
        probe_source(source)


def test_file_is_rejected_when_a_pack_header_is_there_by_chance(tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    # The start code alone, then one whose marker bits are right and that nothing follows.
    source.write_bytes(b"\xee" * 100 + b"\0\0\1\xba" + b"\xee" * 100 + b"\0\0\1\xba\x44\0\4\0\4" + b"\xee" * 4000)
    with pytest.raises(InputRejectedError, match="NOT_A_VIDEO"):
        probe_source(source)
