"""`manage.py transcode`: bulk jobs for the selected videos, once each, and in the background."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tasks.models import Event, Job, Video
from tasks.services.requests.request import request_again
from tasks.services.ticks.grant import grant_due
from tasks.transcode import PROFILES, profile_to_json
from tasks.transcode.sandbox.ffmpeg import engine_id
from tests.factories import published, uploaded_video

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("transcode", *arguments, stdout=out)
    return out.getvalue()


def bulk_videos() -> set[str]:
    return set(Job.objects.filter(priority="bulk").values_list("video__title", flat=True))


@pytest.fixture
def videos() -> dict[str, Video]:
    """Return published videos of the current and of an older engine, one in progress, and an incomplete one."""
    found = {title: published(uploaded_video(title=title)) for title in ("current", "older")}
    Job.objects.filter(video=found["current"]).update(engine=engine_id())
    Job.objects.filter(video=found["older"]).update(
        engine="0/old", profile="fast", profile_fields=profile_to_json(PROFILES["fast"])
    )
    found["active"] = uploaded_video(title="active")
    found["incomplete"] = Video.objects.create(title="incomplete", source_complete=False)
    return found


@pytest.mark.usefixtures("videos")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--all"], {"current", "older"}),
        (["--older-engine"], {"older"}),
        (["--profile", "standard"], {"older"}),
        (["--profile", "fast"], {"current"}),
        (["--all", "--limit", "1"], {"current"}),
    ],
)
def test_selected_videos_get_bulk_jobs_once_when_it_is_run_twice(arguments: list[str], expected: set[str]) -> None:
    assert f"Requested {len(expected)} jobs" in run(*arguments)
    assert bulk_videos() == expected
    if "--limit" not in arguments:
        assert "Requested 0 jobs" in run(*arguments)
    assert Job.objects.filter(priority="bulk").count() == len(expected)


def test_bulk_job_has_the_profile_when_one_is_named(videos: dict[str, Video]) -> None:
    run("--profile", "fast")
    assert Job.objects.get(priority="bulk").profile == "fast"
    assert Job.objects.get(priority="bulk").video == videos["current"]


def test_bulk_job_is_requested_again_when_the_fields_of_its_profile_have_changed(
    videos: dict[str, Video], settings: Settings
) -> None:
    settings.BATCHREEL = {"profiles": {"standard": {"preset": "slow"}}}
    assert "Requested 2 jobs with profile standard." in run("--profile", "standard")
    assert Job.objects.get(priority="bulk", video=videos["current"]).profile_fields["preset"] == "slow"


def test_failed_video_is_not_requested_again_when_only_older_engines_are_selected(videos: dict[str, Video]) -> None:
    run("--older-engine")
    Job.objects.filter(priority="bulk").update(state="FAILED", reason="NOT_A_VIDEO", next_attempt_at=None)
    assert "Requested 0 jobs" in run("--older-engine")
    assert Job.objects.filter(video=videos["older"]).count() == 2


def test_only_the_videos_of_an_owner_are_requested_when_one_is_named(videos: dict[str, Video]) -> None:
    owner = User.objects.create(username="lecturer")
    Video.objects.filter(pk=videos["older"].pk).update(owner=owner)
    run("--all", "--owner", "lecturer")
    assert bulk_videos() == {"older"}


@pytest.mark.usefixtures("videos")
def test_nothing_changes_when_it_is_a_dry_run() -> None:
    assert run("--all", "--dry-run") == "Would request 2 jobs with profile standard. Nothing was changed.\n"
    assert bulk_videos() == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "nonsense"], "There is no profile 'nonsense'"),
        (["--all", "--owner", "nobody"], "There is no account 'nobody'"),
        (["--all", "--limit", "0"], "--limit must be 1 or more"),
    ],
)
def test_command_names_the_wrong_option_when_it_cannot_be_used(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)


@pytest.mark.usefixtures("videos")
def test_bulk_job_overtakes_the_others_when_a_person_requests_its_video() -> None:
    uploaded_video(title="other")
    grant_due(limit=10)
    run("--all")
    older = Video.objects.get(title="older")
    result = request_again(video_id=older.pk)
    assert not result.created
    assert Event.objects.filter(job_id=result.job_id, kind="job.priority").count() == 1
    assert grant_due(limit=1).attempts[0].job_id == result.job_id
    assert not Job.objects.get(pk=result.job_id).automatic, "its age is not the wait of an upload"
