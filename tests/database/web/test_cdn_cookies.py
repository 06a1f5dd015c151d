"""Signed cookies and URLs for a CDN, verified with the public key as CloudFront does."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from tasks.checks.web import check_cdn
from tasks.conf import bridge_settings
from tasks.models import Job, Video, Visibility
from tests.factories import published

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = 1_800_000_123.0
UNTIL = 1_800_036_000
"""The multiple of six hours after the next one."""


def pem(key: Any, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def decoded(text: str) -> bytes:
    return b64decode(text.translate(str.maketrans("-_~", "+=/")))


def verified(policy: str, signature: str, key: rsa.RSAPrivateKey = KEY) -> dict[str, Any]:
    """Return the signed policy's statement. Raises InvalidSignature."""
    key.public_key().verify(decoded(signature), decoded(policy), PKCS1v15(), hashes.SHA1())  # noqa: S303 - CloudFront's
    (statement,) = json.loads(decoded(policy))["Statement"]
    return statement


@pytest.fixture(autouse=True)
def _cdn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MEDIA_BASE_URL = "https://media.example.org/videos/"
    settings.CDN_KEY_PAIR_ID = "K2EXAMPLE"
    settings.CDN_PRIVATE_KEY = pem(KEY).replace("\n", "\\n")
    monkeypatch.setattr("tasks.storage.cdn.time.time", lambda: NOW)


@pytest.fixture
def video() -> Video:
    video = published()
    Job.objects.update(poster_key=f"published/{video.pk}/a-job/unit/poster.jpg")
    Video.objects.update(visibility=Visibility.LINK)
    return video


@pytest.mark.parametrize("page", ["/videos/{}/", "/videos/{}/playback/", "/embed/{}/"])
def test_cookies_open_one_publication_until_their_end_when_a_person_may_watch(
    page: str, client: Client, video: Video
) -> None:
    cookies = client.get(page.format(video.pk), secure=True).cookies
    assert set(cookies) == {"CloudFront-Policy", "CloudFront-Signature", "CloudFront-Key-Pair-Id"}
    folder = f"published/{video.pk}/{video.published_job_id}"
    assert verified(cookies["CloudFront-Policy"].value, cookies["CloudFront-Signature"].value) == {
        "Resource": f"https://media.example.org/videos/{folder}/*",
        "Condition": {"DateLessThan": {"AWS:EpochTime": UNTIL}},
    }
    assert cookies["CloudFront-Key-Pair-Id"].value == "K2EXAMPLE"
    for cookie in cookies.values():
        assert (cookie["path"], cookie["domain"]) == (f"/videos/{folder}/", "")
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
        assert cookie["max-age"] == int(UNTIL - NOW)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(InvalidSignature):
        verified(cookies["CloudFront-Policy"].value, cookies["CloudFront-Signature"].value, other)


@pytest.mark.parametrize("page", ["/videos/{}/", "/videos/{}/playback/", "/embed/{}/"])
def test_no_cookies_are_set_when_a_person_may_not_watch(page: str, client: Client, video: Video) -> None:
    Video.objects.update(visibility=Visibility.PRIVATE)
    assert not client.get(page.format(video.pk)).cookies


def test_cookies_have_the_domain_and_work_in_frames_when_the_settings_say(
    client: Client, video: Video, settings: Settings
) -> None:
    settings.BATCHREEL = {"cdn_cookie_domain": ".example.org", "frame_ancestors": ["https://lms.example.com"]}
    for cookie in client.get(f"/embed/{video.pk}/", secure=True).cookies.values():
        assert (cookie["domain"], cookie["samesite"]) == (".example.org", "None; Partitioned")


def test_cookies_are_set_when_the_site_names_its_cdn_in_batchreel(
    client: Client, video: Video, settings: Settings
) -> None:
    settings.BATCHREEL = {
        "media_base_url": settings.MEDIA_BASE_URL,
        "cdn_key_pair_id": settings.CDN_KEY_PAIR_ID,
        "cdn_private_key": settings.CDN_PRIVATE_KEY,
    }
    del settings.MEDIA_BASE_URL, settings.CDN_KEY_PAIR_ID, settings.CDN_PRIVATE_KEY
    assert "CloudFront-Signature" in client.get(f"/videos/{video.pk}/").cookies
    assert check_cdn() == []
    assert "PRIVATE KEY" not in repr(bridge_settings())
    del settings.BATCHREEL["cdn_private_key"]
    settings.BATCHREEL = settings.BATCHREEL.copy()
    assert [each.id for each in check_cdn()] == ["batchreel.E054"]


@pytest.mark.parametrize("missing", ["CDN_KEY_PAIR_ID", "CDN_PRIVATE_KEY", "MEDIA_BASE_URL"])
def test_no_cookies_are_set_when_the_key_is_incomplete(
    missing: str, client: Client, video: Video, settings: Settings
) -> None:
    setattr(settings, missing, "")
    response = client.get(f"/videos/{video.pk}/")
    assert not response.cookies
    assert "data-cookies" not in response.content.decode()
    assert [each.id for each in check_cdn()] == ["batchreel.E054"]


def test_player_fetches_cookies_first_when_the_cdn_requires_them(client: Client, video: Video) -> None:
    page = client.get(f"/videos/{video.pk}/").content.decode()
    assert f'data-cookies="/videos/{video.pk}/playback/"' in page


def test_posters_of_a_list_have_signed_urls_when_the_cdn_requires_cookies(
    staff: Client, video: Video, settings: Settings
) -> None:
    response = staff.get("/")
    (card,) = response.context["cards"]
    url, query = card.poster_url.split("?")
    assert url == f"https://media.example.org/videos/published/{video.pk}/a-job/unit/poster.jpg"
    signed = {name: value for name, (value,) in parse_qs(query).items()}
    assert (signed["Expires"], signed["Key-Pair-Id"]) == (str(UNTIL), "K2EXAMPLE")
    policy = f'{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{UNTIL}}}}}}}]}}'
    KEY.public_key().verify(decoded(signed["Signature"]), policy.encode(), PKCS1v15(), hashes.SHA1())  # noqa: S303 - CloudFront's
    assert set(response.cookies) == {"csrftoken"}, "cookies of many videos would not fit"
    settings.CDN_PRIVATE_KEY = ""
    assert not urlsplit(staff.get("/").context["cards"][0].poster_url).query


@pytest.mark.parametrize(
    "text",
    ["not a key", pem(ec.generate_private_key(ec.SECP256R1())), pem(KEY, b"password"), "-----BEGIN PRIVATE KEY-----"],
    ids=["text", "another kind", "with a password", "cut off"],
)
def test_check_refuses_the_key_when_it_cannot_sign(text: str, settings: Settings) -> None:
    assert check_cdn() == []
    settings.CDN_PRIVATE_KEY = text
    (error,) = check_cdn()
    assert error.id == "batchreel.E055"
    assert text not in str(error)
    settings.CDN_PRIVATE_KEY = settings.CDN_KEY_PAIR_ID = ""
    assert check_cdn() == []
