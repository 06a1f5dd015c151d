"""A source that every player supports is offered as a preview: the same video and audio, in sync, in new containers."""

from __future__ import annotations

import dataclasses
import json
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from tasks.transcode import (
    AudioSource,
    EncodeError,
    build_preview,
    make_plan,
    probe_source,
    remux,
    verify_playlists,
    verify_publication,
)
from tasks.transcode.plan.preview_rule import can_preview
from tests.media.clips import ffmpeg, make_clip, numbers_filter, read_numbers
from tests.media.runs import SMALL
from tests.unit.transcode.sources import make_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.transcode import Publication

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "manifest.schema.json").read_text())
CLOSED = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-x264-params", "open-gop=0")
AAC = ("-c:a", "aac", "-b:a", "64k", "-ac", "2")


def _published(source: Path, folder: Path) -> Publication:
    """Remux, write the playlists next to the media, and verify everything as the container does."""
    plan = make_plan(probe_source(source), SMALL, threads=1)
    folder.mkdir()
    output = remux(source, plan, folder, progress=lambda _: None, stop=threading.Event())
    preview = build_preview(plan, output, url_of=lambda file: file.name)
    for file in preview.files:
        (folder / file.name).write_bytes(file.content)

    def read(name: str) -> Iterator[bytes]:
        yield (folder / name).read_bytes()

    assert verify_playlists(preview.manifest, read) == ()
    assert verify_publication(preview.manifest, read) == ()
    Draft202012Validator(SCHEMA).validate(preview.manifest)
    return preview


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_preview_has_the_sources_streams_when_players_support_them(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    tone = ("-f", "lavfi", "-i", "aevalsrc=gt(t\\,1)*sin(2*PI*1000*t)*0.5|0:s=48000:d=8")
    ffmpeg("-f", "lavfi", "-i", numbers_filter("30"), *tone, "-frames:v", "240", *CLOSED, *AAC, str(source))
    preview = _published(source, tmp_path / "preview")
    master = tmp_path / "preview" / "master.m3u8"
    assert read_numbers(master) == list(range(240))
    # The tone starts at 1 s, as in the source.
    raw = ffmpeg("-i", str(master), "-map", "0:a", "-af", "pan=mono|c0=c0", "-f", "s16le", "pipe:1")
    tone_at = next(
        at for at in range(0, len(raw), 2) if abs(int.from_bytes(raw[at : at + 2], "little", signed=True)) > 4000
    )
    assert tone_at / 2 / 48_000 == pytest.approx(1.0, abs=0.025)
    (rung,) = preview.manifest["rungs"]
    assert (rung["width_px"], rung["height_px"], rung["segments"]) == (160, 90, 2)
    assert preview.manifest["level"] == 0


def test_preview_segments_start_with_key_frames_when_gops_are_short(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", frames=600, codec=(*CLOSED, "-g", "75"))
    preview = _published(source, tmp_path / "preview")
    (entry,) = preview.manifest["objects"]
    assert [segment[3] / entry["timescale"] for segment in entry["segments"]] == pytest.approx([5.0] * 4)
    starts = {key_frame[2] for key_frame in entry["key_frames"]}
    assert starts.issuperset(segment[2] for segment in entry["segments"])
    assert preview.manifest["audio"] is None


def _aac(channels: int) -> AudioSource:
    return AudioSource(1, "aac", channels, 48_000, Fraction(1), Fraction(11))


def test_source_gets_a_preview_when_every_player_supports_it() -> None:
    assert can_preview(make_source())
    assert can_preview(make_source(audio=_aac(2)))
    assert make_plan(make_source(), SMALL, threads=1).preview is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "hevc"},
        {"pixel_format": "yuv420p10le"},
        {"transfer": "smpte2084"},
        {"demuxer": "mpegts"},
        {"upright": False},
        {"interlaced": True},
        {"sample_aspect": Fraction(4, 3)},
        {"closed_gops": False},
        {"bit_rate_bps": 30_000_000},
        {"width_px": 3840, "height_px": 2160},
        {"keys": make_source(key_every=200).keys},
        {"keys": make_source().keys[1:]},
        {"audio": _aac(6)},
        {"audio": dataclasses.replace(_aac(2), codec="mp3float")},
    ],
    ids=", ".join,
)
def test_source_gets_no_preview_when_a_player_may_reject_it(changes: dict[str, object]) -> None:
    assert not can_preview(make_source(**changes))


@pytest.mark.parametrize(
    ("codec", "finish", "supported"),
    [
        (CLOSED, (), True),
        (
            ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-x264-params", "open-gop=1:b-adapt=0"),
            (),
            False,
        ),
        ((*CLOSED, "-g", "300"), (), False),
        (CLOSED, ("-display_rotation", "90"), False),
        (CLOSED, ("-display_hflip",), False),
    ],
    ids=["closed GOPs", "open GOPs", "long GOPs", "rotated", "mirrored"],
)
def test_probe_detects_player_support_when_files_differ(
    codec: tuple[str, ...], finish: tuple[str, ...], supported: bool, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=240, codec=codec)
    if finish:
        ffmpeg(*finish, "-i", str(clip), "-c", "copy", str(tmp_path / "b.mp4"))
        clip = tmp_path / "b.mp4"
    assert can_preview(probe_source(clip)) == supported


def test_preview_fails_when_audio_and_video_start_at_different_times(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    late = ("-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=d=2")
    ffmpeg("-f", "lavfi", "-i", numbers_filter("30"), *late, "-frames:v", "120", *CLOSED, *AAC, str(source))
    with pytest.raises(EncodeError, match="REMUX_UNFIT"):
        _published(source, tmp_path / "preview")
