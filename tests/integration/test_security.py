"""The site as it faces the internet: under gunicorn, with production's settings, behind a proxy that speaks HTTPS for it."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings as django_settings

from project.local.servers.ports import free_port
from project.local.servers.server import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import Settings

HOST = "video.example.org"
BY_PROXY = {"Host": HOST, "X-Forwarded-Proto": "https"}


class Answer(NamedTuple):
    """An answer: its status, its headers (each name's values), its text."""

    status: int
    headers: dict[str, list[str]]
    text: str

    def header(self, name: str) -> str:
        """The one value of a header; empty where there is none."""
        values = self.headers.get(name.lower(), [""])
        assert len(values) == 1, f"{name} came {len(values)} times"
        return values[0]


class Production(NamedTuple):
    """The site of a test, and how it is reached."""

    port: int

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: str = "") -> Answer:
        """One request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            got = connection.getresponse()
            told: dict[str, list[str]] = {}
            for name, value in got.getheaders():
                told.setdefault(name.lower(), []).append(value)
            return Answer(got.status, told, got.read().decode(errors="replace"))
        finally:
            connection.close()


@pytest.fixture
def production(transactional_db: None, program_environment: dict[str, str], tmp_path: object) -> Iterator[Production]:
    port = free_port()
    environment = {
        **program_environment,
        "DEBUG": "off",
        "HTTPS": "on",
        "BEHIND_PROXY": "on",
        "ALLOWED_HOSTS": HOST,
        "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
        "STATIC_ROOT": str(tmp_path),
    }
    site = Production(port)
    web = Service(
        name="gunicorn",
        command=[sys.executable, "-m", "gunicorn", "project.wsgi", "--bind", f"127.0.0.1:{port}"],
        environment=environment,
        folder=django_settings.BASE_DIR,
        log_path=django_settings.MEDIA_ROOT / "gunicorn.log",
    )
    try:
        web.wait_until(lambda: site.ask("GET", "/login/", BY_PROXY), deadline_s=30)
        yield site
    finally:
        web.stop()


def test_every_page_has_the_headers_that_keep_a_browser_from_harm(production: Production) -> None:
    page = production.ask("GET", "/login/", BY_PROXY)
    assert page.status == 200
    assert page.header("Strict-Transport-Security") == "max-age=31536000; includeSubDomains; preload"
    assert page.header("X-Frame-Options") == "DENY"
    assert page.header("X-Content-Type-Options") == "nosniff"
    assert page.header("Referrer-Policy") == "same-origin"
    assert page.header("Cross-Origin-Opener-Policy") == "same-origin"
    policy = dict(part.strip().split(" ", 1) for part in page.header("Content-Security-Policy").split(";"))
    assert (policy["default-src"], policy["object-src"]) == ("'self'", "'none'")
    assert "script-src" not in policy, "scripts are the site's own, and none is inline"
    assert "<script>" not in page.text
    assert "server" not in page.headers or "Python" not in page.header("Server")


_SHOW_PLACES = """
import django
django.setup()
from django.conf import settings
from tasks.storage.bucket import default_bucket
print(default_bucket().url("published/x.mp4"), *settings.MEDIA_ORIGINS)
"""


@pytest.mark.parametrize(
    ("variables", "origin"),
    [
        # By the region's name: AWS redirects from the global one for hours after a bucket was made, and the signature fails there.
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "https://lectures.s3.eu-central-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "https://lectures.s3.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5005"}, "http://127.0.0.1:5005"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.example.org", "AWS_ENDPOINT_URL": "http://x"}, "https://s3.example.org"),
        ({"STORAGE_ENDPOINT_URL": "https://a.r2.example.org", "STORAGE_REGION": "auto"}, "https://a.r2.example.org"),
    ],
    ids=["AWS", "AWS in its oldest region", "local AWS", "S3 elsewhere", "another store"],
)
def test_browsers_may_go_where_signed_addresses_lead(
    variables: dict[str, str], origin: str, program_environment: dict[str, str]
) -> None:
    environment = {name: value for name, value in program_environment.items() if "ENDPOINT" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", _SHOW_PLACES],
        env={**environment, "STORAGE_BUCKET": "lectures", **variables},
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    address, *allowed = ran.stdout.split()
    assert f"{urlsplit(address).scheme}://{urlsplit(address).netloc}" == origin
    assert origin in allowed


def test_plain_http_is_sent_to_https_and_no_cookie_goes_over_it(production: Production) -> None:
    plain = production.ask("GET", "/login/", {"Host": HOST})
    assert (plain.status, plain.header("Location")) == (301, f"https://{HOST}/login/")
    assert "set-cookie" not in plain.headers


@pytest.mark.parametrize("host", ["evil.example", f"{HOST}.evil.example", "127.0.0.1", ""])
def test_another_host_name_is_refused(host: str, production: Production) -> None:
    assert production.ask("GET", "/login/", {**BY_PROXY, "Host": host}).status == 400


def test_cookies_are_for_https_alone_and_hidden_from_scripts(
    production: Production, django_user_model: type[User]
) -> None:
    django_user_model.objects.create_user("lecturer", password="a long sentence")
    page = production.ask("GET", "/login/", BY_PROXY)
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text))
    csrf = page.header("Set-Cookie")
    assert {"Secure", "SameSite=Lax"} <= {part.strip() for part in csrf.split(";")}
    form = urlencode({"username": "lecturer", "password": "a long sentence", "csrfmiddlewaretoken": token})
    sent = {
        **BY_PROXY,
        "Cookie": csrf.partition(";")[0],
        "Content-Type": "application/x-www-form-urlencoded",
        "Referer": f"https://{HOST}/login/",
    }
    answer = production.ask("POST", "/login/", sent, form)
    assert answer.status == 302
    (session,) = [each for each in answer.headers["set-cookie"] if each.startswith("sessionid=")]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in session.split(";")}
    from_elsewhere = {**sent, "Referer": "https://evil.example/"}
    assert production.ask("POST", "/login/", from_elsewhere, form).status == 403
    without_token = urlencode({"username": "lecturer", "password": "a long sentence"})
    assert production.ask("POST", "/login/", sent, without_token).status == 403


def test_nothing_of_the_inside_is_told_when_a_page_does_not_exist(production: Production) -> None:
    missing = production.ask("GET", "/no/such/page", BY_PROXY)
    assert missing.status == 404
    for word in ("Traceback", "urlpatterns", "DEBUG", "tasks."):
        assert word not in missing.text


def test_request_is_refused_when_its_fields_are_larger_than_a_form_can_be(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns of a folder that is not there
    fields = "title=" + "x" * (django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    assert client.post("/login/", fields, content_type="application/x-www-form-urlencoded").status_code == 400


@pytest.mark.parametrize(
    "path", ["/static/../manage.py", "/static/%2e%2e/project/settings.py", "/media/../../etc/passwd"]
)
def test_no_file_of_the_machine_is_served(path: str, production: Production) -> None:
    assert production.ask("GET", urlsplit(path).path, BY_PROXY).status in {302, 400, 403, 404}


def test_deployment_check_is_clean_with_productions_settings(program_environment: dict[str, str]) -> None:
    environment = {**program_environment, "DEBUG": "off", "HTTPS": "on", "ALLOWED_HOSTS": HOST}
    ran = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=django_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "no issues" in ran.stdout
