"""An edition of a real output passes every check of a publication: playlists, manifest, bit rates, captions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tasks.transcode import AddedCaptions, ChapterMark, Edits, make_edition
from tasks.transcode.caption_files.read import read_caption_file
from tests.media.clips import H264, ffmpeg
from tests.media.output_checks import check_output

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

SRT = "1\n00:00:00,500 --> 00:00:02,000\nA <i>caption</i> & more\n"


def test_edition_passes_all_checks_when_captions_and_chapters_were_added(tmp_path: Path, transcode: Transcode) -> None:
    moving = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "anoisesrc=a=0.2:r=48000")
    ffmpeg(*moving, *H264, "-t", "5", "-pix_fmt", "yuv420p", str(tmp_path / "a.mp4"))
    folder = transcode(tmp_path / "a.mp4").run.folder
    before = {path: path.read_bytes() for path in folder.rglob("*.mp4")}
    file = read_caption_file(SRT.encode(), language="en")
    captions = tuple(
        AddedCaptions(f"id-{purpose}", "en", "English", purpose, file.cues, file.webvtt) for purpose in ("", "sdh")
    )
    chapters = (ChapterMark(0, None, "Intro"), ChapterMark(2500, None, "Results"))
    manifest = json.loads((folder / "manifest.json").read_text())
    edition = make_edition(
        manifest, lambda name: (folder / name).read_bytes(), Edits(number=1, captions=captions, chapters=chapters)
    )
    assert {each["name"] for each in edition.manifest["captions"]} == {"English", "English 2"}
    for text in edition.files:
        (folder / text.name).write_bytes(text.content)
    check_output(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.mp4")} == before
