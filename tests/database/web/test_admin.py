"""The admin: every page opens in every state, states are read-only, and actions report results."""

from __future__ import annotations

import re
import time
from contextlib import suppress

import boto3
import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from tasks.batch.logs import TAIL_LINES, _client, log_tail
from tasks.conf import bridge_settings
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import ACTIVE_JOB_STATES, LIVE_ATTEMPT_STATES, AttemptState, JobState
from tasks.models import Attempt, CaptionPurpose, Event, Job, ShareLink, Tick, Unit, Video
from tasks.services.editing.captions import add_captions
from tasks.services.requests.share import create_share_link
from tests.factories import age, claimed, finished_media, planned, published, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db

_NO_ROWS_IN_FORM = {
    f"{rows}-{number}": 0 for rows in ("captions", "jobs") for number in ("TOTAL_FORMS", "INITIAL_FORMS")
}
MODELS = ("video", "job", "attempt", "unit", "event", "tick")


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def _job_in(state: JobState) -> Job:
    """Return a job in this state, with attempts, units and events."""
    video = uploaded_video(title=f"Lecture {state}")
    claim = claimed(submitted_attempt(video))
    planned(claim)
    finished_media(claim)
    waits = state in (JobState.QUEUED, JobState.RETRY_WAIT)
    Job.objects.filter(video=video).update(
        state=state,
        next_attempt_at=Now() if waits else None,
        reason=Reason.ATTEMPTS_EXHAUSTED if state in (JobState.FAILED, JobState.DEAD, JobState.CANCELLED) else "",
        finished_at=None if state in ACTIVE_JOB_STATES else Now(),
        playlist_key="k",
    )
    return Job.objects.get(video=video)


@pytest.mark.few(3)
@pytest.mark.parametrize("state", list(JobState))
def test_admin_pages_open_when_a_job_is_in_any_state(state: JobState, operator: Client) -> None:
    job = _job_in(state)
    Tick.objects.create(name="submit")
    rows = {
        "video": job.video_id,
        "job": job.pk,
        "attempt": Attempt.objects.get(job=job).pk,
        "unit": Unit.objects.filter(job=job).latest("pk").pk,
        "event": Event.objects.filter(job_id=job.pk).latest("pk").pk,
        "tick": "submit",
    }
    for model in MODELS:
        assert operator.get(reverse(f"admin:batchreel_{model}_changelist")).status_code == 200, model
        assert operator.get(reverse(f"admin:batchreel_{model}_change", args=[rows[model]])).status_code == 200, model


def test_admin_lists_the_captions_of_a_video_when_some_were_added(operator: Client) -> None:
    video = published()
    content = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
    add_captions(video_id=video.pk, content=content, language="de", purpose=CaptionPurpose.SDH, name="Mit Musik")
    page = operator.get(reverse("admin:batchreel_video_change", args=[video.pk])).content.decode()
    for column, text in (("language_tag", "de"), ("menu_name", "Mit Musik"), ("use", str(CaptionPurpose.SDH.label))):
        assert re.search(rf'<td class="field-{column}">\s*<p>{re.escape(text)}</p>', page), column
    assert 'alt="False"' in page  # not automatic


@pytest.mark.parametrize("title", ["", "Lecture 1"])
@pytest.mark.parametrize("source_complete", [True, False])
def test_admin_video_pages_open_when_no_job_was_requested(source_complete: bool, title: str, operator: Client) -> None:
    video = Video.objects.create(title=title, source_complete=source_complete)
    listed = operator.get(reverse("admin:batchreel_video_changelist"))
    page = operator.get(reverse("admin:batchreel_video_change", args=[video.pk]))
    assert (listed.status_code, page.status_code) == (200, 200)
    assert "Nothing has happened yet." in page.content.decode()


def test_admin_job_pages_open_when_no_attempt_was_granted(operator: Client) -> None:
    job = Job.objects.get(video=uploaded_video())
    assert operator.get(reverse("admin:batchreel_job_changelist")).status_code == 200
    assert "none yet" in operator.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()


@pytest.mark.few(3)
@pytest.mark.parametrize("state", list(AttemptState))
def test_admin_job_page_opens_when_its_attempt_is_in_any_state(state: AttemptState, operator: Client) -> None:
    job = _job_in(JobState.RUNNING)
    ended = state not in LIVE_ATTEMPT_STATES
    Attempt.objects.filter(job=job).update(
        state=state, ended_at=Now() if ended else None, reason="HEARTBEAT_TIMEOUT" if ended else ""
    )
    page = operator.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    assert state in page
    assert "Timeline" in page
    assert "The container started" in page


def test_admin_shows_silence_in_seconds_when_an_attempt_is_live(operator: Client) -> None:
    job = _job_in(JobState.RUNNING)
    age(Attempt, "heartbeat_at", seconds=95)
    for url in (
        reverse("admin:batchreel_job_change", args=[job.pk]),
        reverse("admin:batchreel_attempt_changelist"),
    ):
        assert re.search(r"9[5-9] s ago", operator.get(url).content.decode()), url


def test_admin_job_page_links_the_newest_log_when_attempts_were_granted(operator: Client) -> None:
    job = _job_in(JobState.RUNNING)
    page = operator.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    assert reverse("admin:batchreel_job_log", args=[job.pk, job.fence]) in page


def test_admin_job_page_does_not_link_the_video_when_it_was_deleted(operator: Client) -> None:
    video = published()
    job = Job.objects.get(video=video)
    video.delete()
    page = operator.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    assert "Lecture 1 (deleted)" in page
    assert reverse("admin:batchreel_video_change", args=[video.pk]) not in page


def test_states_cannot_be_edited_when_an_operator_tries(operator: Client) -> None:
    job = _job_in(JobState.DEAD)
    response = operator.post(reverse("admin:batchreel_job_change", args=[job.pk]), {"state": "SUCCEEDED"})
    assert response.status_code == 403
    video_form = operator.get(reverse("admin:batchreel_video_change", args=[job.video_id])).content.decode()
    assert 'name="published_job"' not in video_form
    assert 'name="title"' in video_form


def test_admin_lists_use_the_same_queries_when_there_are_more_rows(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        published()
    for model in ("video", "job", "attempt", "unit"):
        with django_assert_max_num_queries(14):
            operator.get(reverse(f"admin:batchreel_{model}_changelist"))


def _act(operator: Client, model: str, action: str, pk: object) -> str:
    chosen = {"action": action, "_selected_action": [str(pk)], "_confirmed": "yes"}
    return operator.post(reverse(f"admin:batchreel_{model}_changelist"), chosen, follow=True).content.decode()


def test_dead_job_is_revived_when_an_operator_requests_it(operator: Client) -> None:
    job = _job_in(JobState.DEAD)
    assert "Jobs revived: 1." in _act(operator, "job", "revive", job.pk)
    assert Job.objects.get(pk=job.pk).state == JobState.QUEUED


def test_admin_action_shows_the_reason_when_it_is_not_possible(operator: Client) -> None:
    job = _job_in(JobState.SUCCEEDED)
    assert "Only a DEAD job can be revived; this one is SUCCEEDED." in _act(operator, "job", "revive", job.pk)
    assert "can no longer be cancelled" in _act(operator, "job", "cancel", job.pk)


def test_job_is_cancelled_when_an_operator_requests_it(operator: Client) -> None:
    job = Job.objects.get(video=uploaded_video())
    assert "Jobs cancelled: 1." in _act(operator, "video", "cancel", job.video_id)
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED


def test_published_video_gets_a_new_job_when_it_is_transcoded_again(operator: Client) -> None:
    video = published()
    assert "New jobs requested: 1." in _act(operator, "video", "transcode_again", video.pk)
    assert "It already has an active job." in _act(operator, "video", "transcode_again", video.pk)
    assert Job.objects.filter(video=video).count() == 2


@pytest.mark.parametrize("model", ["video", "job"])
def test_dead_video_keeps_its_units_when_it_is_retried(model: str, operator: Client) -> None:
    job = _job_in(JobState.DEAD)
    pk = job.video_id if model == "video" else job.pk
    assert "Videos retried: 1." in _act(operator, model, "retry", pk)
    assert Job.objects.get(video=job.video_id).state == JobState.QUEUED
    assert Unit.objects.filter(job=job, state="DONE").exists()


@pytest.mark.parametrize("model", ["video", "job"])
def test_failed_video_gets_a_new_job_when_it_is_retried(model: str, operator: Client) -> None:
    job = _job_in(JobState.FAILED)
    pk = job.video_id if model == "video" else job.pk
    assert "Videos retried: 1." in _act(operator, model, "retry", pk)
    assert Job.objects.filter(video=job.video_id).count() == 2


def test_ready_video_is_left_alone_when_it_is_retried(operator: Client) -> None:
    video = published()
    assert "there is nothing to retry" in _act(operator, "video", "retry", video.pk)
    assert Job.objects.filter(video=video).count() == 1


def test_deleted_video_gets_no_job_when_its_job_is_retried(operator: Client) -> None:
    video = published()
    job = Job.objects.get(video=video)
    video.delete()
    assert "The video was deleted" in _act(operator, "job", "retry", job.pk)
    assert "The video was deleted" in _act(operator, "job", "transcode_again", job.pk)
    assert Job.objects.filter(video=video).count() == 1


def test_admin_rejects_files_when_an_operator_uploads_one(operator: Client) -> None:
    # The admin saves in a transaction, which PostgreSQL aborts if storing the file takes more than 20 s.
    form = {
        "title": "Lecture 2",
        "visibility": "private",
        "source": ContentFile(b"a file", name="lecture.mp4"),
        **_NO_ROWS_IN_FORM,
    }
    assert operator.post(reverse("admin:batchreel_video_add"), form).status_code == 403
    video = uploaded_video()
    assert operator.post(reverse("admin:batchreel_video_change", args=[video.pk]), form).status_code == 302
    assert Video.objects.get().source == video.source
    assert Video.objects.get().title == "Lecture 2"


def test_visibility_and_share_links_change_when_an_operator_does_it(operator: Client) -> None:
    video = uploaded_video()
    create_share_link(video_id=video.pk, days=1)
    form = {"title": "Lecture 2", "visibility": "signed-in", **_NO_ROWS_IN_FORM}
    assert operator.post(reverse("admin:batchreel_video_change", args=[video.pk]), form).status_code == 302
    assert Video.objects.get().visibility == "signed-in"
    chosen = {"action": "revoke_share_links", "_selected_action": [str(video.pk)], "_confirmed": "yes"}
    messages = [
        operator.post(reverse("admin:batchreel_video_changelist"), chosen, follow=True).content.decode()
        for _ in range(2)
    ]
    assert not ShareLink.objects.exists()
    assert "Videos without share links: 1." in messages[0]
    assert "It has no share links." in messages[1]


def test_title_can_be_changed_when_the_form_also_contains_a_state(operator: Client) -> None:
    video = published()
    job = Job.objects.get(video=video)
    forged = {
        **_NO_ROWS_IN_FORM,
        "jobs-TOTAL_FORMS": 1,
        "jobs-INITIAL_FORMS": 1,
        "jobs-0-id": job.pk,
        "jobs-0-video": video.pk,
        "jobs-0-state": "DEAD",
    }
    response = operator.post(
        reverse("admin:batchreel_video_change", args=[video.pk]),
        {"title": "A better title", "visibility": "private", "published_job": "", **forged},
    )
    assert response.status_code == 302
    assert Video.objects.get(pk=video.pk).title == "A better title"
    assert Video.objects.get(pk=video.pk).published_job == job
    assert list(Job.objects.filter(video=video).values_list("state", flat=True)) == [JobState.SUCCEEDED]


@pytest.mark.parametrize("model", ["video", "job", "attempt", "unit", "event"])
def test_admin_search_finds_a_row_when_an_operator_pastes_an_id(model: str, operator: Client) -> None:
    video = published()
    pasted = video.pk if model == "video" else Job.objects.get(video=video).pk
    page = operator.get(reverse(f"admin:batchreel_{model}_changelist"), {"q": str(pasted)})
    assert page.context["cl"].result_count >= 1


def test_event_list_does_not_scan_all_events_when_it_is_filtered(operator: Client) -> None:
    published()
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(reverse("admin:batchreel_event_changelist"), {"kind": "job.publish"})
    assert page.context["cl"].result_count == 1
    assert not [query["sql"] for query in queries if "DISTINCT" in query["sql"]]


def test_video_page_does_not_link_to_the_source_when_there_is_one(operator: Client) -> None:
    video = uploaded_video()
    page = operator.get(reverse("admin:batchreel_video_change", args=[video.pk])).content.decode()
    assert f'href="{video.source.url}"' not in page
    assert str(video.source) in page


@pytest.mark.parametrize("how", ["page", "action"])
def test_video_with_jobs_can_be_deleted_when_an_operator_asks(how: str, operator: Client) -> None:
    video = published()
    if how == "page":
        url = reverse("admin:batchreel_video_delete", args=[video.pk])
        assert "its jobs end now" in operator.get(url).content.decode()
        operator.post(url, {"post": "yes"})
    else:
        chosen = {"action": "delete_selected", "_selected_action": [str(video.pk)], "post": "yes"}
        operator.post(reverse("admin:batchreel_video_changelist"), chosen)
    assert Video.objects.get(pk=video.pk).deleted_at is not None


def test_admin_actions_are_rejected_when_a_user_has_view_permission_only(client: Client) -> None:
    job = _job_in(JobState.DEAD)
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.set(_view_permissions())
    client.force_login(watcher)
    _act(client, "job", "revive", job.pk)
    assert Job.objects.get(pk=job.pk).state == JobState.DEAD


@pytest.mark.parametrize("model", ["video", "job"])
def test_admin_page_shows_the_result_when_its_button_is_pressed(model: str, operator: Client) -> None:
    job = Job.objects.get(video=uploaded_video())
    pk = job.video_id if model == "video" else job.pk
    page = reverse(f"admin:batchreel_{model}_change", args=[pk])
    shown = operator.get(page)
    assert 'name="action" value="cancel"' in shown.content.decode()
    pressed = {"action": "cancel", "_selected_action": str(pk), shown.context["from_page"]: "1"}
    asked = operator.post(shown.context["actions_url"], pressed)
    assert "Yes, continue" in asked.content.decode()
    assert Job.objects.get(pk=job.pk).state == JobState.QUEUED
    sent = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', asked.content.decode()))
    assert sent["_confirmed"] == "yes"
    response = operator.post(shown.context["actions_url"], sent, follow=True)
    assert response.redirect_chain == [(page, 302)]
    assert "Jobs cancelled: 1." in response.content.decode()
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED


@pytest.mark.parametrize("from_page", [True, False])
@pytest.mark.parametrize("model", ["video", "job"])
def test_new_job_has_the_chosen_profile_when_a_video_is_transcoded_again(
    model: str, from_page: bool, operator: Client, settings: Settings
) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": {"preset": "slow"}}}
    video = published()
    pk = video.pk if model == "video" else video.published_job_id
    page = reverse(f"admin:batchreel_{model}_change", args=[pk])
    lists = reverse(f"admin:batchreel_{model}_changelist")
    shown = operator.get(page if from_page else lists).content.decode()
    offered = shown.split('name="profile"')[1].split("</select>")[0]
    assert re.findall(r'<option value="([^"]*)"', offered) == ["", "standard", "fast", "seminar"]
    chosen = {"action": "transcode_again", "_selected_action": str(pk), "profile": "seminar"}
    if from_page:
        chosen["_from_page"] = "1"
    assert "New jobs requested: 1." in operator.post(lists, chosen, follow=True).content.decode()
    job = Job.objects.filter(video=video).latest("created_at")
    assert (job.profile, job.profile_fields["preset"]) == ("seminar", "slow")
    page = operator.get(reverse("admin:batchreel_job_change", args=[job.pk])).content.decode()
    assert "seminar: shorter side up to 1080/720/480/360/240 px, x264 preset slow" in page


def test_admin_action_shows_the_reason_when_the_profile_no_longer_exists(operator: Client) -> None:
    video = published()
    chosen = {"action": "transcode_again", "_selected_action": str(video.pk), "profile": "seminar"}
    response = operator.post(reverse("admin:batchreel_video_changelist"), chosen, follow=True)
    assert "There is no profile &#x27;seminar&#x27;. Choose one of: fast, standard." in response.content.decode()
    assert Job.objects.filter(video=video).count() == 1


@pytest.mark.parametrize("model", ["video", "job"])
def test_admin_page_has_no_buttons_when_a_user_has_view_permission_only(model: str, client: Client) -> None:
    job = _job_in(JobState.DEAD)
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.set(_view_permissions())
    client.force_login(watcher)
    pk = job.video_id if model == "video" else job.pk
    page = client.get(reverse(f"admin:batchreel_{model}_change", args=[pk]))
    assert page.status_code == 200
    assert 'name="action"' not in page.content.decode()


def _view_permissions() -> QuerySet[Permission]:
    return Permission.objects.filter(codename__startswith="view_", content_type__app_label="batchreel")


def test_log_page_shows_the_reason_when_there_is_no_log(operator: Client) -> None:
    job = _job_in(JobState.RUNNING)
    url = reverse("admin:batchreel_job_log", args=[job.pk, 1])
    assert "has not named a log stream" in operator.get(url).content.decode()
    Attempt.objects.filter(job=job).update(batch_log_stream="nowhere/default/at-all")
    assert "The log could not be read" in operator.get(url).content.decode()
    assert operator.get(reverse("admin:batchreel_job_log", args=[job.pk, 9])).status_code == 404


def test_log_page_is_forbidden_when_staff_may_not_view_jobs(client: Client) -> None:
    job = _job_in(JobState.RUNNING)
    client.force_login(User.objects.create_user("stranger", is_staff=True))
    assert client.get(reverse("admin:batchreel_job_log", args=[job.pk, 1])).status_code == 403


def test_log_page_shows_the_newest_lines_when_there_are_more(operator: Client) -> None:
    job = _job_in(JobState.RUNNING)
    stream = f"container/default/{job.pk}"
    _write_log(stream, [f"<b>line {number}</b>" for number in range(TAIL_LINES + 5)])
    Attempt.objects.filter(job=job).update(batch_log_stream=stream)
    page = operator.get(reverse("admin:batchreel_job_log", args=[job.pk, 1])).content.decode()
    assert f"&lt;b&gt;line {TAIL_LINES + 4}&lt;/b&gt;" in page
    assert "line 5&lt;" in page
    assert "line 4&lt;" not in page
    assert "<b>line" not in page


def _write_log(stream: str, lines: list[str]) -> None:
    logs = boto3.client("logs")
    group = bridge_settings().log_group
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms + number, "message": line} for number, line in enumerate(lines)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def test_log_tail_returns_the_reason_when_the_stream_is_unknown() -> None:
    assert "could not be read" in log_tail("nowhere").message


@pytest.mark.parametrize("endpoint", ["no-address", "http://127.0.0.1:9"])
def test_log_tail_returns_the_reason_when_aws_is_unreachable(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.batch.logs._client", _client.__wrapped__)  # not the client cached by another test
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.delenv("AWS_ENDPOINT_URL_LOGS", raising=False)
    assert "could not be read" in log_tail("a-stream").message
