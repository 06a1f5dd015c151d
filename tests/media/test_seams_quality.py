"""At default settings a seam cannot be seen: the pictures around it are as good as those of a run in one piece."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import PROFILES, ProfileRung
from tests.media.clips import ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

LENGTH_S = 24
MEAN_DB = 0.05
WORST_DB = 0.25
"""docs/adr/0008 tells what it takes where the bitrate ceiling binds."""
SHORT_UNITS = dataclasses.replace(PROFILES["standard"], unit_segments=1)
ONE_PIECE = dataclasses.replace(SHORT_UNITS, unit_segments=1000)
LOSSLESS = dataclasses.replace(ONE_PIECE, rungs=(ProfileRung(240, 0, 1_000_000_000),), preset="ultrafast")
CONTENTS = {
    "moving": "testsrc2=size=640x360:rate=24,rotate=t/25,crop=320:180",
    "slides": "testsrc2=size=320x180:rate=1/7,fps=24",
}


def _psnr_db(done: Transcoded, reference: Transcoded) -> list[float]:
    """Return the likeness of each picture to the reference's, in luma."""
    compared = "[0:v][1:v]psnr=stats_file=-:stats_version=1"
    files = [str(each.joined(each.rungs[0])) for each in (done, reference)]
    told = ffmpeg("-i", files[0], "-i", files[1], "-lavfi", compared, "-f", "null", "-").decode()
    return [min(99.0, float(found)) for found in re.findall(r"psnr_y:(\S+)", told)]


@pytest.mark.long
@pytest.mark.parametrize("content", CONTENTS)
def test_pictures_around_seams_are_as_good_as_in_one_piece_when_the_content_is(
    content: str, tmp_path: Path, transcode: Transcode
) -> None:
    source = tmp_path / "a.mp4"
    made = ("-f", "lavfi", "-i", CONTENTS[content], "-t", str(LENGTH_S), "-pix_fmt", "yuv420p")
    ffmpeg(*made, "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", str(source))
    reference = transcode(source, LOSSLESS, name="reference", checked=False)
    whole = _psnr_db(transcode(source, ONE_PIECE, name="whole"), reference)
    units = transcode(source, SHORT_UNITS, name="units")
    change_db = [after - before for after, before in zip(_psnr_db(units, reference), whole, strict=True)]
    half_s = round(units.plan.rate / 2)
    seams = [unit.first_frame for unit in units.plan.video_units[1:]]
    assert len(seams) == LENGTH_S // 6 - 1
    before = [change for seam in seams for change in change_db[seam - half_s : seam]]
    after = [change for seam in seams for change in change_db[seam : seam + half_s]]
    told = f"before {[f'{change:+.2f}' for change in before]}, after {[f'{change:+.2f}' for change in after]}"
    assert sum(before) / len(before) >= -MEAN_DB, told
    assert sum(after) / len(after) >= -MEAN_DB, told
    assert min(*before, *after) >= -WORST_DB, told
