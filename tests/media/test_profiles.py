"""Every field of a profile reaches the output: presets, rates, segments, captions and thumbnails."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.transcode.plan.profile import LOOK_AHEAD_FRAMES
from tests.media.clips import ffmpeg, make_clip, read_numbers
from tests.media.runs import SMALL
from tests.media.test_command import run_command

if TYPE_CHECKING:
    from tests.media.runs import Transcode


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", frames=150, audio_s=5)


@pytest.mark.parametrize(
    "preset",
    [
        preset if preset in {"ultrafast", "veryslow"} else pytest.param(preset, marks=pytest.mark.long)
        for preset in LOOK_AHEAD_FRAMES
    ],
)
def test_units_join_in_every_preset(preset: str, clip: Path, transcode: Transcode) -> None:
    done = transcode(clip, dataclasses.replace(SMALL, preset=preset, look_ahead_frames=LOOK_AHEAD_FRAMES[preset]))
    assert len(done.plan.video_units) == 3
    assert read_numbers(done.joined("90p"), done.plan) == list(range(150))


def test_output_has_neither_captions_nor_thumbnails_when_the_profile_has_none(
    clip: Path, tmp_path: Path, transcode: Transcode
) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    source = tmp_path / "captioned.mkv"
    ffmpeg("-i", str(clip), "-i", str(tmp_path / "a.srt"), "-map", "0", "-map", "1", "-c:v", "copy", str(source))
    having = transcode(source, SMALL, name="having").publication.manifest
    lacking = transcode(
        source, dataclasses.replace(SMALL, captions=False, thumbnail_s=None), name="lacking"
    ).publication.manifest
    assert (len(having["captions"]), having["thumbnails"]) == (1, "thumbnails.vtt")
    assert (lacking["captions"], lacking["thumbnails"]) == ([], None)
    roles = {entry["role"] for entry in having["objects"]}
    assert roles - {entry["role"] for entry in lacking["objects"]} == {"sprite"}


def test_every_second_frame_is_shown_when_the_rate_is_twice_the_profiles(tmp_path: Path, transcode: Transcode) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=120, rate="60")
    done = transcode(source, dataclasses.replace(SMALL, max_rate_fps=30))
    assert (str(done.plan.rate), done.plan.rungs[0].maxrate_bps) == ("30", 400_000)
    assert read_numbers(done.joined("90p"), done.plan) == list(range(0, 120, 2))


def test_command_takes_a_profile_from_a_file(clip: Path, tmp_path: Path) -> None:
    own = tmp_path / "my own.json"
    rungs = [{"short_side_px": 80, "crf": 30, "maxrate_bps": 200_000}]
    own.write_text(json.dumps({"extends": "fast", "gop_s": 1, "segment_s": 2, "rungs": rungs}))
    made = run_command(clip, tmp_path / "output", "--profile", own)
    assert made.returncode == 0, made.stderr
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert (manifest["profile"], [rung["name"] for rung in manifest["rungs"]]) == ("my-own", ["80p"])
    assert manifest["rungs"][0]["segments"] == 3
    own.write_text(json.dumps({"extends": "fast", "gop_s": 1, "segment_s": 4, "rungs": rungs}))
    again = run_command(clip, tmp_path / "output", "--profile", own)
    assert (again.returncode, "already finished" in again.stderr) == (0, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"preset": "placebo", "gop_s": 99}', "preset is 'placebo'"),
        ('{"extends": "seminar"}', "it extends 'seminar', which is not one of fast, standard"),
        ("{", "is not JSON"),
        ("[1]", "it is [1], not a dictionary of fields"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_command_names_the_fault_when_a_profile_cannot_be_used(
    text: str | None, words: str, clip: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.json"
    if text is not None:
        own.write_text(text)
    refused: subprocess.CompletedProcess[str] = run_command(clip, tmp_path / "output", "--profile", own)
    assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "output").exists()
