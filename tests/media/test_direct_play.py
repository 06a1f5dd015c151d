"""Which sources browsers can play as they are, and whether a file has an index for seeking."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import AudioSource, make_plan, probe_source
from tasks.transcode.plan.direct_play import plays_directly
from tasks.transcode.probe.sample_index import has_sample_index
from tests.media.clips import make_clip
from tests.media.runs import SMALL
from tests.unit.transcode.sources import make_source

if TYPE_CHECKING:
    from pathlib import Path

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30")
AAC = ("-c:a", "aac", "-b:a", "64k", "-ac", "2")


def _aac(channels: int, *, codec: str = "aac", profile: str = "LC") -> tuple[AudioSource, ...]:
    return (AudioSource((1,), codec, channels, 48_000, Fraction(1), Fraction(11), profile=profile, is_default=True),)


def test_source_plays_directly_when_every_browser_supports_it() -> None:
    assert plays_directly(make_source())
    assert plays_directly(make_source(audio=_aac(2)))
    assert plays_directly(make_source(audio=_aac(1, profile="HE-AAC")))


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "hevc"},
        {"pixel_format": "yuv420p10le"},
        {"transfer": "smpte2084"},
        {"demuxer": "matroska"},
        {"indexed": False},
        {"upright": False},
        {"interlaced": True},
        {"sample_aspect": Fraction(4, 3)},
        {"bit_rate_bps": 30_000_000},
        {"width_px": 3840, "height_px": 2160},
        {"keys": make_source(frames=900, key_every=900).keys, "end_pts": 3_000_000},
        {"keys": make_source().keys[1:], "end_pts": 3_000_000},
        {"warnings": ("READING_BROKE_OFF",)},
        {"audio": _aac(6)},
        {"audio": _aac(2, codec="mp3float")},
        {"audio": _aac(2, profile="xHE-AAC")},
        {"audio": _aac(2, profile="")},
        {"audio": _aac(2) * 2},
    ],
    ids=", ".join,
)
def test_source_does_not_play_directly_when_a_browser_may_reject_it(changes: dict[str, object]) -> None:
    assert not plays_directly(make_source(**changes))


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("name", "options", "plays"),
    [
        ("last.mp4", (), True),
        ("first.mp4", ("-movflags", "+faststart"), True),
        ("recording.mov", (), True),
        ("fragmented.mp4", ("-movflags", "+frag_keyframe+empty_moov"), False),
        ("hybrid.mp4", ("-movflags", "+frag_keyframe"), False),
        ("recording.mkv", (), False),
        ("recording.ts", (), False),
    ],
)
def test_plan_states_whether_a_file_plays_directly_when_it_has_an_index(
    name: str,
    options: tuple[str, ...],
    plays: bool,
    tmp_path: Path,
) -> None:
    clip = make_clip(tmp_path / name, frames=90, codec=H264, audio_s=3.0, extra=(*AAC, *options))
    assert make_plan(probe_source(clip), SMALL, threads=1).plays_directly is plays


@pytest.mark.parametrize(("object_type", "profile"), [(2, "LC"), (1, "Main"), (4, "LTP")])
def test_file_does_not_play_directly_when_browsers_lack_its_profile_of_aac(
    object_type: int, profile: str, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=90, codec=H264, audio_s=3.0, extra=AAC)
    content = bytearray(clip.read_bytes())
    # The first 5 bits of AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), which follows a tag and a length in esds.
    at = content.index(b"\x05\x80\x80\x80", content.index(b"esds")) + 5
    content[at] = object_type << 3 | content[at] & 7
    clip.write_bytes(content)
    source = probe_source(clip)
    assert [track.profile for track in source.audio] == [profile]
    assert make_plan(source, SMALL, threads=1).plays_directly is (profile == "LC")


def test_index_is_found_when_the_media_data_is_larger_than_four_gibibytes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30, codec=H264).read_bytes()
    moov_at = clip.index(b"moov") - 4
    size_bytes = 5 * 1024**3
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        # A box with a 64-bit size (ISO/IEC 14496-12, 4.2), whose content is a hole.
        file.write(clip[:moov_at][:32] + b"\0\0\0\1mdat" + size_bytes.to_bytes(8, "big"))
        file.seek(size_bytes - 16, 1)
        file.write(clip[moov_at:])
    with path.open("rb") as file:
        assert has_sample_index(file)


@pytest.mark.parametrize("kept", [0, 4, 40])
def test_index_is_not_found_when_the_file_ends_early(kept: int, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=30, codec=H264).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip[:kept])
    with path.open("rb") as file:
        assert not has_sample_index(file)
