"""Pages for what goes wrong: in the look of the others, with a way on, whatever the fault is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.template.loader import get_template
from django.test import Client
from django.urls import path
from django.views.defaults import bad_request, permission_denied

from project import urls as project_urls
from tests.database.web.test_pages import rejected_video

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

pytestmark = pytest.mark.django_db


def crash(_request: HttpRequest) -> None:
    message = "a fault of the code"
    raise RuntimeError(message)


urlpatterns = [
    *project_urls.urlpatterns,
    path("400/", lambda request: bad_request(request, ValueError())),
    path("403/", lambda request: permission_denied(request, PermissionError())),
    path("500/", crash),
]


@pytest.fixture
def people(client: Client, admin_user: User, settings: Settings) -> dict[str, Client]:
    settings.ROOT_URLCONF = __name__
    client.force_login(admin_user)
    return {"staff": client, "visitor": Client()}


@pytest.mark.parametrize(
    ("address", "status", "heading"),
    [
        ("/400/", 400, "Request not understood"),
        ("/403/", 403, "Not allowed"),
        ("/nothing/", 404, "Page not found"),
        ("/share/nothing/", 404, "Page not found"),
    ],
)
def test_error_page_has_the_sites_look_and_a_way_on_when_a_request_fails(
    people: dict[str, Client], address: str, status: int, heading: str
) -> None:
    for browser in people.values():
        response = browser.get(address)
        page = response.content.decode()
        assert response.status_code == status
        assert f"<h1>{heading}</h1>" in page
        assert 'href="/static/batchreel/site.css"' in page
        assert '<a class="button" href="/">All videos</a>' in page


def test_server_error_page_needs_no_query_session_or_context_processor_when_the_code_fails(
    people: dict[str, Client], django_assert_num_queries: DjangoAssertNumQueries, settings: Settings
) -> None:
    visitor = people["visitor"]
    visitor.raise_request_exception = False
    with django_assert_num_queries(0):
        response = visitor.get("/500/", headers={"Accept-Language": "en"})
    assert response.status_code == 500
    assert "<h1>Something went wrong</h1>" in response.content.decode()
    assert get_template("500.html").render() == response.content.decode()


def test_missing_page_becomes_a_server_error_page_when_the_database_is_unreachable(people: dict[str, Client]) -> None:
    browser = people["staff"]
    browser.raise_request_exception = False
    with connection.execute_wrapper(fail):
        response = browser.get("/nothing/")
    assert response.status_code == 500
    assert "<h1>Something went wrong</h1>" in response.content.decode()


def fail(*_arguments: object) -> None:
    message = "unreachable"
    raise RuntimeError(message)


def test_form_with_an_old_token_gets_a_page_that_explains_it_when_it_is_sent(admin_user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    response = browser.post(f"/videos/{rejected_video().pk}/retry/")
    page = response.content.decode()
    assert response.status_code == 403
    assert "<h1>Please send the form again</h1>" in page
    assert "Nothing was changed." in page


def test_login_names_its_error_in_the_fields_when_the_password_is_wrong(client: Client, admin_user: User) -> None:
    page = client.post("/login/", {"username": "admin", "password": "wrong"}).content.decode()
    assert '<div id="login-error" role="alert"><ul class="errors"><li>' in page
    for field in ("username", "password"):
        assert f'aria-describedby="login-error id_{field}_error"' in page
    assert page.count('aria-invalid="true"') == 2
    assert 'value="admin"' in page


def test_header_names_the_person_who_is_signed_in(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    assert "</span> admin</span>" in client.get("/").content.decode()
    admin_user.first_name, admin_user.last_name = "Ada", "<Lovelace>"
    admin_user.save()
    assert "</span> Ada &lt;Lovelace&gt;</span>" in client.get("/").content.decode()
