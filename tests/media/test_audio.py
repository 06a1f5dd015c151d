"""The output's audio is in sync with the video, complete, and as long as the video."""

from __future__ import annotations

import array
import dataclasses
import itertools
import math
import random
import threading
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import encode_audio, make_plan, probe_source
from tasks.transcode.mp4.fragments import read_fragments
from tasks.transcode.mp4.init_segment import read_init
from tests.media.clips import H264, ffmpeg, make_clip, numbers_filter
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

RATE_HZ = 48_000


def _clip_with_beep(path: Path, *, beep_s: float, offset_s: float, audio_s: float, layout: str = "stereo") -> Path:
    """Write 3 s of numbered frames with audio that starts at `offset_s`; a tone starts `beep_s` after the audio."""
    tone = f"aevalsrc=gt(t\\,{beep_s})*sin(2*PI*1000*t)*0.5:s=44100:d={audio_s},aformat=channel_layouts={layout}"
    ffmpeg(
        *("-f", "lavfi", "-i", numbers_filter("30"), "-itsoffset", str(offset_s), "-f", "lavfi", "-i", tone),
        *("-vf", "trim=end_frame=90", *H264, "-c:a", "pcm_s16le", str(path)),
    )
    return path


def _samples(path: Path) -> array.array[int]:
    """Return the samples, mixed to mono. The track has no edit list: its first sample is at presentation time 0."""
    raw = ffmpeg("-i", str(path), "-ac", "1", "-f", "s16le", "pipe:1")
    return array.array("h", raw)


@pytest.mark.parametrize(
    ("offset_s", "beep_s"),
    [(0.0, 1.0), (0.5, 0.7), (-0.4, 1.5)],
    ids=["with the video", "after the video", "before the video"],
)
def test_audio_is_in_sync_within_10_ms_when_it_starts_at_any_time(
    offset_s: float, beep_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    source = _clip_with_beep(tmp_path / "a.mkv", beep_s=beep_s, offset_s=offset_s, audio_s=3.5)
    done = transcode(source)
    beep_at = next(at for at, level in enumerate(_samples(done.joined("audio"))) if abs(level) > 4000)
    assert beep_at / RATE_HZ == pytest.approx(beep_s + offset_s, abs=0.010)


@pytest.mark.few(1)
@pytest.mark.parametrize("audio_s", [1.0, 3.0, 3.3], ids=["shorter", "as long", "a little longer"])
def test_audio_lasts_as_long_as_the_video_when_its_length_differs(
    audio_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", frames=90, audio_s=audio_s))
    assert done.plan.frames == 90
    samples = _samples(done.joined("audio"))
    assert len(samples) / RATE_HZ == pytest.approx(3.0, abs=1024 / RATE_HZ)
    assert max(samples[: RATE_HZ // 2]) > 1000
    if audio_s < 3:
        assert max(samples[round((audio_s + 0.1) * RATE_HZ) :]) < 50


def test_audio_is_stereo_without_edit_list_when_the_source_is_surround(tmp_path: Path, transcode: Transcode) -> None:
    source = _clip_with_beep(tmp_path / "a.mkv", beep_s=0, offset_s=0, audio_s=3, layout="5.1")
    done = transcode(source)
    init, _ = read_fragments(done.joined("audio"))
    facts = read_init(init)
    assert (facts.timescale, facts.codec, facts.shift_ticks) == (RATE_HZ, "mp4a.40.2", 0)
    samples = ffmpeg("-i", str(done.joined("audio")), "-af", "astats=measure_perchannel=none", "-f", "s16le", "pipe:1")
    assert len(samples) == done.plan.audio.aac_frames * 1024 * 2 * 2  # type: ignore[union-attr]  # it has audio


def test_playlists_have_no_audio_when_the_source_has_none(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", frames=30))
    assert not done.plan.has_audio
    assert done.run.units() == [0]
    master = (done.run.folder / "master.m3u8").read_text()
    assert "AUDIO" not in master
    assert "mp4a" not in master
    assert done.publication.manifest["audio"] == []


def test_audio_is_complete_when_it_lasts_a_second(tmp_path: Path, transcode: Transcode) -> None:
    done = transcode(make_clip(tmp_path / "a.mp4", frames=30, audio_s=1.0))
    assert done.plan.duration_s == 1.0
    ffmpeg("-xerror", "-i", str(done.joined("audio")), "-f", "null", "-")


@pytest.mark.parametrize("length_s", [0.01, 0.02, 0.6, 0.66])
def test_audio_only_output_has_a_poster_when_it_is_very_short(
    length_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    clip = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", f"sine=440:r=48000:d={length_s}", "-c:a", "pcm_s16le", str(clip))
    assert transcode(clip).publication.manifest["audio"]


def test_single_frame_is_kept_when_audio_is_shorter_than_two_aac_frames(tmp_path: Path, transcode: Transcode) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=1, rate="60", audio_s=0.016)
    assert transcode(clip).plan.frames == 1


def _joined(folder: Path, *programmes: tuple[int, str, str, int]) -> Path:
    """Write a transport stream of programmes in a row, each with its (seconds, tone, channel layout, sample rate)."""
    joined, start_s = folder / "joined.ts", 10
    with joined.open("wb") as file:
        for length_s, tone, layout, rate_hz in programmes:
            audio = f"aevalsrc={tone}:s={rate_hz}:d={length_s},aformat=channel_layouts={layout}"
            part = folder / "part.ts"
            ffmpeg(
                *("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", audio),
                *("-vf", f"trim=end_frame={30 * length_s}", *H264, "-c:a", "ac3"),
                *("-output_ts_offset", str(start_s), "-muxdelay", "0", str(part)),
            )
            file.write(part.read_bytes())
            start_s += length_s
    return joined


def test_audio_is_complete_and_in_sync_when_its_format_changes_midway(tmp_path: Path, transcode: Transcode) -> None:
    # Two television programmes in a row: first surround, then mono at another rate, with a tone
    # from 4.5 s on.
    source = _joined(tmp_path, (3, "0", "5.1", 48_000), (3, "gt(t\\,1.5)*sin(2*PI*1000*t)*0.5", "mono", 44_100))
    samples = _samples(transcode(source).joined("audio"))
    assert len(samples) / RATE_HZ == pytest.approx(6.0, abs=0.05)
    beep_at = next(at for at, level in enumerate(samples) if abs(level) > 4000)
    assert beep_at / RATE_HZ == pytest.approx(4.5, abs=0.020)


def _aac_frames(path: Path) -> list[bytes]:
    """Return the AAC frames of a file."""
    content = path.read_bytes()
    frames = []
    for fragment in read_fragments(path)[1]:
        at = fragment.offset + fragment.size_bytes - sum(fragment.sample_sizes)
        for size in fragment.sample_sizes:
            frames.append(content[at : at + size])
            at += size
    return frames


def test_audio_has_the_same_frames_when_it_is_encoded_in_two_units(tmp_path: Path) -> None:
    # Clicks, so that the encoder has to choose windows with the next frames in view.
    rng = random.Random(5)  # the clicks need no secure randomness
    clicks = "+".join(f"between(t\\,{(at := rng.uniform(0, 20)):.3f}\\,{at + 0.002:.3f})" for _ in range(60))
    source = tmp_path / "a.mkv"
    ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            numbers_filter("30"),
            "-f",
            "lavfi",
            "-i",
            f"aevalsrc=0.2*sin(900*t)+0.6*({clicks}):d=20",
        ),
        *("-vf", "trim=end_frame=600", *H264, "-c:a", "pcm_s16le", str(source)),
    )
    assert _frames_in_units(source, tmp_path, head_s=3) == _frames_in_units(source, tmp_path)


@pytest.mark.long
def test_audio_has_the_same_frames_in_two_units_when_its_format_changes_in_the_second(
    tmp_path: Path, transcode: Transcode
) -> None:
    # Only the second unit meets the change, and is made in another way.
    tone = "0.2*sin(2*PI*1000*t)"
    source = _joined(tmp_path, (9, tone, "5.1", 48_000), (3, tone, "mono", 44_100))
    assert _frames_in_units(source, tmp_path, head_s=2) == _frames_in_units(source, tmp_path)
    samples = _samples(transcode(source, dataclasses.replace(SMALL, audio_head_s=2)).joined("audio"))
    before, after = (_level_db(samples[RATE_HZ * start_s : RATE_HZ * (start_s + 1)]) for start_s in (1, 2))
    assert after == pytest.approx(before, abs=0.5)


def _level_db(samples: array.array[int]) -> float:
    return 10 * math.log10(sum(each**2 for each in samples) / len(samples))


def _frames_in_units(source: Path, folder: Path, *, head_s: int | None = None) -> list[bytes]:
    """Return the AAC frames of the audio, made in one unit, or in two of which the first has `head_s` seconds."""
    profile = SMALL if head_s is None else dataclasses.replace(SMALL, audio_head_s=head_s)
    plan = make_plan(probe_source(source), profile, threads=1)
    assert [unit.first_frame for unit in plan.audio_units] == ([0] if head_s is None else [0, 30 * head_s])
    frames = []
    for unit in plan.audio_units:
        output_dir = folder / f"{head_s}-{unit.key}"
        output_dir.mkdir()
        output = encode_audio(source, plan, unit.index, output_dir, progress=lambda _: None, stop=threading.Event())
        found = _aac_frames(output_dir / output.files[0].name)
        assert len(found) == unit.end_aac - unit.first_aac
        frames += found
    return frames


def test_output_is_complete_when_its_audio_has_two_units(tmp_path: Path, transcode: Transcode) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=300, audio_s=10.0)
    done = transcode(clip, dataclasses.replace(SMALL, audio_head_s=2))
    assert [entry["unit"] for entry in done.publication.manifest["objects"] if entry["role"] == "audio"] == [
        "audio",
        "audio-1",
    ]
    assert len(_samples(done.joined("audio"))) / RATE_HZ == pytest.approx(10.0, abs=1024 / RATE_HZ)


JITTERS = {
    # As browsers write them.
    "Opus of 60 ms, by 9 ms": ("a.mp4", ("-c:a", "libopus", "-frame_duration", "60"), "TS+0.009/TB*(mod(N*7,3)-1)"),
    "Opus of 60 ms, by 15 ms": ("a.mkv", ("-c:a", "libopus", "-frame_duration", "60"), "TS+0.015/TB*(mod(N*7,3)-1)"),
    "MP2 of 24 ms, by 11 ms": ("a.ts", ("-c:a", "mp2"), "TS+0.011/TB*(mod(N*7,3)-1)"),
    "MP2 of 24 ms, at random": ("a.mkv", ("-c:a", "mp2"), "TS+0.023/TB*(random(0)-0.5)"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", JITTERS)
def test_tone_keeps_its_pitch_when_timestamps_jitter(kind: str, tmp_path: Path, transcode: Transcode) -> None:
    name, codec, times = JITTERS[kind]
    tone = ("-f", "lavfi", "-i", "sine=f=440:r=48000:d=10")
    jitter = ("-bsf:a", f"setts=ts='{times}'")
    ffmpeg("-f", "lavfi", "-i", numbers_filter("30"), *tone, "-t", "10", *H264, *codec, *jitter, str(tmp_path / name))
    samples = _samples(transcode(tmp_path / name).joined("audio"))[RATE_HZ // 2 : -RATE_HZ // 2]
    rises = [
        at + before / (before - after)
        for at, (before, after) in enumerate(itertools.pairwise(samples))
        if before < 0 <= after
    ]
    cycles = 10
    pitches = [cycles * RATE_HZ / (end - start) for start, end in zip(rises, rises[cycles:], strict=False)]
    off = sorted(abs(pitch - 440) for pitch in pitches)
    assert len(off) > 3000
    assert off[len(off) * 99 // 100] <= 0.3


AFTER_2_S = "gte(TS*TB\\,2)"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("times", "late_s"),
    [
        (f"TS+{AFTER_2_S}*0.045/TB", 0.045),
        (f"TS+{AFTER_2_S}*0.3/TB", 0.3),
        ("TS*1.004", 0.032),
        (f"TS+({AFTER_2_S}*0.045+0.009*(mod(N*7\\,3)-1))/TB", 0.045),
    ],
    ids=["a short gap", "a long gap", "drift", "a short gap and jitter"],
)
def test_audio_is_in_sync_within_20_ms_when_its_clock_departs_from_its_samples(
    times: str, late_s: float, tmp_path: Path, transcode: Transcode
) -> None:
    # A tone that starts 8 s after the beginning by the number of samples, and later by the timestamps.
    tone = "aevalsrc=gt(t\\,8)*sin(2*PI*1000*t)*0.5:s=48000:d=9"
    audio = ("-c:a", "mp2", "-bsf:a", f"setts=ts='{times}'")
    source = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", numbers_filter("30"), "-f", "lavfi", "-i", tone, "-t", "9", *H264, *audio, str(source))
    samples = _samples(transcode(source).joined("audio"))
    beep_at = next(at for at, level in enumerate(samples) if abs(level) > 4000)
    assert beep_at / RATE_HZ == pytest.approx(8 + late_s, abs=0.020)
