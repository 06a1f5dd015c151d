"""Mutations of editions and of the caption files that people add."""

from __future__ import annotations

from tests.mutations.patch import Patch

_EDITIONS = "tests/database/services/test_editions.py"
_FILES = "tests/unit/transcode/test_caption_files.py"
_ROWS, _MAKE = "tasks/services/editions/rows.py", "tasks/services/editions/make.py"

EDITION_PATCHES: tuple[Patch, ...] = (
    Patch(
        name="an edition is shown on another job than the published one",
        promise=2,
        file=_ROWS,
        old="video.published_job_id != begun.job_id or video",
        new="video",
        tests=(f"{_EDITIONS}::test_edition_is_not_shown_when_another_job_was_published_meanwhile",),
    ),
    Patch(
        name="a late edition replaces a newer one",
        promise=2,
        file=_ROWS,
        old=" or video.shown_edit >= begun.edits.number:",
        new=":",
        tests=(f"{_EDITIONS}::test_late_edition_changes_nothing_when_a_newer_one_is_shown",),
    ),
    Patch(
        name="an edition is shown without reading it back",
        promise=2,
        file=_MAKE,
        old="    _verify(begun, edition)\n",
        new="",
        tests=(f"{_EDITIONS}::test_edition_is_not_shown_when_a_file_of_it_is_damaged",),
    ),
    Patch(
        name="pruning removes the edition that is shown",
        promise=2,
        file="tasks/services/removal/purge.py",
        old='keep_prefix=EDITION_PREFIX if is_shown else ""',
        new='keep_prefix=""',
        tests=(f"{_EDITIONS}::test_shown_edition_and_media_stay_when_jobs_are_pruned_and_old_editions_purged",),
    ),
    Patch(
        name="the edition that is shown is purged",
        promise=2,
        file="tasks/services/removal/purge.py",
        old="    rows = editions.exclude(shown).",
        new="    rows = editions.",
        tests=(f"{_EDITIONS}::test_shown_edition_and_media_stay_when_jobs_are_pruned_and_old_editions_purged",),
    ),
    Patch(
        name="a new version is published without the added captions",
        promise=2,
        file="tasks/services/container_api/publish.py",
        old='        edition_key=edition.playlist_key if edition else "",\n',
        new="",
        tests=(f"{_EDITIONS}::test_captions_are_carried_over_in_the_same_step_when_the_video_is_encoded_again",),
    ),
    Patch(
        name="text before the first caption is left out",
        promise=2,
        file="tasks/transcode/caption_files/subrip.py",
        old='        if ("-->" in line and not is_cue) or is_lost:',
        new='        if "-->" in line and not is_cue:',
        tests=(f"{_FILES}::test_subrip_is_refused_with_the_line_when_text_would_be_lost",),
    ),
    Patch(
        name="the files of a purged video are written by an edition",
        promise=16,
        file="tasks/services/removal/purge.py",
        old="~Exists(edited), deleted_at__isnull=False",
        new="deleted_at__isnull=False",
        tests=(f"{_EDITIONS}::test_deleted_video_waits_when_an_edition_of_it_is_being_written",),
    ),
)
