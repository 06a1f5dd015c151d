"""A unit made from a part of the source has the bytes of one made from all of it, and a missing byte is noticed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import EncodeError, Plan, missing, total_bytes
from tasks.transcode.plan.source_reads import Whole
from tests.media.clips import ffmpeg
from tests.media.partial_sources import (
    FORMATS,
    PROFILE,
    encoded,
    encoded_audio,
    make_recording,
    planned,
    remuxed,
    sparse_copy,
)

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 24
TWO_AUDIO_UNITS = dataclasses.replace(PROFILE, audio_head_s=4)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("recording") / "recording.mp4", seconds=SECONDS)


@pytest.fixture(scope="module", params=FORMATS)
def source(recording: Path, request: pytest.FixtureRequest) -> Path:
    return remuxed(recording, recording.with_name(request.param), *FORMATS[request.param])


@pytest.fixture(scope="module")
def plan(source: Path) -> Plan:
    return planned(source)


@pytest.mark.few(2)
def test_unit_has_the_same_bytes_when_only_a_part_of_the_source_is_present(
    source: Path, plan: Plan, tmp_path: Path
) -> None:
    assert plan.reads is not None
    assert not plan.reads.whole
    units = len(plan.video_units)
    for index in (0, units // 2, units - 1):
        ranges = plan.reads.of_video(index)
        assert ranges is not None
        assert total_bytes(ranges) < 0.9 * source.stat().st_size
        copy = sparse_copy(source, tmp_path / "copy", ranges)
        part, whole = tmp_path / f"part-{index}", tmp_path / f"whole-{index}"
        assert encoded(copy, plan, index, part, ranges) == encoded(source, plan, index, whole)
        assert {path.name: path.read_bytes() for path in part.iterdir()} == {
            path.name: path.read_bytes() for path in whole.iterdir()
        }
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.few(2)
def test_planted_hole_is_noticed_when_a_unit_reads_it(source: Path, plan: Plan, tmp_path: Path) -> None:
    index = len(plan.video_units) - 1
    assert plan.reads is not None
    ranges = plan.reads.of_video(index)
    assert ranges is not None
    first, end = max(missing(plan.reads.units[index], plan.reads.opening), key=lambda each: each[1] - each[0])
    middle = (first + end) // 2
    holed = missing(ranges, ((middle, middle + 1),))
    # All bytes are there, so nothing else could notice.
    with pytest.raises(EncodeError, match="HOLE_READ"):
        encoded(source, plan, index, tmp_path / "unit", holed)


def test_audio_has_the_same_bytes_when_only_its_part_of_the_source_is_present(tmp_path: Path) -> None:
    # Large frames, so that the pieces of audio are far apart.
    recording = tmp_path / "recording.mov"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=640x360:r=10:d=4", "-f", "lavfi", "-i", "sine=r=48000:d=4"),
        *("-c:v", "rawvideo", "-pix_fmt", "uyvy422", "-c:a", "aac", str(recording)),
    )
    plan = planned(recording)
    assert plan.reads is not None
    ranges = plan.reads.of_audio(0)
    assert ranges is not None
    assert total_bytes(ranges) < 0.5 * recording.stat().st_size
    copy = sparse_copy(recording, tmp_path / "copy", ranges)
    part = encoded_audio(copy, plan, 0, tmp_path / "part", ranges)
    assert part == encoded_audio(recording, plan, 0, tmp_path / "whole")


@pytest.mark.few(2)
def test_first_audio_unit_has_the_same_bytes_when_only_the_beginning_of_the_source_is_present(
    source: Path, tmp_path: Path
) -> None:
    plan = planned(source, profile=TWO_AUDIO_UNITS)
    assert plan.reads is not None
    assert len(plan.audio_units) == 2
    ranges = plan.reads.of_audio(0)
    assert ranges is not None
    # 4 s of 24 s, and what is read ahead; at the end of the file only its index.
    assert total_bytes(ranges) < 0.5 * source.stat().st_size
    copy = sparse_copy(source, tmp_path / "copy", ranges)
    part, whole = tmp_path / "part", tmp_path / "whole"
    assert encoded_audio(copy, plan, 0, part, ranges) == encoded_audio(source, plan, 0, whole)
    assert (part / "audio.mp4").read_bytes() == (whole / "audio.mp4").read_bytes()
    # The other one is encoded from the beginning too, and its packets are everywhere.
    assert plan.reads.of_audio(1) is None
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["index last.mp4", "stream.ts"])
def test_unit_of_another_track_has_the_same_bytes_when_only_the_beginning_is_present(
    name: str, recording: Path, tmp_path: Path
) -> None:
    source = tmp_path / name
    tone = ("-f", "lavfi", "-i", "sine=700:r=48000:d=24")
    ffmpeg(
        *("-i", str(recording), *tone, "-map", "0", "-map", "1", "-c", "copy", "-c:a:1", "ac3"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", *FORMATS[name], str(source)),
    )
    plan = planned(source, profile=TWO_AUDIO_UNITS)
    assert plan.reads is not None
    assert [unit.track for unit in plan.audio_units] == [0, 1, 0, 1]
    first, second = plan.reads.of_audio(0), plan.reads.of_audio(1)
    assert first is not None
    assert second is not None
    if name != "stream.ts":
        # Each track is in places of its own.
        assert first != second
    copy = sparse_copy(source, tmp_path / "copy", second)
    part, whole = tmp_path / "part", tmp_path / "whole"
    assert encoded_audio(copy, plan, 1, part, second) == encoded_audio(source, plan, 1, whole)


@pytest.mark.parametrize("name", ["cues.mkv", "stream.ts", "index last.mp4"])
def test_audio_takes_the_whole_source_when_it_is_spread_over_it(name: str, recording: Path, tmp_path: Path) -> None:
    reads = planned(remuxed(recording, tmp_path / name, *FORMATS[name])).reads
    assert reads is not None
    assert not reads.whole
    assert reads.of_audio(0) is None


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("fragments.mp4", ("-movflags", "+frag_keyframe+empty_moov+default_base_moof"), Whole.FORMAT),
        ("index.avi", (), Whole.FORMAT),
        ("tags.flv", (), Whole.FORMAT),
        ("no cues.mkv", ("-f", "matroska", "-live", "1"), Whole.TOO_MUCH),
    ],
)
def test_plan_says_why_when_containers_need_the_whole_source(
    name: str, arguments: tuple[str, ...], why: Whole, recording: Path, tmp_path: Path
) -> None:
    reads = planned(remuxed(recording, tmp_path / name, *arguments), most_read=3).reads
    assert reads is not None
    assert (reads.whole, reads.of_video(0), reads.of_audio(0)) == (why, None, None)


def test_plan_takes_the_whole_source_when_it_is_small(recording: Path) -> None:
    reads = planned(recording, whole_below_bytes=recording.stat().st_size + 1).reads
    assert reads is not None
    assert reads.whole == Whole.SMALL


def test_unit_starts_over_from_an_earlier_key_frame_only_with_the_whole_source(recording: Path, tmp_path: Path) -> None:
    plan = planned(recording)
    index = len(plan.video_units) - 2
    unit = plan.video_units[index]
    assert plan.reads is not None
    # The first seek lands too late: the next one is at a place that was not planned to be read.
    late = dataclasses.replace(unit, seeks_s=(f"{SECONDS - 1}", *unit.seeks_s))
    changed = dataclasses.replace(plan, video_units=tuple(late if each is unit else each for each in plan.video_units))
    with pytest.raises(EncodeError, match="HOLE_READ"):
        encoded(recording, changed, index, tmp_path / "part", plan.reads.of_video(0))
    assert encoded(recording, changed, index, tmp_path / "whole").files
