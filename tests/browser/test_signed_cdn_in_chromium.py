"""Playback from a CDN that requires signed cookies, which it verifies as CloudFront does."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from fnmatch import fnmatchcase
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from project.local.servers.ports import free_port
from tests.browser.browsing import PLAYER
from tests.browser.conftest import browsing_on, gunicorn
from tests.browser.range_server import serve_folders
from tests.browser.test_pages_in_chromium import CLIP_S, make_clip, play_to_the_end, run_container, upload

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def decoded(text: str) -> bytes:
    return b64decode(text.translate(str.maketrans("-_~", "+=/")))


def is_signed(path: str, cookies: str) -> bool:
    """Return whether a policy in the cookies is signed, has not expired, and covers the path."""
    sent = {name: morsel.value for name, morsel in SimpleCookie(cookies).items()}
    if sent.get("CloudFront-Key-Pair-Id") != "K2EXAMPLE":
        return False
    policy = decoded(sent["CloudFront-Policy"])
    try:
        KEY.public_key().verify(decoded(sent["CloudFront-Signature"]), policy, PKCS1v15(), hashes.SHA1())  # noqa: S303 - CloudFront's
    except InvalidSignature:
        return False
    (statement,) = json.loads(policy)["Statement"]
    in_time = statement["Condition"]["DateLessThan"]["AWS:EpochTime"] > time.time()
    return in_time and fnmatchcase(path, urlsplit(statement["Resource"]).path)


@pytest.mark.long
def test_video_plays_from_the_cdn_when_it_requires_signed_cookies(
    *,
    chromium: str,
    admin_user: User,
    program_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    url = f"http://127.0.0.1:{free_port()}"
    requested: list[tuple[str, bool]] = []

    def admits(path: str, cookies: str) -> bool:
        plain = urlsplit(path).path
        # Posters have signed URLs, which tests/database/web/test_cdn_cookies.py verifies.
        is_admitted = is_signed(plain, cookies) or (plain.endswith(".jpg") and "Signature=" in path)
        requested.append((plain, is_admitted))
        return is_admitted

    folders = {"/published/": Path(program_environment["MEDIA_ROOT"], "published")}
    cors = {"Access-Control-Allow-Origin": url, "Access-Control-Allow-Credentials": "true"}
    with serve_folders(folders, admits=admits, extra_headers=cors) as cdn:
        site = {"SITE_URL": url, "MEDIA_BASE_URL": cdn, "CDN_KEY_PAIR_ID": "K2EXAMPLE", "CDN_PRIVATE_KEY": PEM}
        with (
            gunicorn({**program_environment, **site}, tmp_path),
            browsing_on(url, chromium=chromium, user=admin_user) as browsing,
        ):
            video = upload(browsing, make_clip(tmp_path / "a lecture.mp4", size="320x240", duration_s=CLIP_S))
            run_container(video, program_environment)
            browsing.page.reload()
            browsing.problems.clear()
            play_to_the_end(browsing)
            (playlist,) = {browsing.page.get_attribute(PLAYER, "data-playlist")}
            assert playlist.startswith(f"{cdn}/published/{video.pk}/")
            assert {Path(path).suffix for path, _ in requested} >= {".m3u8", ".mp4"}
            assert [path for path, is_admitted in requested if not is_admitted] == []
            with pytest.raises(HTTPError, match="403"):
                urlopen(playlist)  # noqa: S310 - our own URL
