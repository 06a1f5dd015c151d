"""The story of a video: what happened, in words for its owner, from rows that stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from tasks.lifecycle.states import AttemptState, JobState
from tasks.models import Attempt, Event, Job, Video
from tasks.selectors.history.story import story
from tasks.services.requests.cancel import cancel_making
from tasks.services.requests.request import request_again
from tests.factories import published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db


def after_upload(video: Video) -> list[str]:
    """Return the lines after the first, which has the time of the upload."""
    first, *lines = story(Video.objects.get(pk=video.pk))
    assert first.startswith("Uploaded on ")
    return lines


def took(**columns: timedelta) -> None:
    """Let columns of all jobs be this long after the job was created."""
    Job.objects.update(**{name: F("created_at") + span for name, span in columns.items()})


def test_story_has_the_time_until_it_was_watchable_and_ready_when_it_is_published() -> None:
    video = published()
    took(playable_at=timedelta(seconds=40), finished_at=timedelta(minutes=12))
    assert after_upload(video) == ["Could be watched after 40 s.", "Ready after 12 min."]
    took(playable_at=timedelta(minutes=3), finished_at=timedelta(hours=1, minutes=52))
    assert after_upload(video) == ["Could be watched after 3 min.", "Ready after 1 h 52 min."]


def test_story_stays_when_the_events_have_expired() -> None:
    video = published()
    before = story(video)
    Event.objects.all().delete()
    assert story(video) == before


def test_story_has_lost_machines_without_words_of_the_bridge_when_processing_continued() -> None:
    video = published()
    took(finished_at=timedelta(minutes=5))
    attempt = Attempt.objects.get()
    for number in (2, 3):
        attempt.pk, attempt.number, attempt.batch_job_name = None, number, f"other-{number}"
        attempt.state, attempt.reason, attempt.batch_job_id = AttemptState.LOST, "HOST_LOST", f"other-{number}"
        attempt.save(force_insert=True)
    assert after_upload(video)[-1:] == ["2 machines were lost; processing continued by itself."]
    Attempt.objects.filter(number=2).update(state=AttemptState.FAILED)
    assert after_upload(video)[-1:] == ["A machine was lost; processing continued by itself."]
    Attempt.objects.filter(number=3).update(state=AttemptState.FAILED)
    assert after_upload(video)[-1:] == ["Something went wrong 2 times; it was tried again by itself."]


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (False, "What was ready before can be watched meanwhile."),
        (True, "That was stopped, so what was ready before is still shown."),
    ],
)
def test_story_has_the_newer_version_when_the_older_one_is_shown(ends: bool, outcome: str) -> None:
    video = published()
    request_again(video_id=video.pk)
    if ends:
        assert cancel_making(video_id=video.pk)
        assert not cancel_making(video_id=video.pk)
    line = after_upload(video)[-1]
    assert line.startswith("It was processed again on ")
    assert line.endswith(outcome)


def test_story_has_both_files_when_one_replaced_the_other() -> None:
    video = published()
    older = video.published_job
    assert older is not None
    Job.objects.filter(pk=older.pk).update(
        source_name="sources/older.mp4", created_at=F("created_at") - timedelta(days=9)
    )
    request_again(video_id=video.pk)
    newer = published(Video.objects.get())
    assert newer.published_job != older
    first = story(newer)[0]
    assert first.startswith("Uploaded on ")
    assert ", and replaced by another file on " in first
    assert len(story(newer)) == 2


def test_story_has_no_result_when_processing_ended_without_one() -> None:
    video = uploaded_video()
    assert after_upload(video) == ["It is being processed."]
    submitted_attempt(video)
    cancel_making(video_id=video.pk)
    assert Job.objects.get().state == JobState.CANCELLED
    (line,) = after_upload(video)
    assert line.startswith("Processing ended without a result on ")
    assert story(Video(title="not uploaded")) == []
