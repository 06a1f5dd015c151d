"""Frames that show nothing new are left out, and whatever a student could look for is shown in time."""

from __future__ import annotations

import dataclasses
import itertools
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import InputRejectedError, ProfileRung, make_plan, probe_source
from tasks.transcode.mp4.fragments import read_fragments
from tests.media.clips import ffmpeg, on_grid
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

RATE = 30
WIDTH_PX, HEIGHT_PX = 1280, 720
GOP_S = 2
FROM_S = 0.4
"""When a change happens: not at the beginning of a GOP, where any frame is kept."""
LATE_FRAMES = 3
"""100 ms."""

SHARP = dataclasses.replace(SMALL, rungs=(ProfileRung(HEIGHT_PX, 6, 12_000_000),), gop_s=GOP_S, segment_s=2.0 * GOP_S)
"""A rung in which the encoder itself loses nothing."""

SLIDE = f"testsrc2=s={WIDTH_PX}x{HEIGHT_PX}:r={RATE}:d=1,trim=end_frame=1,loop=-1:1,setpts=N/{RATE}/TB"
EXPORTED = ("-c:v", "libx264", "-preset", "medium", "-crf", "18", "-threads", "1")
"""With B-frames, in which a still wobbles."""


Area = tuple[int, int, int, int]
"""x, y, width, height."""


def _box(area: Area, colour: str, when: str) -> str:
    x, y, width, height = area
    return f"drawbox=x={x}:y={y}:w={width}:h={height}:t=fill:c={colour}:enable='{when}'"


CHANGES: dict[str, tuple[Area, str]] = {
    "a pointer": ((700, 300, 12, 18), "black"),
    "a caret": ((400, 500, 2, 20), "black"),
    "a stroke of one pixel and 12 levels": ((100, 600, 60, 1), "black@0.08"),
    "a dot of 6 pixels and 24 levels": ((640, 200, 6, 6), "black@0.15"),
    "a laser dot of 4 pixels and 24 levels": ((903, 349, 4, 4), "black@0.15"),
    "an area of 3 levels": ((200, 400, 200, 100), "black@0.03"),
    "a mark at the left edge": ((0, 300, 6, 18), "black"),
    "a mark in the last corner": ((1274, 714, 6, 6), "black"),
}
"""Something small that appears on a slide: where, and its colour."""


def _source(path: Path, filters: str, *, length_s: float = 4.0, codec: tuple[str, ...] = EXPORTED) -> Path:
    # Plain grey under whatever appears, so that its levels are what the names say.
    slide = f"{SLIDE},drawbox=x=0:y=0:w=iw:h=ih:t=fill:c=gray@0.8"
    graph = f"{slide},{filters},trim=duration={length_s},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", graph, *codec, str(path))
    return path


def _levels(path: Path, area: Area, filters: str) -> list[float]:
    """Return the mean luma of an area in each frame."""
    x, y, width, height = area
    shown = f"{filters},extractplanes=y,crop={width}:{height}:{x}:{y}:exact=1"
    raw = ffmpeg("-i", str(path), "-vf", shown, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    size = width * height
    return [fmean(raw[at : at + size]) for at in range(0, len(raw), size)]


def _encoded(done: Transcoded) -> int:
    """Return the number of frames that were encoded."""
    return sum(len(each.sample_sizes) for each in read_fragments(done.joined(done.rungs[0]))[1])


def test_small_change_is_shown_within_100_ms_when_the_rest_is_still(tmp_path: Path, transcode: Transcode) -> None:
    # One change in each GOP.
    changes = {name: (at * GOP_S + FROM_S, area, colour) for at, (name, (area, colour)) in enumerate(CHANGES.items())}
    boxes = ",".join(_box(area, colour, f"gte(t,{from_s})") for from_s, area, colour in changes.values())
    source = _source(tmp_path / "a.mp4", boxes, length_s=(len(CHANGES) + 1) * GOP_S)
    done = transcode(source, SHARP)
    unseen = []
    for name, (from_s, area, _) in changes.items():
        before = round(from_s * RATE) - 1
        due = _levels(source, area, "null")
        shown = _levels(done.joined(done.rungs[0]), area, on_grid(done.plan))
        expected = due[before] - due[before + LATE_FRAMES]
        assert expected > 2
        if shown[before] - shown[before + LATE_FRAMES] < expected * 0.7:
            unseen.append(name)
    assert not unseen
    assert _encoded(done) < len(due) / 3


@pytest.mark.parametrize(
    "codec",
    [
        EXPORTED,
        pytest.param(("-c:v", "libx264", "-preset", "veryfast"), marks=pytest.mark.long),
        pytest.param(("-c:v", "libx264", "-bf", "0"), marks=pytest.mark.long),
    ],
    ids=["exported", "recorded", "without B-frames"],
)
def test_still_costs_a_frame_per_gop_when_the_source_wobbles(
    codec: tuple[str, ...], tmp_path: Path, transcode: Transcode
) -> None:
    done = transcode(_source(tmp_path / "a.mp4", "null", length_s=12, codec=codec), SHARP)
    gops = -(-done.plan.frames // done.plan.gop_frames)
    # The last second is whole.
    assert gops + RATE - 1 <= _encoded(done) <= gops * 3 + RATE


@pytest.mark.long
@pytest.mark.parametrize("codec", [EXPORTED, ("-c:v", "libx264", "-preset", "veryfast")], ids=["exported", "recorded"])
def test_probe_counts_stills_when_an_encoder_skipped_them(codec: tuple[str, ...], tmp_path: Path) -> None:
    noisy = "noise=alls=20:allf=t:enable='lt(t,1)'"
    source = probe_source(_source(tmp_path / "a.mkv", noisy, length_s=3, codec=codec))
    assert RATE <= source.still_frames <= 2 * RATE
    assert source.new_frame_bytes > 500


@pytest.mark.long
def test_fade_is_shown_as_it_is_when_it_is_slow(tmp_path: Path, transcode: Transcode) -> None:
    source = _source(tmp_path / "a.mp4", "fade=out:st=1:d=10", length_s=12)
    done = transcode(source, SHARP)
    area = (0, 0, 64, 64)
    due = _levels(source, area, "null")
    shown = _levels(done.joined(done.rungs[0]), area, on_grid(done.plan))
    for at in range(LATE_FRAMES, len(shown)):
        assert min(abs(shown[at] - level) for level in due[at - LATE_FRAMES : at + 1]) < 1


@pytest.mark.long
def test_noise_stays_in_motion_when_it_fills_a_corner_only(tmp_path: Path, transcode: Transcode) -> None:
    corner = "split[rest][c];[c]crop=128:72:0:0,noise=alls=5:allf=t[noisy];[rest][noisy]overlay=1152:648"
    done = transcode(_source(tmp_path / "a.mp4", corner), SHARP)
    fragments = read_fragments(done.joined(done.rungs[0]))[1]
    times = sorted(ticks for fragment in fragments for ticks in fragment.presentation_ticks)
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert longest <= LATE_FRAMES * done.plan.frame_ticks


@pytest.mark.long
def test_each_slide_is_shown_at_its_time_when_there_are_many(tmp_path: Path, transcode: Transcode) -> None:
    # Each slide has its own brightness, and 1.3 s.
    slides = "drawbox=x=0:y=0:w=iw:h=ih:t=fill:c=white@0.5:enable='mod(floor(n/39),2)'"
    source = _source(tmp_path / "a.mp4", slides, length_s=12.5)
    done = transcode(source, SHARP)
    area = (0, 0, 64, 64)
    due = _levels(source, area, "null")
    shown = _levels(done.joined(done.rungs[0]), area, on_grid(done.plan))
    assert len(due) == len(shown)
    assert max(abs(one - other) for one, other in zip(due, shown, strict=True)) < 2
    assert _encoded(done) < len(due) / 4


@pytest.mark.long
def test_poster_is_there_when_its_frame_shows_nothing_new(tmp_path: Path, transcode: Transcode) -> None:
    # A tenth of the video: 1.2 s, in the middle of a GOP.
    done = transcode(_source(tmp_path / "a.mp4", "null", length_s=12), SHARP)
    assert done.plan.poster_frame % done.plan.gop_frames
    assert (done.run.folder / done.publication.manifest["poster"]).stat().st_size > 0


def test_units_have_one_init_segment_when_some_begin_with_motion(tmp_path: Path, transcode: Transcode) -> None:
    # ffmpeg derives the edit list from the distance of a unit's first frames: a period, or a GOP.
    moving = "drawbox=x=40:y=40:w=90:h=90:t=fill:c=black:enable='lt(t,2)*mod(floor(n/2),2)'"
    done = transcode(_source(tmp_path / "a.mp4", moving, length_s=12.5), dataclasses.replace(SHARP, warm_up_gops=0))
    assert len(done.plan.video_units) > 1
    inits = {entry["init_sha256"] for entry in done.publication.manifest["objects"] if entry["role"] == "video"}
    assert len(inits) == 1


_TALK_S = 4000
"""Longer than frames may be apart if nothing shows that the clock is right."""


def _talk(path: Path, *, audio: str = "anullsrc=r=8000:cl=mono") -> Path:
    """Write a slide for more than an hour: frames in its first and last seconds only, and audio."""
    slide = f"color=teal:s=64x64:r=1:d={_TALK_S},select='lt(t,5)+gt(t,{_TALK_S - 5})'"
    ffmpeg(
        *("-f", "lavfi", "-i", slide, "-f", "lavfi", "-i", audio, "-t", str(_TALK_S), "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_mulaw", str(path)),
    )
    return path


def test_slide_for_a_whole_talk_is_accepted_when_the_audio_goes_on(tmp_path: Path) -> None:
    plan = make_plan(probe_source(_talk(tmp_path / "a.mkv")), SMALL, threads=1)
    assert plan.duration_s == pytest.approx(_TALK_S, abs=2)


@pytest.mark.long
@pytest.mark.parametrize(
    "audio", ["anullsrc=r=8000:cl=mono:d=3000", "anullsrc=r=8000:cl=mono,aselect='lt(t,1000)+gt(t,3990)'"]
)
def test_clock_is_taken_for_damaged_when_the_audio_pauses_as_well(audio: str, tmp_path: Path) -> None:
    with pytest.raises(InputRejectedError) as caught:
        probe_source(_talk(tmp_path / "a.mkv", audio=audio))
    assert caught.value.code == "BROKEN_TIMES"


@pytest.mark.parametrize("frames", [90, 91, 92])
def test_seams_match_when_the_last_second_begins_next_to_one(frames: int, tmp_path: Path, transcode: Transcode) -> None:
    # The unit after the seam at frame 60 begins to encode at frame 45, an odd one.
    source = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", f"color=gray:s=160x90:r={RATE}", "-frames:v", str(frames), *EXPORTED, str(source))
    done = transcode(source)
    assert done.plan.frames == frames
    assert [unit.first_frame for unit in done.plan.video_units] == [0, 60]
