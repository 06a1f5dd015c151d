"""Clocks that do not begin at 0 or that begin again: exact lengths, frames in order, audio in step."""

from __future__ import annotations

import dataclasses
import itertools
import json
import struct
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import Plan, describe_warning, make_plan, probe_source
from tests.media.clips import H264, ffmpeg, numbers_filter, read_numbers
from tests.media.partial_sources import encoded
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

_FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof+frag_discont")
_TICKS = {1: 15360, 2: 48000}
"""Timescales that ffmpeg gives the video track at 30 fps and the audio track."""


def _beep(path: Path, *codec: str) -> Path:
    """Write 4 s of numbered frames at 30 fps, and audio that is silent but for a tone from 1 s to 2 s."""
    tone = "aevalsrc=between(t\\,1\\,2)*sin(880*PI*t)*0.5:s=48000:d=4"
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", tone, "-frames:v", "120"),
        *(codec or H264),
        str(path),
    )
    return path


def _tone_starts_s(done: Transcoded) -> list[float]:
    """Return the times at which the audio of an output gets loud after at least 0.3 s of silence."""
    raw = ffmpeg("-i", str(done.joined("audio")), "-ac", "1", "-ar", "8000", "-f", "u8", "-")
    loud = [at for at, level in enumerate(raw) if abs(level - 128) > 20]
    return [at / 8000 for index, at in enumerate(loud) if index == 0 or at - loud[index - 1] > 2400]


def _shift_fragments(path: Path, by_s: dict[int, float]) -> None:
    """Add seconds to the decode times (tfdt) of the fragments of each track."""
    content = bytearray(path.read_bytes())
    at = content.find(b"tfhd")
    while at >= 0:
        (track,) = struct.unpack_from(">I", content, at + 8)
        time = content.index(b"tfdt", at) + 8
        (ticks,) = struct.unpack_from(">Q", content, time)
        struct.pack_into(">Q", content, time, ticks + round(by_s[track] * _TICKS[track]))
        at = content.find(b"tfhd", time)
    path.write_bytes(content)


@pytest.mark.parametrize("begin_s", [0, 5, 1_700_000_000])
def test_audio_stays_in_step_when_the_first_fragment_is_of_a_later_time(
    begin_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    source = _beep(tmp_path / "a.mp4", *H264, "-bf", "0", "-g", "30", *_FRAGMENTS)
    _shift_fragments(source, {1: begin_s, 2: begin_s})
    done = transcode(source)
    # ffmpeg's muxer makes the first frame longer by the audio's priming: by more than half a frame.
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [0, *range(120)]
    # Without an edit list, the AAC encoder's first 1,024 samples delay the audio in any player.
    assert _tone_starts_s(done) == pytest.approx([1 + 1024 / 48000], abs=0.01)
    assert not done.plan.warnings


def test_first_frame_is_held_when_the_first_fragment_of_the_video_is_later(
    tmp_path: Path, transcode: Transcode
) -> None:
    source = _beep(tmp_path / "a.mp4", *H264, "-bf", "0", "-g", "30", *_FRAGMENTS)
    _shift_fragments(source, {1: 3, 2: 0})
    done = transcode(source)
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == [*[0] * 91, *range(120)]
    assert _tone_starts_s(done) == pytest.approx([1 + 1024 / 48000], abs=0.01)
    assert not done.plan.warnings


MPEG2 = ("-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-g", "15", "-c:a", "mp2")
CLOSED = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-c:a", "aac")

JOINED: dict[str, tuple[str, Sequence[str], list[float]]] = {
    "recordings of the same time": ("a.ts", CLOSED, [0, 0, 0]),
    "a second recording of an earlier time": ("a.ts", CLOSED, [5000, 0]),
    "a second recording of a time that is hours later": ("a.ts", CLOSED, [0, 36_000]),
    "recordings in packets of 192 bytes": ("a.m2ts", (*CLOSED, "-mpegts_m2ts_mode", "1"), [0, 0]),
    "recordings with MPEG-2 video": ("a.ts", MPEG2, [0, 0]),
    "cells of a DVD": ("a.vob", MPEG2, [0, 0, 0]),
    "a clock that wraps around, and starts over": ("a.ts", CLOSED, [95_441, 95_441]),
}
"""Name, codecs, and the times at which the clocks of the recordings begin."""


def _joined(path: Path, codec: Sequence[str], begins_s: Sequence[float]) -> Path:
    """Write recordings of 4 s one after the other, as plain files."""
    parts = [
        _beep(path.with_name(f"{number}-{path.name}"), *codec, "-output_ts_offset", str(begin_s)).read_bytes()
        for number, begin_s in enumerate(begins_s)
    ]
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", JOINED)
def test_everything_is_shown_when_the_clock_starts_over(kind: str, tmp_path: Path, transcode: Transcode) -> None:
    name, codec, begins_s = JOINED[kind]
    done = transcode(_joined(tmp_path / name, codec, begins_s))
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(120)) * len(begins_s)
    expected_s = [4 * part + 1 for part in range(len(begins_s))]
    assert _tone_starts_s(done) == pytest.approx(expected_s, abs=0.03)
    assert not done.plan.warnings
    assert all(unit.start_bytes for unit in done.plan.video_units[1:])
    assert Plan.from_json(json.loads(json.dumps(done.plan.to_json()))) == done.plan


def test_everything_is_shown_when_a_cell_of_a_dvd_has_a_time_that_is_hours_later(
    tmp_path: Path, transcode: Transcode
) -> None:
    done = transcode(_joined(tmp_path / "a.vob", MPEG2, [0, 30_000]))
    shown = read_numbers(done.joined(done.rungs[0]), done.plan)
    # The last frame of the first cell has no time of its own, so the one before may be held for a frame.
    assert len(shown) in {240, 241}
    assert [number for number, _ in itertools.groupby(shown)] == [*range(120), *range(120)]
    assert _tone_starts_s(done) == pytest.approx([1, 5], abs=0.05)
    assert not done.plan.warnings


@pytest.mark.parametrize("begins_s", [[0, 0], [5000, 0]], ids=["at the same time", "at an earlier time"])
def test_units_start_inside_the_file_when_the_clock_starts_over(begins_s: list[float], tmp_path: Path) -> None:
    source = _joined(tmp_path / "a.ts", CLOSED, begins_s)
    plan = make_plan(probe_source(source), SMALL, threads=1)
    # Without the file's start, from which any unit can be made.
    unit = dataclasses.replace(plan.video_units[-1], seeks_s=())
    plan = dataclasses.replace(plan, video_units=(*plan.video_units[:-1], unit))
    encoded(source, plan, len(plan.video_units) - 1, tmp_path / "unit")


def test_audio_is_complete_when_its_clock_starts_over_without_video(tmp_path: Path, transcode: Transcode) -> None:
    part = tmp_path / "part.ts"
    ffmpeg("-i", str(_beep(tmp_path / "b.ts", *CLOSED)), "-map", "0:a", "-c", "copy", str(part))
    (tmp_path / "a.ts").write_bytes(2 * part.read_bytes())
    done = transcode(tmp_path / "a.ts")
    assert done.plan.duration_s == pytest.approx(8, abs=0.1)
    assert _tone_starts_s(done) == pytest.approx([1, 5], abs=0.06)
    assert not done.plan.warnings


def test_longer_audio_of_a_recording_is_kept_when_the_clock_starts_over(tmp_path: Path, transcode: Transcode) -> None:
    first = tmp_path / "first.ts"
    tone = "aevalsrc=between(t\\,5\\,6)*sin(880*PI*t)*0.5:s=48000:d=6"
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", tone, "-vf", "trim=end_frame=120", *CLOSED),
        str(first),
    )
    second = _beep(tmp_path / "second.ts", *CLOSED)
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    done = transcode(tmp_path / "a.ts")
    shown = read_numbers(done.joined(done.rungs[0]), done.plan)
    held = len(shown) - 240
    assert shown == [*range(120), *[119] * held, *range(120)]
    # The last frame is held until the audio ends.
    assert held == pytest.approx(60, abs=3)
    assert _tone_starts_s(done) == pytest.approx([5, 4 + held / 30 + 1], abs=0.06)


_FLV_AUDIO = 8


def _under_other_ids(path: Path, begin_s: float, *options: str) -> Path:
    """Write a recording of 4 s whose streams have other identifiers than ffmpeg's first ones."""
    if path.suffix == ".ts":
        ids = ("-mpegts_start_pid", "0x200", "-mpegts_pmt_start_pid", "0x1000")
        return _beep(path, *CLOSED, *ids, *options, "-output_ts_offset", str(begin_s))
    content = _beep(path, *MPEG2, *options, "-output_ts_offset", str(begin_s)).read_bytes()
    path.write_bytes(content.replace(b"\0\0\1\xe0", b"\0\0\1\xe1").replace(b"\0\0\1\xc0", b"\0\0\1\xc1"))
    return path


@pytest.mark.parametrize("begin_s", [4.05, 0], ids=["on one clock", "on a new clock"])
def test_streams_are_followed_when_their_identifiers_change(
    begin_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    first, second = _beep(tmp_path / "first.ts", *CLOSED), _under_other_ids(tmp_path / "second.ts", begin_s)
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    done = transcode(tmp_path / "a.ts")
    shown = read_numbers(done.joined(done.rungs[0]), done.plan)
    # libav returns the last packet of the old stream only at the end of the file: two frames are off by one.
    wrong = [(is_, due) for is_, due in zip(shown, 2 * list(range(120)), strict=True) if is_ != due]
    assert len(wrong) <= 2
    assert all(abs(is_ - due) == 1 for is_, due in wrong)
    assert _tone_starts_s(done) == pytest.approx([1, 5], abs=0.03)
    assert not done.plan.warnings


@pytest.mark.parametrize("moved", ["0:600", "1:600"], ids=["video", "audio"])
def test_stream_is_followed_when_its_identifier_alone_changes(moved: str, tmp_path: Path, transcode: Transcode) -> None:
    first = _beep(tmp_path / "first.ts", *CLOSED)
    second = _beep(tmp_path / "second.ts", *CLOSED, "-streamid", moved, "-output_ts_offset", "4.05")
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    done = transcode(tmp_path / "a.ts")
    shown = read_numbers(done.joined(done.rungs[0]), done.plan)
    assert len(shown) == pytest.approx(240, abs=2)
    assert set(shown) == set(range(120))
    assert _tone_starts_s(done) == pytest.approx([1, 5], abs=0.1)
    assert not done.plan.warnings


def test_pause_of_the_audio_is_no_part_left_out_when_there_is_another_track(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", "sine=d=5", "-f", "lavfi", "-i", "sine=d=5"),
        *("-map", "0", "-map", "1", "-map", "2", "-filter:a:0", "aselect='lt(t,1)+gt(t,3)'", "-frames:v", "150"),
        *(*CLOSED, str(path)),
    )
    assert probe_source(path).warnings == ("AUDIO_MIXED track 1, track 2",)


@pytest.mark.parametrize(("order", "span"), [("last", "0:00:04 to 0:00:08"), ("between", "0:00:04 to 0:00:08")])
def test_warning_names_the_span_when_streams_under_other_identifiers_are_left_out(
    order: str, span: str, tmp_path: Path
) -> None:
    # A constant bit rate, from which the length of what is left out is estimated.
    rate = ("-b:v", "2M", "-minrate", "2M", "-maxrate", "2M", "-bufsize", "400k", "-muxrate", "2600k")
    usual = _beep(tmp_path / "usual.vob", *MPEG2, *rate).read_bytes()
    other = _under_other_ids(tmp_path / "other.vob", 4, *rate).read_bytes()
    path = tmp_path / "a.vob"
    path.write_bytes(usual + other + (usual if order == "between" else b""))
    assert probe_source(path).warnings == (f"PART_LEFT_OUT {span}",)
    assert span in describe_warning(f"PART_LEFT_OUT {span}")["message"]


@pytest.mark.long
def test_audio_is_cut_with_a_warning_when_its_last_packet_is_hours_late(tmp_path: Path, transcode: Transcode) -> None:
    source = _beep(tmp_path / "a.flv", *CLOSED)
    content = bytearray(source.read_bytes())
    # The last tag of audio (Adobe FLV 10.1, E.4.1): its time is in milliseconds, the highest byte last.
    at = len(content) - 4 - int.from_bytes(content[-4:], "big")
    while content[at] != _FLV_AUDIO:
        at -= 4 + int.from_bytes(content[at - 4 : at], "big")
    content[at + 4 : at + 8] = bytes([0x80, 0, 0, 0])
    source.write_bytes(content)
    done = transcode(source)
    assert read_numbers(done.joined(done.rungs[0]), done.plan) == list(range(120))
    assert done.plan.warnings == ("AUDIO_CUT",)
