"""The site as it faces the internet: under gunicorn, with production settings, behind a proxy that terminates HTTPS."""

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
PROXY_HEADERS = {"Host": HOST, "X-Forwarded-Proto": "https"}


class Response(NamedTuple):
    """A response: status, headers (all values by name) and text."""

    status: int
    headers: dict[str, list[str]]
    text: str

    def header(self, name: str) -> str:
        """Return the only value of a header, or "" if it is missing."""
        values = self.headers.get(name.lower(), [""])
        assert len(values) == 1, f"the response has {len(values)} {name} headers"
        return values[0]


class Production(NamedTuple):
    """HTTP client of the site under test."""

    port: int

    def request(self, method: str, path: str, headers: Mapping[str, str], body: str = "") -> Response:
        """Send one request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            response = connection.getresponse()
            values_by_name: dict[str, list[str]] = {}
            for name, value in response.getheaders():
                values_by_name.setdefault(name.lower(), []).append(value)
            return Response(response.status, values_by_name, response.read().decode(errors="replace"))
        finally:
            connection.close()


@pytest.fixture(scope="module")
def production(program_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    port = free_port()
    environment = {
        **program_environment,
        "DEBUG": "off",
        "HTTPS": "on",
        "BEHIND_PROXY": "on",
        "ALLOWED_HOSTS": HOST,
        "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
        "STATIC_ROOT": str(tmp_path_factory.mktemp("static")),
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
        web.wait_until(lambda: site.request("GET", "/login/", PROXY_HEADERS), deadline_s=30)
        yield site
    finally:
        web.stop()


def test_page_has_security_headers_when_it_is_served_in_production(production: Production) -> None:
    page = production.request("GET", "/login/", PROXY_HEADERS)
    assert page.status == 200
    assert page.header("Strict-Transport-Security") == "max-age=31536000; includeSubDomains; preload"
    assert page.header("X-Frame-Options") == "DENY"
    assert page.header("X-Content-Type-Options") == "nosniff"
    assert page.header("Referrer-Policy") == "same-origin"
    assert page.header("Cross-Origin-Opener-Policy") == "same-origin"
    policy = dict(part.strip().split(" ", 1) for part in page.header("Content-Security-Policy").split(";"))
    assert (policy["default-src"], policy["object-src"]) == ("'self'", "'none'")
    assert "script-src" not in policy, "script-src overrides default-src 'self'"
    assert "<script>" not in page.text
    assert "server" not in page.headers or "Python" not in page.header("Server")


_PRINT_ORIGINS = """
import django
django.setup()
from django.conf import settings
from tasks.storage.aliases import sources_bucket
print(sources_bucket().presigned_url("published/x.mp4"), *settings.MEDIA_ORIGINS)
"""


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("variables", "origin"),
    [
        # The regional host name: for hours after a bucket's creation, AWS redirects from the global
        # one, and the signature fails there.
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "https://lectures.s3.eu-central-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "https://lectures.s3.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5005"}, "http://127.0.0.1:5005"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.example.org", "AWS_ENDPOINT_URL": "http://x"}, "https://s3.example.org"),
        ({"STORAGE_ENDPOINT_URL": "https://a.r2.example.org", "STORAGE_REGION": "auto"}, "https://a.r2.example.org"),
    ],
    ids=["AWS", "AWS in us-east-1", "local AWS", "another S3 endpoint", "another storage provider"],
)
def test_media_origins_cover_presigned_urls_when_the_endpoint_varies(
    variables: dict[str, str], origin: str, program_environment: dict[str, str]
) -> None:
    environment = {name: value for name, value in program_environment.items() if "ENDPOINT" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", _PRINT_ORIGINS],
        env={**environment, "STORAGE_BUCKET": "lectures", **variables},
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    url, *allowed = ran.stdout.split()
    assert f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" == origin
    assert origin in allowed


def test_request_is_redirected_without_cookies_when_it_uses_plain_http(production: Production) -> None:
    plain = production.request("GET", "/login/", {"Host": HOST})
    assert (plain.status, plain.header("Location")) == (301, f"https://{HOST}/login/")
    assert "set-cookie" not in plain.headers


@pytest.mark.parametrize("host", ["evil.example", f"{HOST}.evil.example", "127.0.0.1", ""])
def test_request_is_rejected_when_its_host_name_is_not_allowed(host: str, production: Production) -> None:
    assert production.request("GET", "/login/", {**PROXY_HEADERS, "Host": host}).status == 400


@pytest.mark.django_db(transaction=True)
def test_cookies_are_secure_and_http_only_when_a_user_signs_in(
    production: Production, django_user_model: type[User]
) -> None:
    django_user_model.objects.create_user("lecturer", password="a long passphrase")
    page = production.request("GET", "/login/", PROXY_HEADERS)
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text))
    csrf = page.header("Set-Cookie")
    assert {"Secure", "SameSite=Lax"} <= {part.strip() for part in csrf.split(";")}
    form = urlencode({"username": "lecturer", "password": "a long passphrase", "csrfmiddlewaretoken": token})
    sent = {
        **PROXY_HEADERS,
        "Cookie": csrf.partition(";")[0],
        "Content-Type": "application/x-www-form-urlencoded",
        "Referer": f"https://{HOST}/login/",
    }
    response = production.request("POST", "/login/", sent, form)
    assert response.status == 302
    (session,) = [each for each in response.headers["set-cookie"] if each.startswith("sessionid=")]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in session.split(";")}
    other_referer = {**sent, "Referer": "https://evil.example/"}
    assert production.request("POST", "/login/", other_referer, form).status == 403
    without_token = urlencode({"username": "lecturer", "password": "a long passphrase"})
    assert production.request("POST", "/login/", sent, without_token).status == 403


def test_error_page_shows_no_internals_when_a_page_does_not_exist(production: Production) -> None:
    missing = production.request("GET", "/no/such/page", PROXY_HEADERS)
    assert missing.status == 404
    for word in ("Traceback", "urlpatterns", "DEBUG", "tasks."):
        assert word not in missing.text


def test_request_is_rejected_when_its_form_fields_are_too_large(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns about a missing folder
    fields = "title=" + "x" * (django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    assert client.post("/login/", fields, content_type="application/x-www-form-urlencoded").status_code == 413


@pytest.mark.parametrize(
    "path", ["/static/../manage.py", "/static/%2e%2e/project/settings.py", "/media/../../etc/passwd"]
)
def test_local_file_is_not_served_when_a_path_escapes_its_folder(path: str, production: Production) -> None:
    assert production.request("GET", urlsplit(path).path, PROXY_HEADERS).status in {302, 400, 403, 404}


def test_deployment_check_passes_when_production_settings_are_used(program_environment: dict[str, str]) -> None:
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
