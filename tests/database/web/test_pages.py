"""The pages for users: access, messages and buttons."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from project.local.servers.ports import free_port
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import JobState
from tasks.models import Job, Video
from tasks.selectors.media_urls import media_url
from tasks.selectors.videos import can_retry, video_overview
from tasks.services.container_api.finish import reject_input
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_again
from tests.factories import claimed, planned, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import DjangoAssertNumQueries, Settings

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}


def upload(name: str = "lecture.mp4", content: bytes = b"not decoded here") -> dict[str, object]:
    return {"title": "", "source": SimpleUploadedFile(name, content, content_type="video/mp4")}


def rejected_video() -> Video:
    video = uploaded_video(title="Notes")
    claim = claimed(submitted_attempt(video))
    reject_input(claim, code="NOTHING_TO_PLAY", message="The file has no video and no audio.", exit_code=20)
    return video


def dead_video() -> Video:
    video = uploaded_video(title="Unlucky")
    Job.objects.filter(video=video).update(
        state=JobState.DEAD,
        reason=Reason.ATTEMPTS_EXHAUSTED,
        reason_message="",
        next_attempt_at=None,
        finished_at=Now(),
    )
    return video


def cancelled_video() -> Video:
    video = uploaded_video(title="Wrong file")
    cancel_job(job_id=video.jobs.get().pk)
    return video


# Access.


def paths(video: Video) -> list[tuple[str, str]]:
    page = f"/videos/{video.pk}/"
    return [
        ("get", "/"),
        ("post", "/upload/"),
        ("get", page),
        ("post", f"{page}retry/"),
        ("post", f"{page}delete/"),
        ("get", f"{page}delete/confirm/"),
    ]


def test_pages_redirect_to_the_login_when_a_visitor_is_not_signed_in(client: Client) -> None:
    video = rejected_video()
    for method, path in paths(video):
        response = getattr(client, method)(path)
        assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")
    assert Video.objects.count() == Job.objects.count() == 1


def test_scripts_get_a_json_error_when_signed_out(client: Client) -> None:
    signed_out = {"errors": ["You have been signed out. Sign in again."], "code": "SIGNED_OUT"}
    assert client.get("/progress/").json() == signed_out
    response = client.post("/upload/", upload(), headers=JSON)
    assert (response.status_code, response.json()) == (403, signed_out)
    assert not Video.objects.exists()


def test_forms_are_rejected_when_the_csrf_token_is_missing(admin_user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    video = rejected_video()
    for method, path in paths(video):
        if method == "post":
            assert browser.post(path).status_code == 403
    assert Video.objects.filter(deleted_at=None).count() == Job.objects.count() == 1


# Uploading.


def test_health_check_responds_when_the_host_is_an_ip_without_https(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["video.example.org"]
    response = client.get("/health/", headers={"host": "10.0.0.7:8000"})
    assert (response.status_code, response.content) == (200, b"ok")
    assert client.get("/login/", headers={"host": "10.0.0.7:8000"}).status_code == 400


def test_upload_creates_a_video_with_a_job_when_sent_by_a_script(staff: Client) -> None:
    response = staff.post("/upload/", upload("강의 자료.mp4"), headers=JSON)
    video = Video.objects.get()
    assert (response.status_code, response.json()) == (201, {"video": str(video.pk), "url": f"/videos/{video.pk}/"})
    assert video.title == "강의 자료"
    assert video.jobs.get().source_name == str(video.source)
    with default_storage.open(str(video.source)) as stored:
        assert stored.read() == b"not decoded here"


def test_upload_returns_the_same_video_when_its_request_is_repeated(staff: Client) -> None:
    video_id = str(uuid.uuid4())
    responses = [staff.post("/upload/", {**upload(), "id": video_id}, headers=JSON) for _ in range(2)]
    assert [response.status_code for response in responses] == [201, 201]
    assert responses[0].json() == responses[1].json() == {"video": video_id, "url": f"/videos/{video_id}/"}
    assert Video.objects.count() == Job.objects.count() == 1


def test_upload_creates_a_video_when_sent_by_a_plain_form(staff: Client) -> None:
    response = staff.post("/upload/", {**upload(), "title": "A lecture"}, follow=True)
    assert response.redirect_chain == [(f"/videos/{Video.objects.get().pk}/", 302)]
    assert "<h1>A lecture</h1>" in response.content.decode()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "Choose a video file."),
        ({"source": SimpleUploadedFile("lecture.mp4", b"")}, "The file is empty."),
        ({**upload(), "title": "x" * 201}, "Ensure this value has at most 200 characters (it has 201)."),
    ],
)
def test_upload_shows_the_error_when_it_is_rejected(staff: Client, fields: dict[str, object], error: str) -> None:
    by_script = staff.post("/upload/", fields, headers=JSON)
    assert (by_script.status_code, by_script.json()) == (400, {"errors": [error], "code": "INVALID"})
    if file := fields.get("source"):
        file.seek(0)  # type: ignore[attr-defined]  # the form is sent a second time
    by_form = staff.post("/upload/", fields)
    assert by_form.status_code == 400
    assert f"<li>{error}</li>" in by_form.content.decode()
    assert not Video.objects.exists()


def test_upload_is_stored_when_its_name_is_too_long_for_file_systems(staff: Client) -> None:
    name = "강의" * 60 + ".mp4"
    assert staff.post("/upload/", upload(name), headers=JSON).status_code == 201
    source = str(Video.objects.get().source)
    assert source.endswith(".mp4")
    assert default_storage.exists(source)


@pytest.mark.django_db(transaction=True)
def test_uploaded_file_is_removed_when_its_row_cannot_be_saved(staff: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE batchreel_video ADD CONSTRAINT nothing_fits CHECK (title <> 'refused') NOT VALID")
    try:
        assert staff.post("/upload/", {**upload(), "title": "refused"}, headers=JSON).status_code == 409
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE batchreel_video DROP CONSTRAINT nothing_fits")
    assert not Video.objects.exists()
    assert not [path for path in Path(default_storage.location, "sources").rglob("*") if path.is_file()]  # type: ignore[attr-defined]


# Messages.


@pytest.mark.parametrize(
    ("make", "status", "message", "retry_code"),
    [
        (uploaded_video, "WAITING", "The video is waiting to be processed.", "UNDER_WAY"),
        (rejected_video, "FAILED", "The file has no video and no audio.", "FAILED"),
        (dead_video, "DEAD", "Processing failed after several attempts", "DEAD"),
        (cancelled_video, "CANCELLED", "Processing was cancelled.", "CANCELLED"),
        (published, "READY", "The video is ready to watch.", "READY"),
    ],
)
def test_page_shows_status_and_message_when_a_video_is_in_any_state(
    staff: Client, make: object, status: str, message: str, retry_code: str
) -> None:
    video = make()  # type: ignore[operator]
    overview = video_overview(video)
    assert (overview.status, overview.retry.code) == (status, retry_code)
    assert overview.message.startswith(message)
    assert can_retry(video) == overview.retry
    for path in ("/", f"/videos/{video.pk}/"):
        page = staff.get(path).content.decode()
        assert message in page
        assert f'data-status="{status}"' in page
    can_choose = "Choose another file" in page
    offered = overview.retry.possible and (overview.retry.may_help or not can_choose)
    assert ("Retry</button>" in page) == offered
    assert (f'id="player-{video.pk}"' in page) == (status == "READY")


def test_old_publication_is_playable_when_a_new_version_runs_or_fails(staff: Client) -> None:
    video = published()
    shown = f'data-playlist="{media_url(video.published_job.playlist_key)}"'
    request_again(video_id=video.pk)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert 'data-status="UPDATING"' in page
    assert shown in page
    claim = claimed(submitted_attempt(video))
    reject_input(claim, code="NOTHING_TO_PLAY", message="The file has no video and no audio.", exit_code=20)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    assert 'data-status="READY"' in page
    assert "A newer version could not be processed: The file has no video and no audio." in page
    assert shown in page
    assert "Retry</button>" in page or "Choose another file" in page


def test_list_page_uses_the_same_queries_when_there_are_many_videos(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    published()
    makers = (rejected_video, dead_video, cancelled_video, uploaded_video, published)
    with django_assert_num_queries(7) as one:
        staff.get("/")
    for make in makers:
        make()
    with django_assert_num_queries(len(one)):
        staff.get("/")
    shown = [str(pk) for pk in Video.objects.values_list("pk", flat=True)]
    with django_assert_num_queries(7):  # one is for costs, which staff see
        staff.get("/progress/", {"video": shown})


def test_video_list_is_paginated_when_it_is_long(staff: Client) -> None:
    Video.objects.bulk_create([Video(title=f"Video {number}", source="s") for number in range(30)])
    first, second = staff.get("/").content.decode(), staff.get("/?page=2").content.decode()
    assert (first.count("data-card="), second.count("data-card=")) == (24, 6)
    assert re.findall(r'href="\?page=(\d)"', first) == ["1", "2", "2"]
    assert re.findall(r'href="\?page=(\d)"', second) == ["1", "1", "2"]
    assert staff.get("/?page=none").status_code == 200


def test_title_is_escaped_when_it_contains_a_script(staff: Client) -> None:
    video = uploaded_video(title="<script>alert(1)</script>")
    for path in ("/", f"/videos/{video.pk}/", f"/videos/{video.pk}/delete/confirm/"):
        assert "<script>alert" not in staff.get(path).content.decode()


# Progress.


def test_progress_is_returned_for_each_video_when_a_script_requests_it(staff: Client) -> None:
    ready, busy = published(), uploaded_video()
    planned(claimed(submitted_attempt(busy)))
    missing = str(uuid.uuid4())
    response = staff.get("/progress/", {"video": [str(ready.pk), str(busy.pk), missing, "nonsense", ""]})
    assert response["Cache-Control"] == "no-store"
    videos = response.json()["videos"]
    assert videos[str(ready.pk)].pop("cost")["containers_not_included"] == 1
    assert videos[str(ready.pk)] | {"watchable": "", "playlist": ""} == {
        "status": "READY",
        "status_label": "Ready",
        "message": "The video is ready to watch.",
        "percent": 100,
        "stage": "Done",
        "units_done": 3,
        "units_total": 3,
        "containers": 0,
        "attempt": 1,
        "remaining_s": None,
        "active": False,
        "watchable": "",
        "playable_s": 4.0,
        "playlist": "",
        "chapters": [],
    }
    assert videos[str(ready.pk)]["watchable"] == str(ready.published_job_id)
    assert videos[str(ready.pk)]["playlist"].endswith("/master.m3u8")
    assert (videos[str(busy.pk)]["active"], videos[str(busy.pk)]["percent"]) == (True, 0)
    assert videos[missing] is None
    assert "nonsense" not in videos


@pytest.mark.django_db(transaction=True)
def test_progress_returns_503_when_the_database_is_unreachable(staff: Client) -> None:
    port = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = free_port()
    try:
        response = staff.get("/progress/")
    finally:
        connection.settings_dict["PORT"] = port
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (503, "5", "no-store")
    assert response.json() == {
        "errors": ["Temporarily unavailable. Try again in a few seconds."],
        "code": "UNAVAILABLE",
    }


# Buttons.


def test_failed_video_gets_a_new_job_when_retry_is_pressed(staff: Client) -> None:
    video = rejected_video()
    page = staff.post(f"/videos/{video.pk}/retry/", follow=True).content.decode()
    assert "The video will be processed again." in page
    assert 'data-status="WAITING"' in page
    assert sorted(video.jobs.values_list("state", flat=True)) == ["FAILED", "QUEUED"]


def test_dead_job_is_revived_when_retry_is_pressed(staff: Client) -> None:
    video = dead_video()
    staff.post(f"/videos/{video.pk}/retry/")
    job = video.jobs.get()
    assert (job.state, job.reason) == ("QUEUED", "REVIVED")


def test_retry_creates_one_job_when_it_is_pressed_twice(staff: Client) -> None:
    video = rejected_video()
    staff.post(f"/videos/{video.pk}/retry/")
    page = staff.post(f"/videos/{video.pk}/retry/", follow=True).content.decode()
    assert "The video is already being processed." in page
    assert video.jobs.count() == 2


def test_retry_shows_the_reason_when_it_is_not_possible(staff: Client) -> None:
    video = published()
    page = staff.post(f"/videos/{video.pk}/retry/", follow=True).content.decode()
    assert "The video is ready; there is nothing to retry." in page
    assert video.jobs.count() == 1


def test_video_is_deleted_and_its_job_cancelled_when_a_user_confirms(staff: Client) -> None:
    video = uploaded_video(title="Old lecture")
    planned(claimed(submitted_attempt(video)))
    question = staff.get(f"/videos/{video.pk}/delete/confirm/").content.decode()
    assert f'action="/videos/{video.pk}/delete/"' in question
    page = staff.post(f"/videos/{video.pk}/delete/", follow=True).content.decode()
    assert "“Old lecture” was deleted." in page
    assert "No videos yet." in page
    assert video.jobs.get().state == "CANCELLED"
    for method, path in paths(video)[2:]:
        assert getattr(staff, method)(path).status_code == 404
    assert staff.get(f"/progress/?video={video.pk}").json() == {"videos": {str(video.pk): None}}


FORMS = {
    "/upload/": "/",
    "/videos/{id}/retry/": "/videos/{id}/",
    "/videos/{id}/delete/": "/videos/{id}/",
    "/videos/{id}/visibility/": "/videos/{id}/",
    "/videos/{id}/share-links/": "/videos/{id}/",
    "/videos/{id}/share-links/{id}/revoke/": "/videos/{id}/",
}
"""Where GET leads to, by the address of a form."""


@pytest.mark.parametrize("address", FORMS)
def test_address_of_a_form_leads_to_its_page_when_it_is_requested_with_get(staff: Client, address: str) -> None:
    video = rejected_video()
    before = list(Video.objects.values()), list(Job.objects.values())
    for method in ("get", "head"):
        response = getattr(staff, method)(address.format(id=video.pk))
        assert (response.status_code, response["Location"]) == (302, FORMS[address].format(id=video.pk))
    assert staff.put(address.format(id=video.pk)).status_code == 405
    assert (list(Video.objects.values()), list(Job.objects.values())) == before


def test_person_is_back_on_the_page_when_a_sign_in_was_needed_to_retry(client: Client, admin_user: User) -> None:
    video = rejected_video()
    login = client.post(f"/videos/{video.pk}/retry/")["Location"]
    response = client.post(login, {"username": "admin", "password": "password"}, follow=True)
    assert [url for url, _ in response.redirect_chain] == [f"/videos/{video.pk}/retry/", f"/videos/{video.pk}/"]
    assert response.status_code == 200


def test_sign_out_leads_to_the_list_when_its_address_is_opened(staff: Client) -> None:
    assert staff.get("/logout/")["Location"] == "/"
    assert staff.get("/").status_code == 200


# URLs of published objects.


def test_player_uses_the_cdn_when_one_is_configured(staff: Client, settings: Settings) -> None:
    settings.MEDIA_BASE_URL = "https://cdn.example.org/videos/"
    video = published()
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    key = video.published_job.playlist_key
    assert re.search(r'data-playlist="([^"]*)"', page).group(1) == f"https://cdn.example.org/videos/{key}"  # type: ignore[union-attr]


def test_favicon_is_found_when_a_page_does_not_name_one(client: Client) -> None:
    assert client.get("/favicon.ico", secure=True)["Location"] == "/static/batchreel/icon.svg"
