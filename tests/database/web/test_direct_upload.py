"""Multipart uploads directly to a bucket, on the S3 of the local endpoint.

What the bucket contains decides, and repeated requests have no further effect.
"""

from __future__ import annotations

import http.client
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import F

from tasks.models import DirectUpload, Event, Job, Video
from tasks.services.removal.purge import purge, purge_deleted
from tasks.services.requests.direct_upload import give_up_abandoned_uploads
from tasks.services.state.locking import lock_video
from tasks.storage.bucket import Bucket, BucketError
from tasks.storage.parts import MIN_PART_BYTES, part_size_bytes
from tests import factories
from tests.buckets import use_new_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

CONTENT = bytes(range(256)) * (2 * MIN_PART_BYTES // 256) + b"the rest"
PARTS = 3


class PrivateBucket(NamedTuple):
    """A private bucket and an S3 client."""

    s3: Any
    name: str

    def unfinished(self) -> list[str]:
        """Return the keys of multipart uploads that are neither completed nor aborted."""
        return [each["Key"] for each in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


@pytest.fixture(autouse=True)
def bucket(_own_storage: None, settings: Settings) -> PrivateBucket:
    return PrivateBucket(*use_new_bucket(settings))


@pytest.fixture
def lecturer(client: Client) -> Client:
    """Browser in which a user without staff status has signed in."""
    client.force_login(factories.lecturer())
    return client


def begin(browser: Client, **changes: object) -> Any:
    data = {"title": "", "name": "lecture.mp4", "type": "video/mp4", "size_bytes": len(CONTENT), **changes}
    return browser.post("/uploads/", data, content_type="application/json")


def begun(browser: Client) -> dict[str, Any]:
    response = begin(browser)
    assert response.status_code == 201, response.content
    upload: dict[str, Any] = response.json()
    return upload


def put(url: str, content: bytes) -> int:
    """Send a PUT to the URL as a browser does, without credentials, and return the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", body=content)
        return connection.getresponse().status
    finally:
        connection.close()


def signature_is_valid(url: str, *, content_length: int) -> bool:
    """Sign a PUT of this length as S3 does to verify it, and compare (Amazon S3, "Authenticating Requests").

    The local endpoint verifies no signature.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    signature = query.pop("X-Amz-Signature")
    signed = [parts.scheme + "://" + parts.netloc + parts.path, urlencode(query, quote_via=quote)]
    request = AWSRequest("PUT", "?".join(signed), headers={"Host": parts.netloc, "Content-Length": str(content_length)})
    request.context["timestamp"] = query["X-Amz-Date"]
    _, _, region, _, _ = query["X-Amz-Credential"].split("/")
    credentials = boto3.Session().get_credentials().get_frozen_credentials()
    auth = S3SigV4QueryAuth(credentials, "s3", region, expires=int(query["X-Amz-Expires"]))
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return bool(auth.signature(text, request) == signature)


def put_parts(browser: Client, upload: dict[str, Any], numbers: list[int], content: bytes = CONTENT) -> None:
    response = browser.post(f"{upload['url']}urls/", {"numbers": numbers}, content_type="application/json")
    size = upload["part_bytes"]
    for number, url in response.json()["urls"].items():
        assert put(url, content[(int(number) - 1) * size : int(number) * size]) == 200


def complete(browser: Client, upload: dict[str, Any]) -> Any:
    return browser.post(f"{upload['url']}complete/", {}, content_type="application/json")


def test_multipart_upload_creates_a_job_when_all_parts_are_stored(lecturer: Client, bucket: PrivateBucket) -> None:
    upload = begun(lecturer)
    assert (upload["part_bytes"], upload["missing"]) == (MIN_PART_BYTES, [1, 2, 3])
    video = Video.objects.get()
    assert (video.title, video.source_complete, video.jobs.count()) == ("lecture", False, 0)
    put_parts(lecturer, upload, [1, 2, 3])
    response = complete(lecturer, upload)
    assert (response.status_code, response.json()) == (200, {"url": f"/videos/{video.pk}/"})
    assert Job.objects.get().source_name == str(video.source)
    with default_storage.open(str(video.source)) as stored:
        assert stored.read() == CONTENT
    assert bucket.unfinished() == []
    assert not DirectUpload.objects.exists()


def test_resumed_upload_requests_only_missing_parts_when_it_continues(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 3])
    assert lecturer.get(upload["url"]).json() == {**upload, "missing": [2]}
    response = complete(lecturer, upload)
    assert (response.status_code, response.json()["missing"]) == (409, [2])
    assert not Job.objects.exists()
    put_parts(lecturer, upload, [2])
    assert complete(lecturer, upload).status_code == 200


def test_part_counts_as_missing_when_it_is_incomplete(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2])
    put_parts(lecturer, upload, [3], content=CONTENT[:-1])
    assert complete(lecturer, upload).json()["missing"] == [3]


def test_upload_creates_one_job_when_completion_is_repeated(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    assert [complete(lecturer, upload).status_code for _ in range(2)] == [200, 200]
    assert Job.objects.count() == 1
    assert Event.objects.filter(kind="upload.complete").count() == 1


def test_upload_is_completed_when_the_response_of_the_bucket_was_lost(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    original = Bucket.complete_upload

    def lose_the_response(*arguments: Any) -> None:
        original(*arguments)
        message = "the connection broke"
        raise BucketError(message)

    monkeypatch.setattr(Bucket, "complete_upload", lose_the_response)
    response = complete(lecturer, upload)
    assert (response.status_code, Job.objects.count()) == (503, 0)
    assert response.json()["errors"] == [
        "The storage is temporarily unavailable. The parts uploaded so far are kept. Try again in a few seconds."
    ]
    assert lecturer.get(upload["url"]).json()["missing"] == []
    assert complete(lecturer, upload).status_code == 200
    assert Job.objects.count() == 1


def test_upload_is_gone_when_the_bucket_has_aborted_it(lecturer: Client, bucket: PrivateBucket) -> None:
    upload = begun(lecturer)
    row = DirectUpload.objects.get()
    bucket.s3.abort_multipart_upload(Bucket=bucket.name, Key=str(row.video.source), UploadId=row.upload_id)
    response = complete(lecturer, upload)
    assert (response.status_code, Job.objects.count()) == (410, 0)
    assert "Upload the file again." in response.json()["errors"][0]


def test_parts_are_removed_from_the_bucket_when_the_upload_is_aborted(lecturer: Client, bucket: PrivateBucket) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1])
    assert len(bucket.unfinished()) == 1
    assert lecturer.delete(upload["url"]).status_code == 204
    assert lecturer.get(upload["url"]).status_code == 404
    purge_deleted(limit=10)
    assert bucket.unfinished() == []
    assert not Video.objects.exists()


def test_old_upload_is_removed_when_it_is_never_completed(lecturer: Client, bucket: PrivateBucket) -> None:
    begun(lecturer)
    young = begun(lecturer)
    old = DirectUpload.objects.exclude(video=young["video"])
    old.update(created_at=F("created_at") - timedelta(days=8))
    purge()
    assert [str(each.video_id) for each in DirectUpload.objects.all()] == [young["video"]]
    assert len(bucket.unfinished()) == 1


def test_old_upload_is_kept_when_it_is_completed_during_its_removal(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    DirectUpload.objects.update(created_at=F("created_at") - timedelta(days=8))
    put_parts(lecturer, upload, [1, 2, 3])

    def complete_first(video_id: Any) -> Any:
        # The tick has listed the upload. Before it gives it up, the last part arrives.
        monkeypatch.undo()
        assert complete(lecturer, upload).status_code == 200
        return lock_video(video_id)

    monkeypatch.setattr("tasks.services.requests.direct_upload.lock_video", complete_first)
    assert give_up_abandoned_uploads(limit=10) == 0
    assert Video.objects.get().deleted_at is None
    assert Job.objects.count() == 1


def test_upload_starts_once_when_the_request_is_repeated(lecturer: Client, bucket: PrivateBucket) -> None:
    chosen = str(uuid.uuid4())
    first, again = (begin(lecturer, id=chosen) for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["video"] == chosen
    assert len(bucket.unfinished()) == 1
    assert begin(lecturer, id="x").status_code == 400


def test_completing_an_upload_fails_when_its_video_was_deleted(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    monkeypatch.setattr("tasks.services.requests.direct_upload.lock_video", lambda _: None)
    response = complete(lecturer, upload)
    assert (response.status_code, response.json()) == (
        410,
        {"errors": ["The video was deleted in the meantime."], "code": "NOT_FOUND"},
    )
    assert lecturer.get(upload["url"].replace(upload["video"], str(uuid.uuid4()))).json()["errors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_bytes": 0}, "The file is empty."),
        ({"size_bytes": 51 * 1024**3}, "The file is too large (51.0 GiB). The limit is 50 GiB."),
        ({"size_bytes": "12"}, "The request needs a title, a name, a type and size_bytes."),
        ({"size_bytes": True}, "The request needs a title, a name, a type and size_bytes."),
        ({"name": ""}, "Choose a video file."),
        ({"title": "x" * 201}, "The title can have at most 200 characters."),
        ({"title": "a\0b"}, "The title and the name must not contain NUL or incomplete characters."),
        ({"title": "\ud83d"}, "The title and the name must not contain NUL or incomplete characters."),
        ({"type": "video/mp4\r\nX-Other: 1"}, "The type must be a media type such as video/mp4."),
    ],
)
def test_multipart_upload_returns_the_reason_when_it_is_rejected(
    changes: dict[str, object], message: str, lecturer: Client, bucket: PrivateBucket
) -> None:
    response = begin(lecturer, **changes)
    assert (response.status_code, response.json()) == (400, {"errors": [message], "code": "INVALID"})
    assert not Video.objects.exists()
    assert bucket.unfinished() == []


@pytest.mark.parametrize("numbers", [[], [0], [PARTS + 1], ["1"], [True], list(range(1, 52)), None])
def test_part_url_is_rejected_when_the_part_does_not_exist(numbers: Any, lecturer: Client) -> None:
    upload = begun(lecturer)
    response = lecturer.post(f"{upload['url']}urls/", {"numbers": numbers}, content_type="application/json")
    assert response.status_code == 400


def test_upload_is_rejected_when_its_json_is_nested_too_deeply(lecturer: Client) -> None:
    response = lecturer.post("/uploads/", b"[" * 100_000, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "INVALID")


def test_second_upload_is_refused_when_its_id_is_taken(lecturer: Client, bucket: PrivateBucket) -> None:
    first = begun(lecturer)
    response = begin(lecturer, id=first["video"], size_bytes=1)
    # 503 would make the page's script repeat it for half an hour.
    assert (response.status_code, response.json()["code"]) == (409, "ID_TAKEN")
    assert len(bucket.unfinished()) == 1


def test_second_upload_is_aborted_when_its_id_is_taken_meanwhile(
    lecturer: Client, bucket: PrivateBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = uuid.uuid4()
    original = Bucket.begin_multipart_upload

    def take_the_id(*arguments: Any, **options: Any) -> str:
        monkeypatch.undo()
        assert begin(lecturer, id=str(chosen), size_bytes=1).status_code == 201
        return original(*arguments, **options)

    monkeypatch.setattr(Bucket, "begin_multipart_upload", take_the_id)
    response = begin(lecturer, id=str(chosen))
    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
    assert len(bucket.unfinished()) == 1


@pytest.mark.parametrize("name", ["..", "/", "a\0.mp4"])
def test_upload_is_rejected_when_its_name_cannot_be_stored(name: str, lecturer: Client, bucket: PrivateBucket) -> None:
    response = begin(lecturer, name=name)
    assert (response.status_code, response.json()["code"]) == (400, "INVALID")
    assert bucket.unfinished() == []


def test_part_url_signs_the_length_of_its_part_when_it_is_given_out(lecturer: Client) -> None:
    upload = begun(lecturer)
    response = lecturer.post(f"{upload['url']}urls/", {"numbers": [1, PARTS]}, content_type="application/json")
    for number, size_bytes in ((1, MIN_PART_BYTES), (PARTS, len(b"the rest"))):
        url = response.json()["urls"][str(number)]
        assert parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"] == ["content-length;host"]
        assert signature_is_valid(url, content_length=size_bytes)
        assert not signature_is_valid(url, content_length=size_bytes + 1)


def test_upload_leaves_nothing_in_the_bucket_when_its_row_fails(
    lecturer: Client, bucket: PrivateBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        message = "disk full"
        raise RuntimeError(message)

    monkeypatch.setattr(DirectUpload.objects, "create", refuse)
    with pytest.raises(RuntimeError, match="disk full"):
        begin(lecturer)
    assert not Video.objects.exists()
    assert bucket.unfinished() == []


def test_files_are_uploaded_to_the_site_when_the_storage_is_a_folder(lecturer: Client, settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
    default_storage.save("x", ContentFile(b"x"))
    assert begin(lecturer).status_code == 404
    assert b"data-direct-url" not in lecturer.get("/").content


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(1, MIN_PART_BYTES), (10 * 1024**3, MIN_PART_BYTES), (5 * 1024**4, 525 * 1024**2)],
)
def test_part_size_keeps_the_part_limit_of_s3_when_files_are_large(size_bytes: int, expected: int) -> None:
    assert part_size_bytes(size_bytes) == expected
    assert -(-size_bytes // part_size_bytes(size_bytes)) <= 10_000


def _requests_of(other: Client, upload: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    return {
        "status": lambda: other.get(upload["url"]),
        "abort": lambda: other.delete(upload["url"]),
        "urls": lambda: other.post(f"{upload['url']}urls/", {"numbers": [1]}, content_type="application/json"),
        "complete": lambda: complete(other, upload),
    }


@pytest.mark.parametrize("what", ["status", "abort", "urls", "complete"])
def test_upload_is_private_when_another_user_knows_its_url(
    what: str, lecturer: Client, django_user_model: type[User]
) -> None:
    upload = begun(lecturer)
    other = type(lecturer)()
    assert _requests_of(other, upload)[what]().status_code == 403, "not signed in"
    other.force_login(django_user_model.objects.create_user("other"))
    assert _requests_of(other, upload)[what]().status_code == 404
    assert DirectUpload.objects.count() == 1
