"""Uploads in parts, past this site, on the S3 of the local endpoint: what the bucket holds decides, and nothing is said twice."""

from __future__ import annotations

import http.client
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import F

from tasks.models import DirectUpload, Event, Job, Video
from tasks.services.requests.direct_upload import give_up_old_uploads
from tasks.services.state.locking import lock_video
from tasks.services.ticks.purge import purge_deleted
from tasks.services.ticks.reap import reap
from tasks.storage.bucket import LEAST_PART_BYTES, Bucket, BucketError, part_bytes_for
from tests.buckets import use_new_bucket
from tests.factories import ScriptedBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

CONTENT = bytes(range(256)) * (2 * LEAST_PART_BYTES // 256) + b"the rest"
PARTS = 3


class Place(NamedTuple):
    """A private bucket."""

    s3: Any
    name: str

    def unfinished(self) -> list[str]:
        """The keys of uploads that are neither complete nor given up."""
        return [each["Key"] for each in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


@pytest.fixture(autouse=True)
def place(_own_storage: None, settings: Settings) -> Place:
    return Place(*use_new_bucket(settings))


@pytest.fixture
def lecturer(client: Client, django_user_model: type[User]) -> Client:
    """A browser in which somebody has signed in who is not of the staff."""
    client.force_login(django_user_model.objects.create_user("lecturer"))
    return client


def begin(browser: Client, **changes: object) -> Any:
    asked = {"title": "", "name": "lecture.mp4", "type": "video/mp4", "size_bytes": len(CONTENT), **changes}
    return browser.post("/uploads/", asked, content_type="application/json")


def begun(browser: Client) -> dict[str, Any]:
    answer = begin(browser)
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def put(url: str, content: bytes) -> int:
    """What a browser does: a PUT to the address, without any credential."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        connection.request("PUT", f"{address.path}?{address.query}", body=content)
        return connection.getresponse().status
    finally:
        connection.close()


def put_parts(browser: Client, upload: dict[str, Any], numbers: list[int], content: bytes = CONTENT) -> None:
    answer = browser.post(f"{upload['url']}urls/", {"numbers": numbers}, content_type="application/json")
    size = upload["part_bytes"]
    for number, url in answer.json()["urls"].items():
        assert put(url, content[(int(number) - 1) * size : int(number) * size]) == 200


def complete(browser: Client, upload: dict[str, Any]) -> Any:
    return browser.post(f"{upload['url']}complete/", {}, content_type="application/json")


def test_upload_becomes_a_video_with_a_job_when_all_parts_are_there(lecturer: Client, place: Place) -> None:
    upload = begun(lecturer)
    assert (upload["part_bytes"], upload["missing"]) == (LEAST_PART_BYTES, [1, 2, 3])
    video = Video.objects.get()
    assert (video.title, video.source_complete, video.jobs.count()) == ("lecture", False, 0)
    put_parts(lecturer, upload, [1, 2, 3])
    answer = complete(lecturer, upload)
    assert (answer.status_code, answer.json()) == (200, {"url": f"/videos/{video.pk}/"})
    assert Job.objects.get().source_name == str(video.source)
    with default_storage.open(str(video.source)) as stored:
        assert stored.read() == CONTENT
    assert place.unfinished() == []
    assert not DirectUpload.objects.exists()


def test_only_what_is_missing_is_asked_for_when_an_upload_goes_on(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 3])
    assert lecturer.get(upload["url"]).json() == {**upload, "missing": [2]}
    answer = complete(lecturer, upload)
    assert (answer.status_code, answer.json()["missing"]) == (409, [2])
    assert not Job.objects.exists()
    put_parts(lecturer, upload, [2])
    assert complete(lecturer, upload).status_code == 200


def test_part_counts_as_missing_when_it_is_not_whole(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2])
    put_parts(lecturer, upload, [3], content=CONTENT[:-1])
    assert complete(lecturer, upload).json()["missing"] == [3]


def test_there_is_one_job_when_completion_is_said_again(lecturer: Client) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    assert [complete(lecturer, upload).status_code for _ in range(2)] == [200, 200]
    assert Job.objects.count() == 1
    assert Event.objects.filter(kind="upload.complete").count() == 1


def test_upload_is_complete_when_the_answer_of_the_bucket_was_lost(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    really = Bucket.complete_upload

    def lose_the_answer(*given: Any) -> None:
        really(*given)
        message = "the connection broke"
        raise BucketError(message)

    monkeypatch.setattr(Bucket, "complete_upload", lose_the_answer)
    answer = complete(lecturer, upload)
    assert (answer.status_code, Job.objects.count()) == (503, 0)
    assert answer.json()["errors"] == [
        "The storage does not answer at the moment. What was uploaded is kept; try again."
    ]
    assert lecturer.get(upload["url"]).json()["missing"] == []
    assert complete(lecturer, upload).status_code == 200
    assert Job.objects.count() == 1


def test_person_has_to_upload_again_when_the_bucket_has_nothing(lecturer: Client, place: Place) -> None:
    upload = begun(lecturer)
    row = DirectUpload.objects.get()
    place.s3.abort_multipart_upload(Bucket=place.name, Key=str(row.video.source), UploadId=row.upload_id)
    answer = complete(lecturer, upload)
    assert (answer.status_code, Job.objects.count()) == (410, 0)
    assert "Upload the file again." in answer.json()["errors"][0]


def test_bucket_forgets_the_parts_when_the_upload_is_given_up(lecturer: Client, place: Place) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1])
    assert len(place.unfinished()) == 1
    assert lecturer.delete(upload["url"]).status_code == 204
    assert lecturer.get(upload["url"]).status_code == 404
    purge_deleted(limit=10)
    assert place.unfinished() == []
    assert not Video.objects.exists()


def test_old_upload_goes_by_itself_when_nobody_completes_it(lecturer: Client, place: Place) -> None:
    begun(lecturer)
    young = begun(lecturer)
    old = DirectUpload.objects.exclude(video=young["video"])
    old.update(created_at=F("created_at") - timedelta(days=8))
    reap(batch=ScriptedBatch())
    assert [str(each.video_id) for each in DirectUpload.objects.all()] == [young["video"]]
    assert len(place.unfinished()) == 1


def test_completed_upload_is_kept_when_it_was_old_and_about_to_be_given_up(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    DirectUpload.objects.update(created_at=F("created_at") - timedelta(days=8))
    put_parts(lecturer, upload, [1, 2, 3])

    def complete_first(video_id: Any) -> Any:
        # The tick has listed the upload. Before it comes to it, the last part arrives.
        monkeypatch.undo()
        assert complete(lecturer, upload).status_code == 200
        return lock_video(video_id)

    monkeypatch.setattr("tasks.services.requests.direct_upload.lock_video", complete_first)
    assert give_up_old_uploads(limit=10) == 0
    assert Video.objects.get().deleted_at is None
    assert Job.objects.count() == 1


def test_there_is_one_upload_when_beginning_is_said_again(lecturer: Client, place: Place) -> None:
    chosen = str(uuid.uuid4())
    first, again = (begin(lecturer, id=chosen) for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["video"] == chosen
    assert len(place.unfinished()) == 1
    assert begin(lecturer, id="x").status_code == 400


def test_person_is_told_when_the_video_was_deleted_while_it_was_completed(
    lecturer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(lecturer)
    put_parts(lecturer, upload, [1, 2, 3])
    monkeypatch.setattr("tasks.services.requests.direct_upload.lock_video", lambda _: None)
    answer = complete(lecturer, upload)
    assert (answer.status_code, answer.json()) == (410, {"errors": ["The video was deleted meanwhile."]})
    assert lecturer.get(upload["url"].replace(upload["video"], str(uuid.uuid4()))).json()["error"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_bytes": 0}, "The file is empty."),
        ({"size_bytes": 51 * 1024**3}, "The file has 51.0 GiB; this site takes up to 50 GiB."),
        ({"size_bytes": "12"}, "The request needs a title, a name, a type, and size_bytes."),
        ({"size_bytes": True}, "The request needs a title, a name, a type, and size_bytes."),
        ({"name": ""}, "Choose a video file."),
        ({"title": "x" * 201}, "The title has at most 200 characters."),
    ],
)
def test_person_is_told_why_when_a_file_is_not_taken(
    changes: dict[str, object], message: str, lecturer: Client, place: Place
) -> None:
    answer = begin(lecturer, **changes)
    assert (answer.status_code, answer.json()) == (400, {"errors": [message]})
    assert not Video.objects.exists()
    assert place.unfinished() == []


@pytest.mark.parametrize("numbers", [[], [0], [PARTS + 1], ["1"], [True], list(range(1, 52)), None])
def test_no_address_is_given_when_a_part_does_not_exist(numbers: Any, lecturer: Client) -> None:
    upload = begun(lecturer)
    answer = lecturer.post(f"{upload['url']}urls/", {"numbers": numbers}, content_type="application/json")
    assert answer.status_code == 400


def test_bucket_forgets_the_second_upload_when_its_id_is_taken(lecturer: Client, place: Place) -> None:
    first = begun(lecturer)
    assert begin(lecturer, id=first["video"], size_bytes=1).status_code == 503
    assert len(place.unfinished()) == 1


def test_nothing_is_left_when_the_row_cannot_be_written(
    lecturer: Client, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        message = "no room"
        raise RuntimeError(message)

    monkeypatch.setattr(DirectUpload.objects, "create", refuse)
    with pytest.raises(RuntimeError, match="no room"):
        begin(lecturer)
    assert not Video.objects.exists()
    assert place.unfinished() == []


def test_files_come_through_the_site_when_the_storage_is_a_folder(lecturer: Client, settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
    default_storage.save("x", ContentFile(b"x"))
    assert begin(lecturer).status_code == 404
    assert b"data-direct-url" not in lecturer.get("/").content


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(1, LEAST_PART_BYTES), (10 * 1024**3, LEAST_PART_BYTES), (5 * 1024**4, 525 * 1024**2)],
)
def test_a_file_has_no_more_parts_than_s3_takes(size_bytes: int, expected: int) -> None:
    assert part_bytes_for(size_bytes) == expected
    assert -(-size_bytes // part_bytes_for(size_bytes)) <= 10_000


def _others_answers(other: Client, upload: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    return {
        "look": lambda: other.get(upload["url"]),
        "give up": lambda: other.delete(upload["url"]),
        "addresses": lambda: other.post(f"{upload['url']}urls/", {"numbers": [1]}, content_type="application/json"),
        "complete": lambda: complete(other, upload),
    }


@pytest.mark.parametrize("what", ["look", "give up", "addresses", "complete"])
def test_upload_is_nobody_elses_when_another_person_knows_its_address(
    what: str, lecturer: Client, django_user_model: type[User]
) -> None:
    upload = begun(lecturer)
    other = type(lecturer)()
    assert _others_answers(other, upload)[what]().status_code == 403, "not signed in"
    other.force_login(django_user_model.objects.create_user("other"))
    assert _others_answers(other, upload)[what]().status_code == 404
    assert DirectUpload.objects.count() == 1
