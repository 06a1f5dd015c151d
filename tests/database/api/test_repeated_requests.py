"""Idempotency-Key: a request that is repeated, at once or later, creates one thing and gets one response."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.db.models import F

from tasks.api import sharing, uploads, videos, webhooks
from tasks.models import DirectUpload, IdempotencyKey, Job, ShareLink, Video, WebhookEndpoint
from tasks.services.delivery.endpoints import add_endpoint, signing_secrets
from tasks.services.removal.purge import purge
from tasks.services.requests.direct_upload import begin_direct_upload
from tasks.services.requests.replace import replace_source
from tasks.services.requests.share import create_share_link
from tasks.views.upload import store_upload
from tests.buckets import use_new_bucket
from tests.database.api.clients import problem, with_token
from tests.factories import lecturer, published

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

BEGIN = {"name": "lecture.mp4", "size_bytes": 9, "visibility": "signed-in"}
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.fixture
def client() -> APIClient:
    client = with_token(lecturer())
    rights = Permission.objects.filter(codename__in=["add_webhookendpoint", "change_video"])
    User.objects.get().user_permissions.add(*rights)
    return client


def test_upload_begins_once_when_the_request_is_repeated(client: APIClient, settings: Settings) -> None:
    use_new_bucket(settings)
    first = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)
    again = client.post("/api/videos/", dict(reversed(BEGIN.items())), HTTP_IDEMPOTENCY_KEY=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"] == f"/api/videos/{first.json()['video']}/"
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert (Video.objects.count(), DirectUpload.objects.count()) == (1, 1)
    assert Video.objects.get().visibility == "signed-in"


def test_file_is_stored_once_when_the_request_is_repeated(client: APIClient) -> None:
    def send(content: bytes) -> Any:
        file = SimpleUploadedFile("lecture.mp4", content)
        return client.post("/api/videos/file/", {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY=KEY)

    first, again = send(b"the same"), send(b"the same")
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again["ETag"] == first["ETag"]
    assert problem(send(b"not same")) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Video.objects.count() == 1


def test_secret_is_the_same_and_stored_encrypted_when_a_webhook_is_created_again(client: APIClient) -> None:
    body = {"url": "https://hooks.example.org/a"}
    first = client.post("/api/webhooks/", body, HTTP_IDEMPOTENCY_KEY=KEY)
    again = client.post("/api/webhooks/", body, HTTP_IDEMPOTENCY_KEY=KEY)
    assert first.status_code == 201
    assert again.json() == first.json()
    assert WebhookEndpoint.objects.count() == 1
    row = IdempotencyKey.objects.get()
    assert first.json()["secret"].startswith("whsec_")
    assert first.json()["secret"] not in row.response
    assert "hooks.example.org" not in row.response


def test_key_is_refused_when_it_was_used_for_another_request(client: APIClient, settings: Settings) -> None:
    use_new_bucket(settings)
    assert client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 201
    for path, body in (("/api/videos/", {**BEGIN, "size_bytes": 8}), ("/api/webhooks/", {"url": "https://a.example"})):
        response = client.post(path, body, HTTP_IDEMPOTENCY_KEY=KEY)
        assert problem(response) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Video.objects.count() == 1
    other = with_token(lecturer("other"))
    assert other.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "a" * 256])
def test_key_is_refused_when_it_is_no_text_of_its_length(key: str, client: APIClient, settings: Settings) -> None:
    use_new_bucket(settings)
    response = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=key)
    assert problem(response) == (400, "INVALID")
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
    assert not Video.objects.exists()


def test_request_can_be_repeated_when_the_first_one_was_refused(client: APIClient, settings: Settings) -> None:
    use_new_bucket(settings)
    settings.BATCHREEL = {**settings.BATCHREEL, "owner_open_uploads": 1}
    assert client.post("/api/videos/", BEGIN).status_code == 201
    response = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)
    assert problem(response) == (429, "QUOTA_OPEN_UPLOADS")
    settings.BATCHREEL = {**settings.BATCHREEL, "owner_open_uploads": 2}
    assert client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 201


def test_nothing_is_created_twice_when_the_response_was_lost_after_the_commit(
    client: APIClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_new_bucket(settings)

    def begin_and_lose(**arguments: Any) -> None:
        begin(**arguments)
        message = "the connection was lost after the commit"
        raise OperationalError(message)

    begin = begin_direct_upload
    monkeypatch.setattr(videos, "begin_direct_upload", begin_and_lose)
    response = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)
    assert problem(response) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    again = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)
    assert again.status_code == 201
    assert again.json()["video"] == str(Video.objects.get().pk)


def test_file_is_not_stored_twice_when_the_response_was_lost_after_the_commit(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store_and_lose(**arguments: Any) -> None:
        store(**arguments)
        message = "the connection was lost after the commit"
        raise OperationalError(message)

    def send() -> Any:
        file = SimpleUploadedFile("lecture.mp4", b"the same")
        return client.post("/api/videos/file/", {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY=KEY)

    store = store_upload
    monkeypatch.setattr(videos, "store_upload", store_and_lose)
    assert problem(send()) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    assert send().json()["id"] == str(Video.objects.get().pk)


def test_endpoint_is_rolled_back_when_its_response_cannot_be_stored(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(columns: Any) -> None:
        add(columns)
        message = "the connection was lost"
        raise OperationalError(message)

    add = add_endpoint
    monkeypatch.setattr(webhooks, "add_endpoint", lose)
    body = {"url": "https://hooks.example.org/a"}
    assert problem(client.post("/api/webhooks/", body, HTTP_IDEMPOTENCY_KEY=KEY)) == (503, "UNAVAILABLE")
    assert not WebhookEndpoint.objects.exists()
    monkeypatch.undo()
    assert client.post("/api/webhooks/", body, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 201


def test_request_runs_again_when_the_process_of_the_first_one_was_killed(
    client: APIClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_new_bucket(settings)
    monkeypatch.setattr("tasks.api.protocol.once.release_key", lambda _: None)
    monkeypatch.setattr("tasks.api.protocol.once.store_response", lambda *_: None)
    first = client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY).json()["video"]
    monkeypatch.undo()
    assert problem(client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY)) == (409, "IDEMPOTENCY_KEY_IN_PROGRESS")
    IdempotencyKey.objects.update(claimed_at=F("claimed_at") - timedelta(minutes=11))
    assert client.post("/api/videos/", BEGIN, HTTP_IDEMPOTENCY_KEY=KEY).json()["video"] == first
    assert Video.objects.count() == 1


@pytest.mark.parametrize("body", [[1], "text", None, 1, {"a": [{"b": None}]}])
def test_key_is_accepted_when_an_operation_reads_no_body_and_one_is_sent(body: Any, client: APIClient) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())
    response = client.post(f"/api/videos/{video.pk}/retry/", body, HTTP_IDEMPOTENCY_KEY=KEY)
    assert problem(response) == (409, "RETRY_NOT_OFFERED")


def test_secret_is_rotated_once_when_the_request_is_repeated(client: APIClient) -> None:
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_webhookendpoint"))
    client = with_token(User.objects.get())
    endpoint = client.post("/api/webhooks/", {"url": "https://hooks.example.org/a"}).json()
    url = f"/api/webhooks/{endpoint['id']}/secret/"
    first, again = (client.post(url, HTTP_IDEMPOTENCY_KEY=KEY).json()["secret"] for _ in range(2))
    # A third secret would end the one that receivers have.
    assert again == first
    assert signing_secrets(WebhookEndpoint.objects.get()) == [first, endpoint["secret"]]


def test_kept_response_names_its_language_when_a_later_request_is_in_another(client: APIClient) -> None:
    def send(language: str) -> Any:
        headers = {"Accept-Language": language, "Idempotency-Key": KEY}
        file = SimpleUploadedFile("lecture.mp4", b"the same")
        return client.post("/api/videos/file/", {"file": file}, format="multipart", headers=headers)

    first, again = send("de"), send("ko")
    assert first.json()["message"] == again.json()["message"] == "Das Video wartet auf die Verarbeitung."
    assert first["Content-Language"] == again["Content-Language"] == "de"


def test_keys_expire_when_their_retention_is_over(client: APIClient) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())
    url = f"/api/videos/{video.pk}/share-links/"
    for key in ("old", "young"):
        assert client.post(url, {"days": 1}, HTTP_IDEMPOTENCY_KEY=key).status_code == 201
    IdempotencyKey.objects.filter(key="old").update(created_at=F("created_at") - timedelta(days=1, minutes=1))
    purge()
    assert [each.key for each in IdempotencyKey.objects.all()] == ["young"]


@pytest.mark.django_db(transaction=True)
def test_one_link_is_created_when_two_requests_with_a_key_run_at_once(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())
    url = f"/api/videos/{video.pk}/share-links/"
    other = with_token(User.objects.get())
    reached, may_continue = threading.Event(), threading.Event()
    create = create_share_link

    def slow(**arguments: Any) -> ShareLink:
        reached.set()
        assert may_continue.wait(60)
        return create(**arguments)

    monkeypatch.setattr(sharing, "create_share_link", slow)

    def send(sender: APIClient) -> Any:
        try:
            return sender.post(url, {"days": 1}, HTTP_IDEMPOTENCY_KEY=KEY)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(send, client)
        assert reached.wait(60)
        second = threads.submit(send, other).result(60)
        may_continue.set()
        created = first.result(60)
    assert problem(second) == (409, "IDEMPOTENCY_KEY_IN_PROGRESS")
    assert created.status_code == 201
    assert send(other).json() == created.json()
    assert ShareLink.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_of_many_requests_creates_when_they_begin_at_once(client: APIClient) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())
    url = f"/api/videos/{video.pk}/share-links/"
    senders = [with_token(User.objects.get()) for _ in range(4)]
    together = threading.Barrier(4)

    def send(sender: APIClient) -> Any:
        together.wait(60)
        try:
            return sender.post(url, {"days": 1}, HTTP_IDEMPOTENCY_KEY=KEY)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        responses = list(threads.map(send, senders))
    assert {each.status_code for each in responses} <= {201, 409}
    assert len({each.json()["id"] for each in responses if each.status_code == 201}) == 1
    assert ShareLink.objects.count() == 1


def test_replacement_begins_once_when_the_request_is_repeated(client: APIClient, settings: Settings) -> None:
    use_new_bucket(settings)
    video = published()
    Video.objects.update(owner=User.objects.get())
    url = f"/api/videos/{video.pk}/upload/"
    body = {"name": "new.mp4", "size_bytes": 9}
    first, again = (client.post(url, body, HTTP_IDEMPOTENCY_KEY=KEY) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    assert DirectUpload.objects.count() == 1


def test_file_is_replaced_once_when_the_request_is_repeated(client: APIClient) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())

    def send() -> Any:
        file = SimpleUploadedFile("new.mp4", b"a new file")
        url = f"/api/videos/{video.pk}/source/"
        return client.post(url, {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY=KEY)

    first, again = send(), send()
    assert (first.status_code, again.json(), again["Idempotency-Replayed"]) == (200, first.json(), "true")
    assert Job.objects.count() == 2


def test_file_is_not_replaced_twice_when_the_response_was_lost_after_the_commit(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = published()
    Video.objects.update(owner=User.objects.get())

    def replace_and_lose(**arguments: Any) -> None:
        replace_source(**arguments)
        message = "the connection was lost after the commit"
        raise OperationalError(message)

    def send() -> Any:
        file = SimpleUploadedFile("new.mp4", b"a new file")
        url = f"/api/videos/{video.pk}/source/"
        return client.post(url, {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY=KEY)

    monkeypatch.setattr(uploads, "replace_source", replace_and_lose)
    assert problem(send()) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    source = Video.objects.get().source
    assert send().json()["status"] == "UPDATING"
    assert (Video.objects.get().source, Job.objects.count()) == (source, 2)
