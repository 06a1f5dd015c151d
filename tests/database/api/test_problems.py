"""Errors of the API are problems with stable codes, whatever is wrong with a request."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client
from django.test.client import FakePayload
from rest_framework.test import APIClient

from tasks.api import videos
from tasks.models import Video
from tests.database.api.clients import PROBLEM, problem, with_token
from tests.factories import lecturer, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

LIST = "/api/videos/"


@pytest.mark.parametrize(
    "path", ["", "nothing/", "videos", "videos/x/", f"videos/{'0' * 8}/", "webhooks/1", "%00", "videos/../x"]
)
def test_unknown_path_is_a_problem_when_someone_mistypes_it(path: str, client: APIClient) -> None:
    assert problem(client.get(f"/api/{path}")) == (404, "NOT_FOUND")
    assert problem(client.post(f"/api/{path}", {})) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[1", b"\xff\xfe", b'{"title": NaN}', b'{"title": Infinity}', b'{"title": 1e999}', b"{}x"),
        b'{"title": "a", "title": "b"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"title": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"title": ' + b"9" * 5000 + b"}",
    ],
    ids=range(12),
)
def test_body_is_a_problem_when_it_is_no_plain_json(body: bytes, client: APIClient) -> None:
    video = uploaded_video()
    Video.objects.update(owner=User.objects.get())
    response = client.patch(f"/api/videos/{video.pk}/", body, content_type="application/json")
    assert problem(response) == (400, "PARSE_ERROR")


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_body_is_a_problem_when_it_is_no_object(body: Any, client: APIClient) -> None:
    video = uploaded_video()
    Video.objects.update(owner=User.objects.get())
    response = client.patch(f"/api/videos/{video.pk}/", json.dumps(body), content_type="application/json")
    assert problem(response) == (400, "INVALID")
    assert [each["field"] for each in response.json()["errors"]] == [""]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"title": 5}, ["title"]),
        ({"title": None}, ["title"]),
        ({"title": "a" * 201}, ["title"]),
        ({"title": "a\0b"}, ["title"]),
        ({"title": "\ud800"}, ["title"]),
        ({"visibility": "everyone"}, ["visibility"]),
        ({"visibilty": "link"}, ["visibilty"]),
        ({"owner": 1, "id": 2}, ["id", "owner"]),
    ],
)
def test_fields_are_named_when_they_are_not_valid(body: dict[str, Any], fields: list[str], client: APIClient) -> None:
    video = uploaded_video()
    Video.objects.update(owner=User.objects.get())
    response = client.patch(f"/api/videos/{video.pk}/", json.dumps(body), content_type="application/json")
    assert problem(response) == (400, "INVALID")
    assert [each["field"] for each in response.json()["errors"]] == fields
    assert Video.objects.get().title == video.title


@pytest.mark.parametrize(("name", "sent"), [("visibility", ""), ("title", ["one", "two"])])
def test_field_of_a_form_is_named_when_it_is_empty_or_sent_twice(name: str, sent: Any, client: APIClient) -> None:
    form = {"file": SimpleUploadedFile("a.mp4", b"a"), name: sent}
    response = client.post("/api/videos/file/", form, format="multipart")
    assert problem(response) == (400, "INVALID")
    assert [each["field"] for each in response.json()["errors"]] == [name]


@pytest.mark.parametrize("query", ["vidoe=1", "format=xml", "=1", "limit=5&offset=3"])
def test_parameter_is_refused_when_the_operation_has_none_of_that_name(query: str, client: APIClient) -> None:
    assert problem(client.get(f"/api/jobs/?{query}")) == (400, "INVALID")


def test_body_is_refused_unread_when_it_is_too_large(client: APIClient, settings: Settings) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "body_limit_bytes": 1000}
    video = uploaded_video()
    Video.objects.update(owner=User.objects.get())
    response = client.patch(f"/api/videos/{video.pk}/", {"title": "a" * 1000})
    assert problem(response) == (413, "BODY_TOO_LARGE")
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "body_limit" not in each]
    response = client.patch(f"/api/videos/{video.pk}/", {"title": "a" * 1000})
    assert problem(response) == (413, "BODY_TOO_LARGE")


def test_method_and_type_are_problems_when_they_are_wrong(client: APIClient) -> None:
    assert problem(client.delete(LIST)) == (405, "METHOD_NOT_ALLOWED")
    assert problem(client.options(LIST)) == (405, "METHOD_NOT_ALLOWED")
    assert problem(client.post(LIST, "<a/>", content_type="text/xml")) == (409, "OTHER_WAY_OF_UPLOAD")
    assert problem(client.post("/api/videos/file/", {"a": 1})) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert problem(client.post("/api/videos/file/", b"no form", content_type="multipart/form-data")) == (
        400,
        "PARSE_ERROR",
    )


def test_account_is_a_problem_when_its_token_is_wrong_or_it_is_not_active(client: APIClient) -> None:
    assert problem(APIClient().get(LIST, HTTP_AUTHORIZATION="Token wrong")) == (401, "AUTHENTICATION_FAILED")
    User.objects.update(is_active=False)
    assert problem(client.get(LIST)) == (401, "AUTHENTICATION_FAILED")


def test_session_needs_the_csrf_token_when_it_changes_something(client: APIClient) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get())
    assert browser.get(LIST).status_code == 200
    response = browser.post("/api/videos/file/", {"file": SimpleUploadedFile("a.mp4", b"a")})
    assert problem(response) == (403, "PERMISSION_DENIED")
    assert not Video.objects.exists()


def test_outage_of_the_database_is_503_when_a_request_needs_it(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "the connection is closed"
        raise OperationalError(message)

    monkeypatch.setattr(videos, "videos_for", fail)
    response = client.get(LIST)
    assert problem(response) == (503, "UNAVAILABLE")
    assert response["Retry-After"] == "5"


def test_fault_of_the_code_is_500_without_details_when_it_is_not_expected(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        message = "a secret"
        raise RuntimeError(message)

    monkeypatch.setattr(videos, "videos_for", fail)
    client.raise_request_exception = False
    response = client.get(LIST)
    assert problem(response) == (500, "INTERNAL")
    assert b"secret" not in response.content
    assert any(record.exc_info and "API_FAILED" in record.message for record in caplog.records)


def test_nothing_is_reported_as_a_fault_when_a_client_leaves_while_it_sends_a_file(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(*_: object) -> bytes:
        message = "the client has gone"
        raise OSError(message)

    monkeypatch.setattr(FakePayload, "read", leave)
    response = client.post("/api/videos/file/", {"file": SimpleUploadedFile("a.mp4", b"a")}, format="multipart")
    assert problem(response) == (400, "INVALID")
    assert "API_FAILED" not in caplog.text


def test_requests_are_refused_when_a_user_sends_too_many(client: APIClient, settings: Settings) -> None:
    cache.clear()
    settings.BATCHREEL = {**settings.BATCHREEL, "api_throttle_per_minute": 2}
    other = with_token(lecturer("other"))
    assert [client.get(LIST).status_code for _ in range(3)] == [200, 200, 429]
    response = client.get(LIST)
    assert problem(response) == (429, "THROTTLED")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert other.get(LIST).status_code == 200


def test_requests_are_answered_when_the_cache_is_down(
    client: APIClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"socket_connect_timeout": 1},
        }
    }
    with caplog.at_level(logging.WARNING):
        assert client.get(LIST).status_code == 200
    assert "API_THROTTLE_OFF" in caplog.text


def test_responses_are_the_same_when_the_site_has_other_settings_of_rest_framework(
    client: APIClient, settings: Settings
) -> None:
    url = f"/api/videos/{'0' * 8}-0000-4000-8000-000000000000/"
    before = [client.get(LIST).content, client.get(url).content]
    settings.REST_FRAMEWORK = {
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
        "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.coreapi.AutoSchema",
        "EXCEPTION_HANDLER": "tests.database.api.test_problems.no_handler",
        "PAGE_SIZE": 1,
        "UNICODE_JSON": False,
        "COMPACT_JSON": False,
        "DATETIME_FORMAT": "%d.%m.%Y",
    }
    after = [client.get(LIST, HTTP_ACCEPT="text/html").content, client.get(url, HTTP_ACCEPT="text/xml").content]
    assert after == before


def no_handler(*_: object) -> None:
    """Fail: it is the site's own, and not for our views."""
    raise AssertionError


def test_site_decides_how_people_sign_in_when_it_has_the_setting(client: APIClient, settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"]}
    User.objects.get().set_password("secret")
    response = client.get(LIST)
    assert problem(response) == (401, "NOT_AUTHENTICATED")
    assert response["WWW-Authenticate"].startswith("Basic")
    assert response["Content-Type"] == PROBLEM


def test_times_are_utc_when_the_site_has_another_time_zone_or_none(client: APIClient, settings: Settings) -> None:
    video = uploaded_video()
    Video.objects.update(owner=User.objects.get())
    expected = video.created_at.isoformat().replace("+00:00", "Z")
    for use_tz in (True, False):
        settings.TIME_ZONE, settings.USE_TZ = "Asia/Seoul", use_tz
        assert client.get(f"/api/videos/{video.pk}/").json()["created_at"] == expected
