"""Replacing the file of a video: what is left behind of the older one, and of an upload that was aborted."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError

from tasks.api import uploads
from tasks.models import DirectUpload, Job, Video
from tasks.services.removal.purge import purge
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.replace import begin_replacement
from tasks.storage.bucket import Bucket
from tests.database.api.clients import Store, problem
from tests.database.api.test_uploads_api import BEGIN, own, send
from tests.factories import age, published, uploaded_video

if TYPE_CHECKING:
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

KEY = "0c5b4f1e-replacement"


def sources(store: Store) -> set[str]:
    """Return the keys of all uploads in the bucket."""
    return {each["Key"] for each in store.s3.list_objects_v2(Bucket=store.name, Prefix="sources/").get("Contents", [])}


def replaced(client: APIClient, video: Video) -> Video:
    """Replace the file of the video in one request."""
    file = SimpleUploadedFile("new.mp4", b"a new file")
    assert client.post(f"{own(video)}source/", {"file": file}, format="multipart").status_code == 200
    return Video.objects.get(pk=video.pk)


def test_open_upload_is_returned_when_the_response_to_its_beginning_was_lost(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own(published())

    def begin_and_lose(**arguments: Any) -> None:
        begin_replacement(**arguments)
        message = "the connection was lost after the commit"
        raise OperationalError(message)

    monkeypatch.setattr(uploads, "begin_replacement", begin_and_lose)
    assert problem(client.post(f"{url}upload/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    again = client.post(f"{url}upload/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)
    assert (again.status_code, again.json()["missing"]) == (201, [1, 2])
    assert (DirectUpload.objects.count(), len(bucket.unfinished())) == (1, 1)


def test_assembled_file_is_removed_when_the_upload_was_aborted_meanwhile(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own(published())
    client.post(f"{url}upload/", BEGIN)
    send(client, url)
    before = sources(bucket)
    size_bytes = Bucket.size_bytes

    def size_after_abort(self: Bucket, key: str) -> int | None:
        found = size_bytes(self, key)
        DirectUpload.objects.all().delete()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "size_bytes", size_after_abort)
        assert problem(client.post(f"{url}upload/complete/")) == (410, "UPLOAD_LOST")
    assert sources(bucket) == before


def test_assembled_file_is_removed_when_its_completion_was_killed_and_it_is_aborted(
    client: APIClient, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own(published())
    client.post(f"{url}upload/", BEGIN)
    send(client, url)
    before = sources(bucket)

    def fail(*_: object) -> None:
        message = "the process was killed"
        raise OperationalError(message)

    with monkeypatch.context() as patched:
        patched.setattr("tasks.services.requests.direct_upload._mark_complete", fail)
        assert problem(client.post(f"{url}upload/complete/")) == (503, "UNAVAILABLE")
    assert len(sources(bucket)) == len(before) + 1
    assert client.delete(f"{url}upload/").status_code == 204
    assert sources(bucket) == before
    assert client.get(url).json()["status"] == "READY"


def test_older_file_is_removed_when_what_was_published_from_it_is(client: APIClient) -> None:
    video = published()
    old = str(video.source)
    new = str(published(replaced(client, video)).source)
    purge()
    assert default_storage.exists(old), "its publication is still there"
    age(Job, "superseded_at", seconds=8 * 86400)
    purge()
    assert not default_storage.exists(posixpath.dirname(old))
    assert default_storage.exists(new)


def test_older_file_is_removed_when_its_job_was_cancelled_by_the_replacement(client: APIClient) -> None:
    video = uploaded_video()
    old = str(video.source)
    new = str(replaced(client, video).source)
    purge()
    assert (default_storage.exists(old), default_storage.exists(new)) == (False, True)


def test_file_is_kept_when_its_job_has_ended_and_it_was_not_replaced(client: APIClient) -> None:
    video = uploaded_video()
    cancel_job(job_id=Job.objects.get().pk)
    purge()
    assert Job.objects.get().pruned_at is not None
    assert default_storage.exists(str(video.source))


def test_older_file_is_kept_when_it_is_outside_the_folder_of_uploads(client: APIClient) -> None:
    video = uploaded_video()
    name = default_storage.save(f"sources/{video.pk}/own.mp4", SimpleUploadedFile("own.mp4", b"the site's own"))
    Video.objects.filter(pk=video.pk).update(source=name)
    Job.objects.update(source_name=name)
    replaced(client, Video.objects.get())
    age(Job, "created_at", seconds=10)
    purge()
    assert default_storage.exists(name)
