"""Uploads by the API, in parts to a bucket and in one request to a folder, of new videos and of new files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F

from tasks.models import DirectUpload, Event, Job, Video
from tasks.services.removal.purge import purge
from tasks.services.requests.direct_upload import complete_direct_upload, give_up_abandoned_uploads
from tasks.storage.aliases import sources_bucket
from tasks.storage.bucket import Bucket, BucketError
from tasks.storage.parts import MIN_PART_BYTES
from tests.buckets import use_new_bucket
from tests.database.api.clients import Store, problem, with_token
from tests.database.web.test_direct_upload import put
from tests.factories import claimed, newest_attempt, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

CONTENT = bytes(range(256)) * (MIN_PART_BYTES // 256) + b"the rest"
BEGIN = {"name": "lecture 2.mp4", "size_bytes": len(CONTENT)}


def own(video: Video) -> str:
    """Give the video to the user, and return its URL."""
    Video.objects.filter(pk=video.pk).update(owner=User.objects.get())
    return f"/api/videos/{video.pk}/"


def send(client: APIClient, url: str, content: bytes = CONTENT) -> None:
    """Send the missing parts of the open upload."""
    upload = client.get(f"{url}upload/").json()
    response = client.post(f"{url}upload/urls/", {"numbers": upload["missing"]})
    assert response.status_code == 200, response.content
    for number, part_url in response.json()["urls"].items():
        first = (int(number) - 1) * upload["part_bytes"]
        assert put(part_url, content[first : first + upload["part_bytes"]]) == 200


def test_video_gets_its_job_when_all_parts_have_been_sent(client: APIClient, bucket: Store) -> None:
    begun = client.post("/api/videos/", {**BEGIN, "title": "Lecture 2"})
    assert (begun.status_code, begun.json()["missing"]) == (201, [1, 2])
    url = begun["Location"]
    assert client.get(url).json()["status"] == "UPLOADING"
    early = client.post(f"{url}upload/complete/")
    assert problem(early) == (409, "PARTS_MISSING")
    assert early.json()["missing"] == [1, 2]
    send(client, url)
    assert client.get(f"{url}upload/").json()["missing"] == []
    for _ in range(2):
        completed = client.post(f"{url}upload/complete/")
        assert (completed.status_code, completed.json()["status"]) == (200, "WAITING")
    assert problem(client.get(f"{url}upload/")) == (404, "NOT_FOUND")
    video = Video.objects.get()
    assert (video.title, video.source_bytes, Job.objects.count()) == ("Lecture 2", len(CONTENT), 1)
    assert bucket.s3.get_object(Bucket=bucket.name, Key=str(video.source))["Body"].read() == CONTENT


def test_numbers_are_refused_when_the_upload_has_no_such_parts(client: APIClient, bucket: Store) -> None:
    url = client.post("/api/videos/", BEGIN)["Location"]
    for numbers in ([], [0], [3], [1.0], ["1"], [True], list(range(1, 52)), None, [[1]]):
        assert problem(client.post(f"{url}upload/urls/", {"numbers": numbers})) == (400, "INVALID"), numbers


def test_new_video_is_deleted_when_its_upload_is_aborted(client: APIClient, bucket: Store) -> None:
    url = client.post("/api/videos/", BEGIN)["Location"]
    assert client.delete(f"{url}upload/").status_code == 204
    assert problem(client.get(url)) == (404, "NOT_FOUND")
    purge()
    assert (Video.objects.count(), bucket.unfinished()) == (0, [])


def test_published_version_stays_until_the_new_one_is_when_the_file_is_replaced(
    client: APIClient, bucket: Store
) -> None:
    video = published()
    old_source, old_job, url = str(video.source), video.published_job_id, own(video)
    begun = client.post(f"{url}upload/", BEGIN)
    assert (begun.status_code, begun.json()["missing"]) == (201, [1, 2])
    video.refresh_from_db()
    assert (str(video.source), video.source_complete) == (old_source, True)
    assert client.get(url).json()["status"] == "READY"
    send(client, url)
    completed = client.post(f"{url}upload/complete/").json()
    assert (completed["status"], completed["published_job"]) == ("UPDATING", str(old_job))
    assert completed["size_bytes"] == len(CONTENT)
    video.refresh_from_db()
    job = Job.objects.latest("created_at")
    assert str(video.source) == job.source_name != old_source
    assert bucket.s3.get_object(Bucket=bucket.name, Key=job.source_name)["Body"].read() == CONTENT
    assert Event.objects.filter(kind="source.replace", video_id=video.pk).count() == 1
    assert client.post(f"{url}upload/complete/").status_code == 200
    assert Job.objects.count() == 2


def test_job_of_the_older_file_is_cancelled_when_the_file_is_replaced(client: APIClient, bucket: Store) -> None:
    video = uploaded_video()
    url = own(video)
    client.post(f"{url}upload/", BEGIN)
    send(client, url)
    assert client.post(f"{url}upload/complete/").status_code == 200
    states = dict(Job.objects.values_list("source_name", "state"))
    video.refresh_from_db()
    assert states.pop(str(video.source)) == "QUEUED"
    assert list(states.values()) == ["CANCELLED"]


def test_video_stays_as_it_is_when_its_replacement_is_aborted(client: APIClient, bucket: Store) -> None:
    video = published()
    url = own(video)
    client.post(f"{url}upload/", BEGIN)
    assert len(bucket.unfinished()) == 1
    assert client.delete(f"{url}upload/").status_code == 204
    assert bucket.unfinished() == []
    assert client.get(url).json()["status"] == "READY"
    assert problem(client.delete(f"{url}upload/")) == (404, "NOT_FOUND")
    assert client.post(f"{url}upload/", BEGIN).status_code == 201


def test_replacement_alone_is_given_up_when_it_is_abandoned(client: APIClient, bucket: Store) -> None:
    url = own(published())
    client.post(f"{url}upload/", BEGIN)
    DirectUpload.objects.update(created_at=F("created_at") - timedelta(days=8))
    assert give_up_abandoned_uploads(limit=10) == 1
    assert (DirectUpload.objects.count(), bucket.unfinished()) == (0, [])
    assert client.get(url).json()["status"] == "READY"


def test_abandoned_replacement_is_tried_again_when_the_bucket_is_down(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own(published())
    client.post(f"{url}upload/", BEGIN)
    DirectUpload.objects.update(created_at=F("created_at") - timedelta(days=8))

    def fail(*_: object) -> None:
        message = "the bucket is down"
        raise BucketError(message)

    with monkeypatch.context() as down:
        down.setattr(Bucket, "abort_upload", fail)
        assert give_up_abandoned_uploads(limit=10) == 0
        assert problem(client.delete(f"{url}upload/")) == (503, "STORAGE_UNAVAILABLE")
    assert DirectUpload.objects.count() == 1
    assert give_up_abandoned_uploads(limit=10) == 1


def test_second_upload_is_refused_when_one_is_open(client: APIClient, bucket: Store) -> None:
    url = own(published())
    assert client.post(f"{url}upload/", BEGIN).status_code == 201
    for other in ({**BEGIN, "size_bytes": 5}, BEGIN):  # of the same size too: parts of two files would be mixed
        assert problem(client.post(f"{url}upload/", other)) == (409, "UPLOAD_OPEN")
    first = client.post("/api/videos/", BEGIN)["Location"]
    assert problem(client.post(f"{first}upload/", BEGIN)) == (409, "UPLOAD_OPEN")
    assert (len(bucket.unfinished()), DirectUpload.objects.count()) == (2, 2)


def test_multipart_upload_is_aborted_when_another_replacement_begins_meanwhile(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = published()
    url = own(video)
    begin = Bucket.begin_multipart_upload

    def begin_second(self: Bucket, key: str, **options: Any) -> str:
        DirectUpload.objects.create(video=video, source_name="another", upload_id="another", size_bytes=5, part_bytes=5)
        return begin(self, key, **options)

    monkeypatch.setattr(Bucket, "begin_multipart_upload", begin_second)
    assert problem(client.post(f"{url}upload/", BEGIN)) == (409, "UPLOAD_OPEN")
    assert bucket.unfinished() == []


def test_nothing_is_replaced_when_the_upload_was_aborted_while_it_was_assembled(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = published()
    url, source = own(video), str(video.source)
    client.post(f"{url}upload/", BEGIN)
    send(client, url)
    size_bytes = Bucket.size_bytes

    def size_after_abort(self: Bucket, key: str) -> int | None:
        DirectUpload.objects.all().delete()
        return size_bytes(self, key)

    monkeypatch.setattr(Bucket, "size_bytes", size_after_abort)
    assert problem(client.post(f"{url}upload/complete/")) == (410, "UPLOAD_LOST")
    video.refresh_from_db()
    assert (str(video.source), Job.objects.count()) == (source, 1)


def test_container_of_the_older_file_is_stopped_when_the_file_is_replaced(client: APIClient) -> None:
    video = uploaded_video()
    url = own(video)
    claimed(submitted_attempt(video))
    file = SimpleUploadedFile("new.mp4", b"a new file")
    assert client.post(f"{url}source/", {"file": file}, format="multipart").status_code == 200
    assert newest_attempt(video).state == "CANCELLED"


def test_file_is_replaced_in_one_request_when_the_storage_is_a_folder(client: APIClient) -> None:
    video = published()
    url, old = own(video), str(video.source)
    file = SimpleUploadedFile("new.mp4", b"a new file")
    replaced = client.post(f"{url}source/", {"file": file}, format="multipart")
    assert (replaced.status_code, replaced.json()["status"], replaced.json()["size_bytes"]) == (200, "UPDATING", 10)
    video.refresh_from_db()
    assert str(video.source) != old
    with default_storage.open(str(video.source)) as stored:
        assert stored.read() == b"a new file"
    assert Job.objects.count() == 2


def test_stored_file_is_deleted_when_the_video_was_deleted_meanwhile(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = published()
    url = own(video)
    stored: list[str] = []
    save = FileSystemStorage.save

    def save_then_delete(self: FileSystemStorage, name: str, content: Any) -> str:
        stored.append(save(self, name, content))
        Video.objects.update(deleted_at=video.created_at)
        return stored[0]

    monkeypatch.setattr(FileSystemStorage, "save", save_then_delete)
    response = client.post(f"{url}source/", {"file": ContentFile(b"a new file", "new.mp4")}, format="multipart")
    assert problem(response) == (404, "NOT_FOUND")
    assert stored
    assert not default_storage.exists(stored[0])


def test_old_publication_plays_when_the_new_file_fails(client: APIClient) -> None:
    video = published()
    url = own(video)
    file = SimpleUploadedFile("new.mp4", b"a new file")
    client.post(f"{url}source/", {"file": file}, format="multipart")
    job = Job.objects.latest("created_at")
    assert client.post(f"/api/jobs/{job.pk}/cancel/").json()["state"] == "CANCELLED"
    assert client.get(url).json()["status"] == "READY"
    assert client.get(f"{url}playback/").json()["hls"].endswith("/master.m3u8")
    assert problem(client.post(f"/api/jobs/{job.pk}/cancel/")) == (409, "JOB_ENDED")


def test_file_is_refused_when_it_is_empty_or_too_large(client: APIClient, settings: Settings) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "upload_limit_bytes": 5}
    for content in (b"", b"123456"):
        response = client.post("/api/videos/file/", {"file": ContentFile(content, "a.mp4")}, format="multipart")
        assert problem(response) == (400, "INVALID")
    use_new_bucket(settings)
    for size_bytes in (0, -1, 6, 10**30, 1.5, "5", True, None):
        response = client.post("/api/videos/", {"name": "a.mp4", "size_bytes": size_bytes})
        assert problem(response) == (400, "INVALID"), size_bytes
    assert not Video.objects.exists()


def test_large_file_is_accepted_with_a_token_when_the_storage_is_a_folder(
    client: APIClient, settings: Settings
) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "body_limit_bytes": 1000}

    def upload() -> Any:
        return client.post("/api/videos/file/", {"file": ContentFile(b"a" * 5000, "a.mp4")}, format="multipart")

    assert upload().status_code == 201
    for credentials in ({}, {"HTTP_AUTHORIZATION": "Token wrong"}):
        client.credentials(**credentials)
        refused = upload()
        assert (problem(refused), refused["WWW-Authenticate"]) == ((401, "NOT_AUTHENTICATED"), "Token")
    assert Video.objects.count() == 1


def test_large_file_is_refused_unread_when_the_account_may_not_upload(settings: Settings) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "body_limit_bytes": 1000}
    student = with_token(User.objects.create_user("student"))
    response = student.post("/api/videos/file/", {"file": ContentFile(b"a" * 5000, "a.mp4")}, format="multipart")
    assert problem(response) == (403, "MAY_NOT_UPLOAD")


def test_completed_replacement_is_found_when_the_site_completes_it_itself(client: APIClient, bucket: Store) -> None:
    video = published()
    url = own(video)
    client.post(f"{url}upload/", BEGIN)
    send(client, url)
    store = sources_bucket()
    assert store is not None
    for _ in range(2):
        complete_direct_upload(bucket=store, video_id=video.pk)
    assert Job.objects.count() == 2
