"""The API in the reader's language: what people read is translated, codes are not, and no cache mixes languages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.authtoken.models import Token

from tasks.models import Job, Video
from tasks.services.container_api.finish import reject_input
from tasks.transcode import describe_warning
from tasks.transcode.rejections import rejection
from tests.buckets import use_new_bucket
from tests.database.api.clients import PROBLEM, with_token
from tests.database.web.test_languages import LANGUAGES, english_words
from tests.factories import claimed, lecturer, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    user = lecturer()
    user.is_superuser = True
    user.save()
    return with_token(user)


def own(video: Video) -> str:
    """Give the video to the user, and return its URL."""
    Video.objects.filter(pk=video.pk).update(owner=User.objects.get())
    return f"/api/videos/{video.pk}/"


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_reason_is_in_the_readers_language_when_a_job_has_failed(language: str, client: APIClient) -> None:
    video = uploaded_video()
    reject_input(claimed(submitted_attempt(video)), exit_code=3, **rejection("TOO_LONG", hours=13.2, limit_hours=12))
    headers = {"Accept-Language": language}
    shown = client.get(own(video), headers=headers).json()
    (job,) = client.get("/api/jobs/", headers=headers).json()["results"]
    beginning = {"en": "The recording is 13.2", "de": "Die Aufnahme dauert 13,2", "ko": "녹화 길이가 13.2"}[language]
    assert shown["message"].startswith(beginning)
    assert job["message"].startswith(beginning)
    assert (shown["status"], job["reason"], job["state"]) == ("FAILED", "TOO_LONG", "FAILED")


def test_warnings_are_in_the_readers_language_when_a_source_has_some(client: APIClient) -> None:
    url = own(published())
    warning = {**describe_warning("AUDIO_LEFT_OUT track 2 (silent)"), "detail": "track 2 (silent)"}
    Job.objects.update(warnings=[warning])
    (english,) = client.get(url, headers={"Accept-Language": "en"}).json()["warnings"]
    (korean,) = client.get(url, headers={"Accept-Language": "ko"}).json()["warnings"]
    assert english == {"code": "AUDIO_LEFT_OUT", "message": warning["message"]}
    assert korean["code"] == "AUDIO_LEFT_OUT"
    assert korean["message"].startswith("파일의 일부 오디오 트랙이 제외되었습니다: 오디오 트랙 2 (무음).")


def test_etag_is_another_one_when_the_language_is(client: APIClient) -> None:
    url = own(published())
    english, german = (client.get(url, headers={"Accept-Language": each}) for each in ("en", "de"))
    assert english["ETag"] != german["ETag"]
    for response in (english, german):
        assert "Accept-Language" in response["Vary"]
        assert response["Cache-Control"] == "private, no-cache"
    held = {"If-None-Match": english["ETag"]}
    assert client.get(url, headers={**held, "Accept-Language": "en"}).status_code == 304
    assert client.get(url, headers={**held, "Accept-Language": "de"})["Content-Language"] == "de"


def refused(client: APIClient, language: str, settings: Settings) -> list[Any]:
    """Return the responses to wrong requests of all kinds."""
    token = Token.objects.get()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}", HTTP_ACCEPT_LANGUAGE=language)
    url = own(published())
    file = {"file": SimpleUploadedFile("a.mp4", b"")}
    folder = [
        *(client.get("/api/nothing/"), client.get("/api/jobs/?vidoe=1"), client.get("/api/jobs/?video=x")),
        *(client.get("/api/videos/?cursor=x"), client.get("/api/videos/?limit=0"), client.delete("/api/videos/")),
        client.patch(url, "{", content_type="application/json"),
        client.patch(url, "[" * 40 + "]" * 40, content_type="application/json"),
        *(client.patch(url, []), client.patch(url, {"titel": "x"}), client.patch(url, {"title": 5})),
        *(client.patch(url, {"title": "x" * 201}), client.patch(url, {"title": None})),
        *(client.patch(url, {"visibility": "all"}), client.patch(url, {"title": "a"}, HTTP_IF_MATCH='"old"')),
        *(client.post("/api/videos/", {}), client.post(f"{url}upload/", {}), client.post(f"{url}retry/")),
        *(client.post("/api/videos/file/", file, format="multipart"), client.post("/api/videos/file/", {"a": 1})),
        *(client.post(f"{url}share-links/", {"days": 0}), client.post(f"{url}share-links/", {"days": 10**6})),
        client.post(f"{url}share-links/", {"days": 1}, HTTP_IDEMPOTENCY_KEY="a b"),
        client.post(f"/api/jobs/{Job.objects.get().pk}/cancel/"),
        *(client.post("/api/webhooks/", {"url": each}) for each in ("x", "ftp://a.example/", "https://10.0.0.1/")),
    ]
    use_new_bucket(settings)
    begin = {"name": "a.mp4", "size_bytes": 9}
    assert client.post(f"{url}upload/", begin).status_code == 201
    in_parts = [
        *(client.post(f"{url}upload/", begin), client.post(f"{url}upload/urls/", {"numbers": [2]})),
        *(client.post(f"{url}upload/urls/", {"numbers": []}), client.post(f"{url}upload/complete/")),
        *(client.post("/api/videos/", {**begin, "type": "\n"}), client.post("/api/videos/", {**begin, "name": ""})),
    ]
    client.credentials(HTTP_ACCEPT_LANGUAGE=language)
    return [*folder, *in_parts, client.get("/api/videos/")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_problems_have_no_english_left_when_requests_are_refused(
    language: str, client: APIClient, settings: Settings
) -> None:
    for response in refused(client, language, settings):
        assert response["Content-Type"] == PROBLEM, response.content
        body = response.json()
        texts = [body["detail"], *(each["message"] for each in body.get("errors", []))]
        # The words of Python's parser, and names of the API and of HTTP.
        text = re.sub(r"JSON: .*|`\w+`|[\w/]+/|https?://|\"[A-Z]+\"", "", " ".join(texts))
        assert english_words(text) == [], json.dumps(body)
        assert language != "ko" or re.search("[가-힣]", text), text
