"""The checks on every output can fail: each finds the fault for which it exists."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.media.clips import make_clip
from tests.media.output_checks import check_output
from tests.media.runs import Transcode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output that passes. Tests change copies of it."""
    folder = tmp_path_factory.mktemp("checks")
    return Transcode(folder)(make_clip(folder / "a.mp4", frames=90, audio_s=3.0)).run.folder


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("master.m3u8", "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
        ("master.m3u8", 'AUDIO="audio"', 'AUDIO="other"'),
        ("master.m3u8", "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=1"),
        ("master.m3u8", ":BANDWIDTH=", ":BANDWIDTH=1"),
        ("master.m3u8", "FRAME-RATE=30.000", "FRAME-RATE=29.970"),
        ("master.m3u8", "mp4a.40.2", "mp4a.40.5"),
        ("master.m3u8", "avc1.64", "avc1.42"),
        ("master.m3u8", "RESOLUTION=160x90", "RESOLUTION=160x88"),
        ("90p.m3u8", "#EXT-X-ENDLIST", ""),
        ("90p.m3u8", "#EXTINF:1.000000", "#EXTINF:1.040000"),
        ("90p.m3u8", "#EXT-X-TARGETDURATION:1", "#EXT-X-TARGETDURATION:0"),
        ("audio.m3u8", "@0", "@1"),
        ("80p-iframes.m3u8", "#EXT-X-I-FRAMES-ONLY", ""),
        ("80p-iframes.m3u8", "#EXTINF:0.500000", "#EXTINF:0.400000"),
        ("manifest.mpd", 'type="static"', 'type="dynamic"'),
        ("manifest.mpd", 'duration="15360"', 'duration="15361"'),
        ("manifest.mpd", 'mediaRange="', 'mediaRange="1'),
        ("manifest.mpd", 'timescale="15360"', 'timescale="15000"'),
        ("manifest.mpd", 'height="90"', 'height="88"'),
        ("manifest.mpd", "mp4a.40.2", "mp4a.40.5"),
        ("manifest.mpd", 'startWithSAP="1"', 'startWithSAP="3"'),
        ("thumbnails.vtt", " --> 00:00:01.000", " --> 00:00:01.100"),
        ("thumbnails.vtt", "#xywh=106,0", "#xywh=1060,0"),
        ("thumbnails.vtt", "#xywh=106,0", "#xywh=0,0"),
    ],
)
def test_check_fails_when_a_playlist_is_wrong(output: Path, tmp_path: Path, name: str, old: str, new: str) -> None:
    changed = shutil.copytree(output, tmp_path / "changed")
    text = (changed / name).read_text()
    assert old in text
    (changed / name).write_text(text.replace(old, new))
    with pytest.raises((AssertionError, ValueError)):
        check_output(changed)


def test_check_fails_when_a_unit_contains_another_units_media(output: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(output, tmp_path / "changed")
    first, second = (changed / "units" / "0000" / "90p.mp4", changed / "units" / "0001" / "90p.mp4")
    second.write_bytes(first.read_bytes())
    with pytest.raises((AssertionError, ValueError)):
        check_output(changed)
