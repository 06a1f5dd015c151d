"""A source's chapters are published with their titles, at their times of the published video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import Plan, make_plan, probe_source
from tasks.transcode.probe.chapters.matroska import matroska_chapters
from tasks.transcode.probe.chapters.mp4 import mp4_chapters
from tasks.transcode.probe.source_file import SourceFile
from tasks.transcode.sandbox.limits import MAX_CHAPTER_TITLE_CHARS, MAX_CHAPTERS
from tests.media.chaptered import (
    atom,
    edition,
    element,
    mux_chapters,
    with_chapter_edits,
    with_editions,
    with_nero_list,
)
from tests.media.clips import ffmpeg, make_clip
from tests.media.playlist_parser import read_webvtt
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode

ROWS = [(0, 1000, "Intro"), (1000, 2500, "Middle"), (2500, 3000, "End")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip of three seconds with audio."""
    return make_clip(tmp_path_factory.mktemp("clips") / "plain.mp4", frames=90, audio_s=3.0)


def planned(source: Path) -> Plan:
    return make_plan(probe_source(source), SMALL, threads=1)


def listed(source: Path) -> list[tuple[int, int, str]]:
    """Return the planned chapters of a source without warnings."""
    plan = planned(source)
    assert plan.warnings == ()
    return [tuple(chapter) for chapter in plan.chapters]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["track-and-list.mp4", "track.mov", "track-only.mp4", "matroska.mkv"])
def test_chapters_are_published_when_containers_differ(
    tmp_path: Path, transcode: Transcode, clip: Path, name: str
) -> None:
    rows = [(0, 1000, "Tom & <b>Jerry</b> --> 1"), (1000, 2500, "안녕하세요"), (2500, 3000, "End")]
    source = mux_chapters(clip, tmp_path / name, rows)
    if name == "track-only.mp4":
        source.write_bytes(source.read_bytes().replace(b"chpl", b"free"))
    done = transcode(source)
    manifest: dict[str, Any] = done.publication.manifest
    assert manifest["warnings"] == []
    assert manifest["chapters"] == [
        {"start_s": 0.0, "end_s": 1.0, "title": "Tom & <b>Jerry</b> --> 1"},
        {"start_s": 1.0, "end_s": 2.5, "title": "안녕하세요"},
        {"start_s": 2.5, "end_s": 3.0, "title": "End"},
    ]
    assert manifest["chapters_url"] == "chapters.vtt"
    assert "chapters.vtt" in [entry["name"] for entry in manifest["playlists"]]
    text = (done.run.folder / "chapters.vtt").read_text()
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nTom &amp; &lt;b&gt;Jerry&lt;/b&gt; --&gt; 1\n\n")
    cues = read_webvtt(done.run.folder / "chapters.vtt")
    assert [(float(cue.start_s), float(cue.end_s)) for cue in cues] == [(0, 1), (1, 2.5), (2.5, 3)]


def test_chapters_are_read_by_libav_when_a_file_is_asf(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "a.ffmetadata").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=1\ntitle=A\n[CHAPTER]\nTIMEBASE=1/1\nSTART=1\nEND=3\n"
    )
    chapters = ("-f", "ffmetadata", "-i", str(tmp_path / "a.ffmetadata"), "-map_chapters", "1")
    ffmpeg("-i", str(clip), *chapters, "-c:v", "wmv2", "-c:a", "wmav2", str(tmp_path / "a.wmv"))
    source = probe_source(tmp_path / "a.wmv")
    assert [(mark.start_ms, mark.title) for mark in source.chapters] == [(0, "A"), (1000, "")]


def test_no_chapters_are_published_when_a_file_has_none(tmp_path: Path, transcode: Transcode, clip: Path) -> None:
    done = transcode(clip)
    assert (done.publication.manifest["chapters"], done.publication.manifest["chapters_url"]) == ([], None)
    assert not (done.run.folder / "chapters.vtt").exists()


def test_nero_chapters_are_read_when_there_is_no_chapter_track(tmp_path: Path, clip: Path) -> None:
    source = with_nero_list(clip, tmp_path / "nero.mp4", [(500, b"A"), (1000, b""), (2000, b"\xff\xfe")])
    assert listed(source) == [(500, 1000, "A"), (1000, 2000, "Chapter 2"), (2000, 3000, "Chapter 3")]


def test_titles_of_the_track_win_when_a_nero_list_differs(tmp_path: Path, clip: Path) -> None:
    # libav returns the track's chapters, followed by the last two of the longer list.
    track = mux_chapters(clip, tmp_path / "both.mp4", ROWS)
    other = [(at * 500, b"Old") for at in range(5)]
    assert listed(with_nero_list(track, tmp_path / "differing.mp4", other)) == ROWS


def test_untitled_chapters_stay_when_ffmpeg_left_them_out_of_the_track(tmp_path: Path, clip: Path) -> None:
    rows = [(500, 1000, "A"), (1000, 2000, ""), (2000, 3000, "ü" * 150)]
    source = mux_chapters(clip, tmp_path / "untitled.mp4", rows)
    # The track begins the first chapter at 0; the title of the last one has 255 bytes in Nero's list.
    assert listed(source) == [(500, 1000, "A"), (1000, 2000, "Chapter 2"), (2000, 3000, "ü" * 150)]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([(3000, 500)], [(0, 500, "Intro"), (500, 2000, "Middle"), (2000, 2500, "End")]),
        ([(500, -1), (3000, 0)], [(500, 1500, "Intro"), (1500, 3000, "Middle")]),
        ([(500, 1500), (1000, 0)], [(0, 500, "Middle"), (500, 1500, "Intro")]),
    ],
    ids=["begins inside a chapter", "begins late", "turns parts round"],
)
def test_chapter_times_follow_the_edit_list_when_the_track_has_one(
    tmp_path: Path, clip: Path, edits: list[tuple[int, int]], expected: list[tuple[int, int, str]]
) -> None:
    track = mux_chapters(clip, tmp_path / "track.mp4", ROWS)
    plan = planned(with_chapter_edits(track, tmp_path / "edited.mp4", edits))
    assert [tuple(chapter) for chapter in plan.chapters] == expected


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_chapter_times_match_the_published_video_when_the_source_starts_late(
    tmp_path: Path, clip: Path, name: str
) -> None:
    # Muxed with times of its own: the video begins at 2 s, and the first chapter ends before that.
    plan = planned(mux_chapters(clip, tmp_path / name, ROWS, "-itsoffset", "2"))
    assert (
        [tuple(chapter) for chapter in plan.chapters] == [(0, 500, "Middle"), (500, 1000, "End")]
        if name.endswith("mkv")
        else [(0, 500, "Middle"), (500, 3000, "End")]
    )
    assert plan.warnings == ("CHAPTERS_MISTIMED",)


def test_chapter_times_match_the_published_video_when_it_was_cut_without_encoding(tmp_path: Path, clip: Path) -> None:
    whole = mux_chapters(clip, tmp_path / "whole.mp4", ROWS)
    # An edit list leaves out the frames from the key frame to there.
    ffmpeg("-ss", "1.5", "-i", str(whole), "-map", "0:v", "-map", "0:a", "-c", "copy", str(tmp_path / "cut.mp4"))
    chapters = planned(tmp_path / "cut.mp4").chapters
    assert [(chapter.start_ms, chapter.title) for chapter in chapters] == [(0, "Middle"), (1000, "End")]


def test_chapters_beyond_the_end_are_left_out_with_a_warning_when_a_file_declares_them(
    tmp_path: Path, clip: Path
) -> None:
    rows = [*ROWS[:2], (2500, 60_000, "End"), (60_000, 70_000, "Far")]
    plan = planned(mux_chapters(clip, tmp_path / "far.mkv", rows))
    assert [tuple(chapter) for chapter in plan.chapters] == ROWS
    assert plan.warnings == ("CHAPTERS_MISTIMED",)


def test_hidden_and_disabled_chapters_are_left_out_when_matroska_marks_them(tmp_path: Path, clip: Path) -> None:
    chapters = edition(
        atom(0, 1000, "Intro"),
        atom(500, 700, "Hidden", hidden=True),
        atom(1000, None, "Middle"),
        atom(1500, 1700, "Disabled", enabled=False),
        atom(2500, None, b"E\xffnd\0padding"),
    )
    expected = [(0, 1000, "Intro"), (1000, 2500, "Middle"), (2500, 3000, "E\ufffdnd")]
    for at_end in (False, True):
        assert listed(with_editions(clip, tmp_path / f"{at_end}.mkv", chapters, at_end=at_end)) == expected
    assert listed(with_editions(clip, tmp_path / "none.mkv", edition(atom(0, None, "A"), hidden=True))) == []


def test_outer_chapters_are_kept_with_a_warning_when_matroska_has_others_inside(tmp_path: Path, clip: Path) -> None:
    inside = [atom(0, 500, "1.1"), atom(500, 1000, "1.2")]
    plan = planned(with_editions(clip, tmp_path / "a.mkv", edition(atom(0, 1000, "1", *inside), atom(1000, None, "2"))))
    assert [tuple(chapter) for chapter in plan.chapters] == [(0, 1000, "1"), (1000, 3000, "2")]
    assert plan.warnings == ("CHAPTERS_NESTED",)


def test_inner_chapters_are_kept_when_a_single_one_is_around_them(tmp_path: Path, clip: Path) -> None:
    inside = [atom(0, 500, "One"), atom(500, None, "Two")]
    source = with_editions(clip, tmp_path / "a.mkv", edition(atom(0, None, "The film", *inside)))
    assert listed(source) == [(0, 500, "One"), (500, 3000, "Two")]


def test_default_list_is_kept_with_a_warning_when_matroska_has_several(tmp_path: Path, clip: Path) -> None:
    first, second = (
        edition(atom(0, None, f"{name} 1"), atom(500, None, f"{name} 2"), default=name == "B") for name in "AB"
    )
    plan = planned(with_editions(clip, tmp_path / "a.mkv", first, second))
    assert [tuple(chapter) for chapter in plan.chapters] == [(0, 500, "B 1"), (500, 3000, "B 2")]
    assert plan.warnings == ("CHAPTERS_NESTED",)


def test_chapters_are_bounded_with_a_warning_when_a_file_has_too_many(tmp_path: Path, clip: Path) -> None:
    rows = [(at * 2, at * 2 + 2, str(at)) for at in range(MAX_CHAPTERS + 10)]
    for name in ("many.mkv", "many.mp4"):
        plan = planned(mux_chapters(clip, tmp_path / name, rows))
        assert [tuple(chapter) for chapter in plan.chapters] == rows[:MAX_CHAPTERS]
        assert plan.warnings == ("CHAPTERS_CUT",)


def test_titles_are_one_line_of_bounded_length_when_they_are_hostile(
    tmp_path: Path, transcode: Transcode, clip: Path
) -> None:
    titles = [
        "a\n\n00:00:00.000 --> 00:00:09.000\nNOTE\x07 b\x1b[31m",
        "\u200b\u202e \u2028",
        "<script>alert(1)</script>&amp;",
        "x" * 10_000,
        "WEBVTT",
    ]
    chapters = edition(*(atom(at * 500, None, title) for at, title in enumerate(titles)))
    done = transcode(with_editions(clip, tmp_path / "a.mkv", chapters))
    assert [chapter["title"] for chapter in done.publication.manifest["chapters"]] == [
        "a 00:00:00.000 --> 00:00:09.000 NOTE b[31m",
        "Chapter 2",
        "<script>alert(1)</script>&amp;",
        "x" * (MAX_CHAPTER_TITLE_CHARS - 1) + "…",
        "WEBVTT",
    ]
    assert [warning["code"] for warning in done.publication.manifest["warnings"]] == ["CHAPTERS_CUT"]
    cues = read_webvtt(done.run.folder / "chapters.vtt")
    assert cues[0].lines == ("a 00:00:00.000 --&gt; 00:00:09.000 NOTE b[31m",)
    assert cues[2].lines == ("&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;",)
    assert len(cues) == len(titles)


def test_readers_return_when_chapters_are_damaged(tmp_path: Path, clip: Path) -> None:
    track = mux_chapters(clip, tmp_path / "a.mp4", ROWS)
    for name in (b"chpl", b"chap", b"gmhd", b"mvhd", b"tkhd", b"stts", b"stsc", b"stsz", b"stco", b"elst", b"mdhd"):
        content = track.read_bytes()
        for length in (1, 9, 20, 40, 80):
            at = content.rindex(name) + 4
            damaged = tmp_path / "damaged.mp4"
            damaged.write_bytes(content[:at] + b"\xff" * length + content[at + length :])
            with SourceFile(str(damaged)) as file:
                mp4_chapters(file)
            damaged.write_bytes(content[: at + length])
            with SourceFile(str(damaged)) as file:
                mp4_chapters(file)
    chapters = edition(atom(0, 1000, "A"), atom(1000, None, "B"))
    for length in range(1, len(chapters)):
        head = element(0x1A45DFA3) + bytes.fromhex("18538067 01ffffffffffffff")
        damaged.write_bytes(head + element(0x1043A770, chapters[:-length], b"\xff" * length))
        with SourceFile(str(damaged)) as file:
            matroska_chapters(file)
