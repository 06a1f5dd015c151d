"""At default settings a unit boundary is invisible: the frames around it are as good as those of a run in one unit."""

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
"""docs/adr/0008 explains what is necessary where the bit rate reaches its ceiling."""
SHORT_UNITS = dataclasses.replace(PROFILES["standard"], unit_segments=1)
ONE_PIECE = dataclasses.replace(SHORT_UNITS, unit_segments=1000)
LOSSLESS = dataclasses.replace(ONE_PIECE, rungs=(ProfileRung(240, 0, 1_000_000_000),), preset="ultrafast")
CONTENTS = {
    "moving": "testsrc2=size=640x360:rate=24,rotate=t/25,crop=320:180",
    "slides": "testsrc2=size=320x180:rate=1/7,fps=24",
}


def _psnr_db(done: Transcoded, reference: Transcoded) -> list[float]:
    """Return the luma PSNR of each frame, compared with the reference."""
    compared = "[0:v][1:v]psnr=stats_file=-:stats_version=1"
    files = [str(each.joined(each.rungs[0])) for each in (done, reference)]
    stats = ffmpeg("-i", files[0], "-i", files[1], "-lavfi", compared, "-f", "null", "-").decode()
    return [min(99.0, float(found)) for found in re.findall(r"psnr_y:(\S+)", stats)]


@pytest.mark.long
@pytest.mark.parametrize("content", CONTENTS)
def test_quality_is_unchanged_at_unit_boundaries_when_content_differs(
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
    boundaries = [unit.first_frame for unit in units.plan.video_units[1:]]
    assert len(boundaries) == LENGTH_S // 6 - 1
    before = [change for boundary in boundaries for change in change_db[boundary - half_s : boundary]]
    after = [change for boundary in boundaries for change in change_db[boundary : boundary + half_s]]
    changes = f"before {[f'{change:+.2f}' for change in before]}, after {[f'{change:+.2f}' for change in after]}"
    assert sum(before) / len(before) >= -MEAN_DB, changes
    assert sum(after) / len(after) >= -MEAN_DB, changes
    assert min(*before, *after) >= -WORST_DB, changes
