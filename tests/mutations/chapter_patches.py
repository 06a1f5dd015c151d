"""Mutations of chapters: their clock, which of a file's lists count, and what titles may contain."""

from __future__ import annotations

from tests.mutations.patch import Patch

_CHAPTERS = "tests/media/test_chapters.py"
_PLANNED = "tests/unit/transcode/test_planned_chapters.py"
_READ = "tasks/transcode/probe/chapters"

CHAPTER_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="chapters stay on the source's clock",
        promise=2,
        file="tasks/transcode/chapters.py",
        old="math.floor(start_s * 1000 + Fraction(1, 2))",
        new="0 * math.floor(start_s)",
        tests=(f"{_PLANNED}::test_chapters_are_shifted_and_cut_when_they_exceed_the_video",),
    ),
    Patch(
        name="chapters outlast the video",
        promise=2,
        file="tasks/transcode/chapters.py",
        old="min([length_ms, *(",
        new="min([10**9, *(",
        tests=(f"{_PLANNED}::test_chapters_are_shifted_and_cut_when_they_exceed_the_video",),
    ),
    Patch(
        name="chapters are lost without a warning",
        promise=2,
        file="tasks/transcode/plan/planning.py",
        old="    if has_mistimed:\n",
        new="    if chapters is None:\n",
        tests=(f"{_CHAPTERS}::test_chapters_beyond_the_end_are_left_out_with_a_warning_when_a_file_declares_them",),
    ),
    Patch(
        name="the edit list of a chapter track is ignored",
        promise=2,
        file=f"{_READ}/mp4.py",
        old="    if not edits:\n        yield from samples\n",
        new="    yield from samples\n    edits = []\n",
        tests=(f"{_CHAPTERS}::test_chapter_times_follow_the_edit_list_when_the_track_has_one",),
    ),
    Patch(
        name="an outdated list of Nero's replaces the chapter track",
        promise=2,
        file=f"{_READ}/mp4.py",
        old="    if not _agree(track, common):\n        return track\n",
        new="    if not _agree(track, common):\n        return nero or track\n",
        tests=(f"{_CHAPTERS}::test_titles_of_the_track_win_when_a_nero_list_differs",),
    ),
    Patch(
        name="hidden chapters are shown",
        promise=2,
        file=f"{_READ}/matroska.py",
        old="if not atom.number(_HIDDEN, 0) and atom.number(_ENABLED, 1)",
        new="if atom.number(_ENABLED, 1)",
        tests=(f"{_CHAPTERS}::test_hidden_and_disabled_chapters_are_left_out_when_matroska_marks_them",),
    ),
    Patch(
        name="a file may have any number of chapters",
        promise=14,
        file=f"{_READ}/__init__.py",
        old="marks[:MAX_CHAPTERS]",
        new="marks[: 10 * MAX_CHAPTERS]",
        tests=(f"{_CHAPTERS}::test_chapters_are_bounded_with_a_warning_when_a_file_has_too_many",),
    ),
    Patch(
        name="titles of chapters keep control characters",
        promise=14,
        file=f"{_READ}/__init__.py",
        old='if char.isspace() or unicodedata.category(char) != "Cc"',
        new="if char",
        tests=(f"{_CHAPTERS}::test_titles_are_one_line_of_bounded_length_when_they_are_hostile",),
    ),
    Patch(
        name="titles and captions are markup",
        promise=14,
        file="tasks/transcode/captions.py",
        old="\\n{_escaped(cue.text)}\\n",
        new="\\n{cue.text}\\n",
        tests=(f"{_PLANNED}::test_webvtt_has_no_markup_when_titles_look_like_it",),
    ),
)
