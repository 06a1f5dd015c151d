"""Automatic captions come with their file, are marked as such, and never stand above what a person did."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.lifecycle.errors import UnusableInputError
from tasks.models import Attempt, CaptionPurpose, Captions, Event, Job, Video
from tasks.selectors.publication import contents_of
from tasks.services.editing.captions import (
    CaptionsChangedError,
    add_captions,
    change_captions,
    edit_text,
    editable_text,
    remove_captions,
)
from tasks.services.editions.make import make_editions
from tests.growing_job import UNITS, GrowingJob

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

SPOKEN = {"language": "en", "webvtt": "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello cells\n"}
EDITED = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello, cells!\n"


def published(transcript: dict[str, Any] | None = SPOKEN, *, video: Video | None = None, **options: Any) -> GrowingJob:
    """Return a job that has published with this transcript, after whose edit tick it is shown."""
    job = GrowingJob(video=video)
    job.finish(*UNITS)
    job.publish(transcript=transcript, with_edition=True, **options)
    Attempt.objects.update(batch_status="SUCCEEDED")
    make_editions()
    return job


def shown(job: GrowingJob) -> list[dict[str, Any]]:
    folder = posixpath.dirname(Job.objects.get(video=job.video, pk=job.claim.job_id).shown_playlist_key)
    with default_storage.open(f"{folder}/manifest.json") as file:
        captions: list[dict[str, Any]] = json.load(file)["captions"]
    return captions


def replace_file(video: Video) -> None:
    video.refresh_from_db()
    video.source.save("other.mp4", ContentFile(b"another recording"))


def only(video: Video) -> Captions:
    return Captions.objects.get(video=video)


def test_captions_are_marked_as_automatic_when_they_are_published() -> None:
    job = published()
    captions = only(job.video)
    assert captions.is_automatic
    assert [(each["name"], each["language"], each["automatic"], each["cues"]) for each in shown(job)] == [
        ("English (automatic)", "en", True, 1)
    ]
    job.job.refresh_from_db()
    folder = posixpath.dirname(job.job.edition_key)
    with default_storage.open(f"{folder}/master.m3u8") as file:
        assert b'NAME="English (automatic)"' in file.read()
    assert contents_of(job.job).captions[0]["automatic"] is True
    assert job.job.transcript is None
    assert make_editions() == 0


def test_there_is_no_edition_when_nothing_was_heard() -> None:
    job = published(None)
    assert job.job.edition_key == ""
    assert not Captions.objects.exists()


def test_captions_are_no_longer_automatic_when_a_person_has_edited_their_text() -> None:
    job = published()
    captions = only(job.video)
    assert editable_text(captions) == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello cells\n"
    edit_text(video_id=job.video.pk, captions_id=captions.pk, text=EDITED, seen_edit=captions.edit)
    make_editions()
    assert [(each["name"], "automatic" in each) for each in shown(job)] == [("English", False)]
    assert editable_text(only(job.video)) == EDITED


def edited(video: Video) -> None:
    edit_text(video_id=video.pk, captions_id=only(video).pk, text=EDITED)


def renamed(video: Video) -> None:
    change_captions(video_id=video.pk, captions_id=only(video).pk, language="de")


def removed(video: Video) -> None:
    remove_captions(video_id=video.pk, captions_id=only(video).pk)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edited, [("en", EDITED)]),
        (renamed, [("de", "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello cells\n")]),
        (removed, []),
    ],
)
def test_what_a_person_did_stays_when_the_same_file_is_encoded_again(
    change: Callable[[Video], None], expected: list[tuple[str, str]]
) -> None:
    job = published()
    change(job.video)
    again = GrowingJob(video=job.video)
    assert not again.claim.may_transcribe
    again.finish(*UNITS)
    # As from a container that had claimed before.
    again.publish(transcript={**SPOKEN, "webvtt": SPOKEN["webvtt"].replace("Hello", "Other")}, with_edition=True)
    make_editions()
    assert [(each.language, editable_text(each)) for each in Captions.objects.all()] == expected


def test_captions_stay_when_the_same_file_is_encoded_again_without_speech() -> None:
    job = published()
    again = published(None, video=job.video)
    assert [each["name"] for each in shown(again)] == ["English (automatic)"]


def test_captions_of_the_old_file_go_in_the_step_that_shows_the_new_one() -> None:
    job = published()
    replace_file(job.video)
    again = _next_job(job.video)
    again.finish(*UNITS)
    assert [each["name"] for each in shown(job)] == ["English (automatic)"]
    again.publish(transcript=None, with_edition=True)
    # They were left out of what is shown at once; their row goes with the next edit tick.
    assert contents_of(Job.objects.get(pk=again.claim.job_id)).captions == ()
    make_editions()
    assert not Captions.objects.exists()


def test_new_file_is_transcribed_when_it_replaces_another() -> None:
    job = published()
    replace_file(job.video)
    again = _next_job(job.video)
    assert again.claim.may_transcribe
    again.finish(*UNITS)
    again.publish(transcript={"language": "de", "webvtt": SPOKEN["webvtt"]}, with_edition=True)
    make_editions()
    assert [(each["name"], each["automatic"]) for each in shown(again)] == [("Deutsch (automatic)", True)]
    assert Event.objects.filter(kind="captions.automatic").count() == 2


def _next_job(video: Video) -> GrowingJob:
    """Return the job that was requested for the new file of a video."""
    return GrowingJob(of=video)


@pytest.mark.parametrize("language", ["en", "en-GB"])
def test_captions_of_a_person_stay_alone_when_speech_has_their_language(language: str) -> None:
    job = GrowingJob()
    add_captions(
        video_id=job.video.pk, content=EDITED.encode(), language=language, purpose=CaptionPurpose.SDH, name="Mine"
    )
    job.finish(*UNITS)
    job.publish(transcript=SPOKEN, with_edition=True)
    make_editions()
    assert [each["name"] for each in shown(job)] == ["Mine"]
    assert Video.objects.get().transcribed_source == job.job.source_name


def test_captions_of_a_person_replace_automatic_ones_when_they_have_their_language() -> None:
    job = published()
    add_captions(
        video_id=job.video.pk, content=EDITED.encode(), language="en", purpose=CaptionPurpose.SUBTITLES, name=""
    )
    assert not only(job.video).is_automatic


def test_transcript_is_refused_when_it_is_no_webvtt() -> None:
    job = published({"language": "en", "webvtt": "not at all"})
    assert not Captions.objects.exists()
    assert job.job.transcript is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("WEBVTT\n\n00:01 -> 00:02\nHello\n\n00:02.000 --> x\ny", "CAPTIONS_TIME", "Line 6: “00:02.000 --> x”"),
        ("WEBVTT\n\n00:03.000 --> 00:02.000\nHello", "CAPTIONS_ORDER", "Line 3: it ends before it begins."),
        ("WEBVTT\n", "CAPTIONS_EMPTY", "There are no captions in the text."),
        ("Hello", "CAPTIONS_FORMAT", "The text is not WebVTT"),
    ],
)
def test_line_is_named_when_the_edited_text_cannot_be_read(text: str, code: str, message: str) -> None:
    job = published()
    captions = only(job.video)
    with pytest.raises(UnusableInputError) as error:
        edit_text(video_id=job.video.pk, captions_id=captions.pk, text=text)
    assert error.value.code == code
    assert message in str(error.value)
    captions.refresh_from_db()
    assert captions.is_automatic


def test_text_of_another_person_stays_when_one_began_to_edit_before() -> None:
    job = published()
    captions = only(job.video)
    edit_text(video_id=job.video.pk, captions_id=captions.pk, text=EDITED, seen_edit=captions.edit)
    with pytest.raises(CaptionsChangedError):
        edit_text(video_id=job.video.pk, captions_id=captions.pk, text=SPOKEN["webvtt"], seen_edit=captions.edit)
    assert editable_text(only(job.video)) == EDITED
