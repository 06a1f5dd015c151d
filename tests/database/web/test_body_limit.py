"""Large request bodies are refused before anything reads them, because Django would store them on disk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path as url_path

from tasks.conf import bridge_settings
from tasks.views.body_limit import BodyLimitMiddleware, accepts_large_bodies
from tests import factories
from tests.buckets import use_new_bucket

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

LARGE_BYTES = 60 * 1024**2
JSON = {"Accept": "application/json"}


class Unread(io.RawIOBase):
    """A body that has been read if `reads` is above 0."""

    reads = 0

    def readable(self) -> bool:
        return True

    def read(self, _size: int | None = -1, /) -> bytes:
        self.reads += 1
        return b""


def post(browser: Client, path: str, **extra: Any) -> tuple[Any, Unread]:
    """Announce 60 MB, and return the response and the body."""
    body = Unread()
    browser.raise_request_exception = False
    headers = {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": str(LARGE_BYTES), **extra}
    return browser.generic("POST", path, b"", **headers, **{"wsgi.input": body}), body


@pytest.fixture
def visitor() -> Client:
    """Browser that is not signed in and has a CSRF cookie of its own choice."""
    browser = Client(enforce_csrf_checks=True)
    browser.cookies["csrftoken"] = "a" * 32
    return browser


@pytest.fixture
def lecturer() -> Client:
    browser = Client()
    browser.force_login(factories.lecturer())
    return browser


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/upload/", 403, "SIGNED_OUT"),
        ("/login/", 413, "BODY_TOO_LARGE"),
        ("/uploads/", 413, "BODY_TOO_LARGE"),
        ("/admin/login/", 413, "BODY_TOO_LARGE"),
        ("/nothing/", 413, "BODY_TOO_LARGE"),
    ],
)
def test_large_body_is_refused_unread_when_nobody_is_signed_in(
    path: str, status: int, code: str, visitor: Client
) -> None:
    response, body = post(visitor, path, HTTP_ACCEPT="application/json")
    assert (response.status_code, response.json()["code"], body.reads) == (status, code, 0)
    page, body = post(visitor, path, HTTP_ACCEPT="text/html")
    assert (page.status_code, body.reads) == (status, 0)
    assert code in page.content.decode()


def test_large_body_is_refused_unread_when_the_session_cookie_is_invented(visitor: Client) -> None:
    visitor.cookies["sessionid"] = "b" * 32
    response, body = post(visitor, "/upload/")
    assert (response.status_code, body.reads) == (403, 0)


def test_large_body_is_read_when_a_signed_in_user_uploads_to_a_folder(lecturer: Client) -> None:
    response, body = post(lecturer, "/upload/")
    assert (response.status_code, body.reads > 0) == (400, True)
    response, body = post(lecturer, "/uploads/")
    assert (response.status_code, body.reads) == (413, 0)


@pytest.mark.parametrize(("limit_mib", "status", "is_read"), [(58, 413, False), (59, 400, True)])
def test_large_body_is_refused_unread_when_no_file_may_be_so_large(
    limit_mib: int, status: int, is_read: bool, lecturer: Client, settings: Settings
) -> None:
    settings.BATCHREEL = {"upload_limit_bytes": limit_mib * 1024**2}
    response, body = post(lecturer, "/upload/", HTTP_ACCEPT="application/json")
    assert (response.status_code, body.reads > 0) == (status, is_read)


def test_large_body_of_staff_is_refused_unread_when_no_file_may_be_so_large(staff: Client, settings: Settings) -> None:
    settings.BATCHREEL = {"upload_limit_bytes": 58 * 1024**2}
    response, body = post(staff, "/admin/auth/user/add/")
    assert (response.status_code, body.reads) == (413, 0)


@pytest.mark.parametrize(("quota_mib", "status", "is_read"), [(58, 429, False), (59, 400, True)])
def test_form_upload_is_refused_unread_when_its_file_is_above_the_quota(
    quota_mib: int, status: int, is_read: bool, lecturer: Client, settings: Settings
) -> None:
    settings.BATCHREEL = {"owner_stored_bytes": quota_mib * 1024**2}
    response, body = post(lecturer, "/upload/", HTTP_ACCEPT="application/json")
    assert (response.status_code, body.reads > 0) == (status, is_read)
    page, _ = post(lecturer, "/upload/", HTTP_ACCEPT="text/html")
    assert (b"QUOTA_STORED_BYTES" in page.content) is not is_read


@pytest.mark.usefixtures("_own_storage")
def test_form_upload_is_refused_unread_when_the_storage_is_a_bucket(lecturer: Client, settings: Settings) -> None:
    use_new_bucket(settings)
    response, body = post(lecturer, "/upload/", HTTP_ACCEPT="application/json")
    assert (response.status_code, body.reads) == (413, 0)
    assert "directly to the storage" in response.json()["errors"][0]


def test_staff_can_send_large_bodies_when_they_add_files_in_the_admin(staff: Client) -> None:
    response, body = post(staff, "/admin/auth/user/add/")
    assert (response.status_code, body.reads > 0) == (200, True)


def test_body_without_a_length_is_refused_when_it_is_chunked(lecturer: Client) -> None:
    body = Unread()
    headers = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "", "wsgi.input": body}
    response = lecturer.generic("POST", "/upload/", b"", **headers, headers=JSON)
    assert (response.status_code, response.json()["code"], body.reads) == (411, "LENGTH_REQUIRED", 0)


def test_body_is_accepted_when_it_is_as_large_as_the_limit(visitor: Client) -> None:
    limit_bytes = bridge_settings().body_limit_bytes
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    response = visitor.generic("POST", "/login/", b"a" * limit_bytes, **form)
    assert response.status_code == 403, "the CSRF check has read it"
    assert visitor.generic("POST", "/login/", b"a" * (limit_bytes + 1), **form).status_code == 413


def test_view_of_a_site_gets_large_bodies_when_it_asks_for_them(rf: RequestFactory, lecturer_user: User) -> None:
    sizes = []

    @accepts_large_bodies()
    def attach(request: HttpRequest) -> HttpResponse:
        sizes.append(int(request.META["CONTENT_LENGTH"]))
        return HttpResponse()

    middleware = BodyLimitMiddleware(attach)
    assert middleware(large_request(rf, lecturer_user, [("attach/", attach)])).status_code == 200
    assert middleware(large_request(rf, lecturer_user, [("attach/", HttpResponse)])).status_code == 413
    assert sizes == [LARGE_BYTES]


def test_uploads_are_refused_when_too_many_are_being_received(
    rf: RequestFactory, lecturer_user: User, other_user: User, settings: Settings
) -> None:
    settings.BATCHREEL = {"large_bodies_per_process": 1}
    responses: list[Any] = []

    @accepts_large_bodies()
    def attach(_: HttpRequest) -> HttpResponse:
        # Another upload comes while this one is being received.
        if len(responses) == 0:
            responses.append(None)
            responses.append(middleware(large_request(rf, other_user, [("attach/", attach)])))
        return HttpResponse()

    middleware = BodyLimitMiddleware(attach)
    urls = [("attach/", attach)]
    assert middleware(large_request(rf, lecturer_user, urls)).status_code == 200
    assert (responses[1].status_code, responses[1]["Retry-After"]) == (503, "10")
    assert middleware(large_request(rf, lecturer_user, urls)).status_code == 200, "the place is free again"


def test_upload_of_another_user_is_received_when_one_user_sends_as_many_as_possible(
    rf: RequestFactory, lecturer_user: User, other_user: User, settings: Settings
) -> None:
    settings.BATCHREEL = {"large_bodies_per_process": 4}
    statuses: list[int] = []
    senders = [lecturer_user, lecturer_user, other_user]

    @accepts_large_bodies()
    def attach(_: HttpRequest) -> HttpResponse:
        # The next upload comes while this one is being received.
        if senders:
            statuses.append(middleware(large_request(rf, senders.pop(0), urls)).status_code)
            if statuses == [503]:
                attach(_)
        return HttpResponse()

    middleware = BodyLimitMiddleware(attach)
    urls = [("attach/", attach)]
    assert middleware(large_request(rf, lecturer_user, urls)).status_code == 200
    assert statuses == [503, 200, 200], "the third of one user, the first of another one, the second"


@pytest.fixture
def lecturer_user(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_user("attaching")


@pytest.fixture
def other_user(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_user("attaching too")


def large_request(rf: RequestFactory, user: User, urls: list[tuple[str, Any]]) -> HttpRequest:
    request = rf.generic("POST", "/attach/", b"", CONTENT_LENGTH=str(LARGE_BYTES), HTTP_ACCEPT="application/json")
    request.user = user
    request.urlconf = tuple(url_path(place, view) for place, view in urls)
    return request
