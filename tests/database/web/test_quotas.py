"""Quotas of an owner: the pages refuse what is above them, with a code, and nothing is left in the bucket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from tasks.models import Attempt, DirectUpload, Job, Video
from tasks.services.requests.bulk import request_in_bulk
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tasks.services.requests.quota import Quota
from tasks.services.requests.request import request_missing_jobs, retry_video
from tasks.services.ticks.submit import submit_due
from tests.buckets import use_new_bucket
from tests.factories import ScriptedBatch, lecturer

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}
MIB = 1024**2


@pytest.fixture
def user() -> User:
    return lecturer()


@pytest.fixture
def browser(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def bucket(_own_storage: None, settings: Settings) -> tuple[Any, str]:
    return use_new_bucket(settings)


def begin(browser: Client, *, size_bytes: int = MIB, **more: Any) -> Any:
    data = {"title": "", "name": "lecture.mp4", "type": "video/mp4", "size_bytes": size_bytes, **more}
    return browser.post("/uploads/", data, content_type="application/json")


def send_form(browser: Client, **options: Any) -> Any:
    return browser.post("/upload/", {"source": SimpleUploadedFile("lecture.mp4", b"x" * 1000)}, **options)


def refused(response: Any) -> Quota:
    """Return the quota that the response names."""
    assert response.status_code == 429, response.content
    assert len(response.json()["errors"]) == 1
    return Quota(response.json()["code"])


def unfinished(bucket: tuple[Any, str]) -> int:
    s3, name = bucket
    return len(s3.list_multipart_uploads(Bucket=name).get("Uploads", []))


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({"owner_open_uploads": 2}, Quota.OPEN_UPLOADS),
        ({"owner_open_upload_bytes": 2 * MIB}, Quota.OPEN_UPLOAD_BYTES),
        ({"owner_stored_bytes": 2 * MIB}, Quota.STORED_BYTES),
    ],
)
def test_direct_upload_is_refused_when_the_quota_is_used_up(
    limits: dict[str, int], quota: Quota, browser: Client, bucket: tuple[Any, str], settings: Settings
) -> None:
    settings.BATCHREEL = limits
    first, second = (begin(browser) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert refused(begin(browser)) is quota
    assert (DirectUpload.objects.count(), Video.objects.count(), unfinished(bucket)) == (2, 2, 2)
    assert browser.delete(first.json()["url"]).status_code == 204
    assert begin(browser).status_code == 201, "the deleted upload makes room"


@pytest.mark.usefixtures("bucket")
def test_repeated_request_gets_its_upload_when_the_quota_is_used_up(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_open_uploads": 1}
    chosen = "6f0a7c3e-5a43-4f4e-8d0b-0d4f2f8f1c11"
    assert begin(browser, id=chosen).json() == begin(browser, id=chosen).json()


@pytest.mark.usefixtures("bucket")
def test_quotas_do_not_apply_when_a_user_has_the_permission(browser: Client, user: User, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_open_uploads": 1}
    user.user_permissions.add(Permission.objects.get(codename="exceed_quotas"))
    assert [begin(browser).status_code for _ in range(3)] == [201, 201, 201]


@pytest.mark.usefixtures("bucket")
def test_uploads_are_not_limited_when_the_settings_are_zero(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_open_uploads": 0, "owner_open_upload_bytes": 0, "owner_active_jobs": 0}
    assert [begin(browser, size_bytes=50 * 1024**3).status_code for _ in range(25)] == [201] * 25


def test_form_upload_is_refused_when_too_many_jobs_are_active(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_active_jobs": 1}
    assert send_form(browser, headers=JSON).status_code == 201
    assert refused(send_form(browser, headers=JSON)) is Quota.ACTIVE_JOBS
    page = send_form(browser)
    assert (page.status_code, b"QUOTA_ACTIVE_JOBS" in page.content) == (429, True)
    assert Video.objects.count() == 1
    cancel_job(job_id=Job.objects.get().pk)
    assert send_form(browser, headers=JSON).status_code == 201


def test_upload_is_accepted_when_only_an_imports_jobs_are_active(
    browser: Client, user: User, settings: Settings
) -> None:
    settings.BATCHREEL = {"owner_active_jobs": 1}
    Video.objects.bulk_create([Video(title="old", source="sources/old.mp4", owner=user)])
    assert request_missing_jobs(limit=10) == 1
    assert send_form(browser, headers=JSON).status_code == 201
    assert refused(send_form(browser, headers=JSON)) is Quota.ACTIVE_JOBS


def test_form_upload_is_refused_when_the_stored_bytes_are_used_up(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_stored_bytes": 1500}
    assert send_form(browser, headers=JSON).status_code == 201
    assert refused(send_form(browser, headers=JSON)) is Quota.STORED_BYTES


def test_retry_is_refused_when_the_owner_has_retried_too_often(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_retries_per_day": 2}
    send_form(browser)
    video = Video.objects.get()
    for _ in range(2):
        cancel_job(job_id=video.jobs.latest("created_at").pk)
        browser.post(f"/videos/{video.pk}/retry/")
    assert video.jobs.count() == 3
    cancel_job(job_id=video.jobs.latest("created_at").pk)
    page = browser.post(f"/videos/{video.pk}/retry/", follow=True)
    assert b"QUOTA_RETRIES" in page.content
    assert video.jobs.count() == 3
    retry_video(video_id=video.pk)
    assert video.jobs.count() == 4, "an operator can retry it"


def test_owner_can_retry_when_operators_requested_the_video_often(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_retries_per_day": 1}
    send_form(browser)
    video = Video.objects.get()
    for _ in range(3):
        cancel_job(job_id=video.jobs.latest("created_at").pk)
        retry_video(video_id=video.pk)
        cancel_job(job_id=video.jobs.latest("created_at").pk)
        request_in_bulk(video_id=video.pk, profile="fast")
    cancel_job(job_id=video.jobs.latest("created_at").pk)
    before = video.jobs.count()
    browser.post(f"/videos/{video.pk}/retry/")
    assert video.jobs.count() == before + 1


def test_upload_is_refused_when_deleted_videos_are_still_in_batch(browser: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"owner_active_jobs": 1}
    send_form(browser)
    submit_due(batch=ScriptedBatch())
    delete_video(video_id=Video.objects.get().pk)
    assert refused(send_form(browser, headers=JSON)) is Quota.ACTIVE_JOBS
    Attempt.objects.update(batch_status="FAILED")
    assert send_form(browser, headers=JSON).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_one_upload_is_accepted_when_many_requests_take_the_last_place(
    user: User, bucket: tuple[Any, str], settings: Settings
) -> None:
    settings.BATCHREEL = {"owner_open_uploads": 1}

    def begin_alone(_: int) -> int:
        try:
            browser = Client()
            browser.force_login(user)
            return begin(browser).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as executor:
        statuses = sorted(executor.map(begin_alone, range(6)))
    assert statuses == [201, 429, 429, 429, 429, 429]
    assert (DirectUpload.objects.count(), unfinished(bucket)) == (1, 1)
