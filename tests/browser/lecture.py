"""A lecture of 24 s as the player gets it: numbered frames, two languages, captions in both, and chapters."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tests.growing_job import GrowingJob
from tests.media.chaptered import mux_chapters
from tests.media.clips import H264, ffmpeg, numbers_filter
from tests.media.runs import SMALL, Transcode

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.models import Video
    from tests.media.runs import Transcoded

LENGTH_S = 24
PROFILE = dataclasses.replace(SMALL, unit_segments=12, thumbnail_s=4.0)
LANGUAGES = {"English": ("eng", "Hello", 440), "Deutsch": ("deu", "Hallo", 660)}
CHAPTERS = [(0, 10_000, "Start"), (10_000, 24_000, "End")]


def transcode_lecture(folder: Path) -> Transcoded:
    """Transcode numbered frames with audio and captions in two languages, and chapters."""
    inputs = ["-f", "lavfi", "-i", numbers_filter("10", "320x180")]
    maps = ["-map", "0"]
    for at, (language, text, hz) in enumerate(LANGUAGES.values()):
        captions = folder / f"{language}.srt"
        captions.write_text(f"1\n00:00:00,500 --> 00:00:{LENGTH_S},000\n{text}\n")
        inputs += ["-f", "lavfi", "-i", f"sine={hz}:r=48000", "-i", str(captions)]
        maps += ["-map", f"{2 * at + 1}", "-map", f"{2 * at + 2}"]
        maps += [f"-metadata:s:a:{at}", f"language={language}", f"-metadata:s:s:{at}", f"language={language}"]
    plain = folder / "plain.mp4"
    ffmpeg(*inputs, *maps, *H264, "-c:a", "aac", "-c:s", "mov_text", "-t", str(LENGTH_S), str(plain))
    chaptered = folder / "lecture.mp4"
    mux_chapters(plain, chaptered, CHAPTERS)
    return Transcode(folder)(chaptered, PROFILE, checked=False)


def published_lecture(lecture: Transcoded) -> Video:
    """Publish the lecture as a video of its own."""
    growing = GrowingJob(lecture.run)
    growing.finish(*growing.leases)
    growing.publish()
    return growing.video
