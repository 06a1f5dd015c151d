"""A few of the difficult kinds of uploads that `python -m tests.media.corpus --kinds` tries in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.transcode import Plan
from tests.media.kinds import KINDS
from tests.media.kinds.expected import differences

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded


def _made(kind: str, name: str, tmp_path: Path, transcode: Transcode) -> tuple[Transcoded, list[str]]:
    """Return an output, and what is wrong with it."""
    upload = next(each for each in KINDS[kind] if each.name == name)
    upload.make(tmp_path / name)
    done = transcode(tmp_path / name)
    return done, differences(done, upload.expected)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name",
    [
        "h264, then hevc.ts",
        "video and audio change places.ts",
        "mpeg2 for a while.ts",
        "aac, then ac3.ts",
        "others under other identifiers.ts",
    ],
)
def test_rest_is_shown_with_a_warning_when_a_stream_changes_its_codec(
    name: str, tmp_path: Path, transcode: Transcode
) -> None:
    done, wrong = _made("changing-kinds", name, tmp_path, transcode)
    assert wrong == []
    assert Plan.from_json(done.plan.to_json()) == done.plan


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["audio takes the video's.ts", "video takes the audio's.ts"])
def test_first_part_is_shown_with_a_warning_when_an_identifier_changes_hands(
    name: str, tmp_path: Path, transcode: Transcode
) -> None:
    assert _made("changing-pids", name, tmp_path, transcode)[1] == []


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["hvc1, enlarged.mov", "hvc1, turned.mp4", "avc1, narrowed.mov"])
def test_frames_have_their_size_when_a_track_has_two_descriptions(
    name: str, tmp_path: Path, transcode: Transcode
) -> None:
    assert _made("descriptions", name, tmp_path, transcode)[1] == []


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["pal.dv", "100,000 bytes missing.dv", "ntsc.dv"])
def test_everything_is_shown_when_the_upload_is_raw_dv(name: str, tmp_path: Path, transcode: Transcode) -> None:
    assert _made("dv", name, tmp_path, transcode)[1] == []


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "name", ["mpeg1, 20 bytes missing.mpg", "mpeg1 without a pack header.mpg", "dvd, 20 bytes missing.vob"]
)
def test_everything_is_shown_when_a_program_stream_begins_inside_a_pack(
    name: str, tmp_path: Path, transcode: Transcode
) -> None:
    assert _made("torn-streams", name, tmp_path, transcode)[1] == []
