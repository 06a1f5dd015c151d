"""Share links and who may watch: how an owner sets them, and what a link gives away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core import signing
from django.db.models.functions import Now
from django.test import Client

from tasks.models import Event, ShareLink, Video
from tasks.selectors.share_links import link_id, token_of
from tasks.services.removal.purge import purge_deleted
from tasks.services.requests.share import create_share_link
from tasks.views.cookies import SHARE_COOKIE
from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def video() -> Video:
    return published()


def shared(video: Video) -> str:
    """Return the path of a new share link of the video."""
    return f"/share/{token_of(create_share_link(video_id=video.pk, days=1))}/"


def test_owner_sets_visibility_and_expiry_when_the_forms_are_sent(staff: Client, video: Video) -> None:
    page = f"/videos/{video.pk}/"
    staff.post(f"{page}visibility/", {"visibility": "signed-in"})
    assert Video.objects.get().visibility == "signed-in"
    staff.post(f"{page}share-links/", {"days": "7"})
    link = ShareLink.objects.get()
    assert timedelta(days=7) - timedelta(minutes=5) < link.expires_at - link.created_at <= timedelta(days=7, minutes=5)
    shown = staff.get(page).content.decode()
    assert f'value="http://testserver/share/{token_of(link)}/"' in shown
    assert "Who may watch: <strong>Everyone who is signed in</strong>" in shown
    staff.post(f"{page}share-links/{link.pk}/revoke/")
    assert not ShareLink.objects.exists()
    assert list(
        Event.objects.filter(kind__in=["video.visibility", "share.create", "share.revoke"]).values_list("kind", "text")
    )[::-1] == [
        ("video.visibility", "private → signed-in"),
        ("share.create", "valid for 7 days"),
        ("share.revoke", ""),
    ]


@pytest.mark.parametrize("days", ["0", "-1", "367", "", "a week", "99999999999"])
def test_share_link_is_refused_when_its_validity_is_not_allowed(days: str, staff: Client, video: Video) -> None:
    page = staff.post(f"/videos/{video.pk}/share-links/", {"days": days}, follow=True).content.decode()
    assert "A share link is valid for 1 to 366 days." in page
    assert not ShareLink.objects.exists()


@pytest.mark.parametrize("visibility", ["", "public", "PRIVATE"])
def test_visibility_stays_when_the_form_has_another_one(visibility: str, staff: Client, video: Video) -> None:
    staff.post(f"/videos/{video.pk}/visibility/", {"visibility": visibility})
    assert Video.objects.get().visibility == "private"


def test_link_of_another_video_is_not_revoked_when_its_id_is_sent(staff: Client, video: Video) -> None:
    other = create_share_link(video_id=published().pk, days=1)
    assert staff.post(f"/videos/{video.pk}/share-links/{other.pk}/revoke/").status_code == 404
    assert ShareLink.objects.count() == 1


def test_links_of_a_video_are_limited_when_many_are_made(staff: Client, video: Video, settings: Settings) -> None:
    settings.BATCHREEL = {"share_links_per_video": 2}
    for _ in range(3):
        page = staff.post(f"/videos/{video.pk}/share-links/", {"days": "1"}, follow=True).content.decode()
    assert "A video can have 2 share links. Revoke one first." in page
    assert ShareLink.objects.count() == 2
    ShareLink.objects.update(expires_at=Now() - timedelta(seconds=1))
    staff.post(f"/videos/{video.pk}/share-links/", {"days": "1"})
    assert ShareLink.objects.count() == 1, "expired ones are removed"


def test_link_opens_one_video_only_when_it_is_used(client: Client, video: Video) -> None:
    other = published()
    assert client.get(shared(video), follow=True).status_code == 200
    assert client.get(f"/videos/{other.pk}/")["Location"] == f"/login/?next=/videos/{other.pk}/"
    assert client.get(f"/videos/{other.pk}/playback/").status_code == 404


def test_browser_keeps_several_links_when_they_are_opened_one_after_the_other(client: Client, video: Video) -> None:
    other = published()
    for each in (video, other):
        client.get(shared(each))
    for each in (video, other):
        assert client.get(f"/videos/{each.pk}/").status_code == 200
    for _ in range(25):
        client.get(shared(other))
    assert len(client.cookies[SHARE_COOKIE].value) < 1400, "a cookie may have 4096 bytes"
    assert client.get(f"/videos/{video.pk}/").status_code == 302, "the oldest links make room"


def test_address_of_the_page_and_its_referer_reveal_nothing_when_a_link_is_opened(client: Client, video: Video) -> None:
    response = client.get(shared(video))
    assert (response.status_code, response["Location"]) == (302, f"/videos/{video.pk}/")
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Cache-Control"] == "no-store"
    cookie = response.cookies[SHARE_COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    page = client.get(response["Location"])
    assert cookie.value not in page.content.decode()
    assert "Cookie" in page["Vary"]


def test_link_opens_nothing_when_its_signature_is_not_the_sites(client: Client, video: Video) -> None:
    link = create_share_link(video_id=video.pk, days=1)
    token = token_of(link)
    bare = token.partition(".")[0]
    forged = [bare, f"{bare}.{'A' * 43}", f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", str(link.pk), "x" * 5000]
    forged.append(signing.Signer(salt="another", sep=".").sign(bare))
    for each in forged:
        assert client.get(f"/share/{each}/").status_code == 404
        client.cookies[SHARE_COOKIE] = each
        assert client.get(f"/videos/{video.pk}/playback/").status_code == 404
    client.cookies[SHARE_COOKIE] = token
    assert client.get(f"/videos/{video.pk}/playback/").status_code == 200


@pytest.mark.parametrize("cookie", ["", "~~~", "\\", '"', "a.b~c.d", "é", "~".join(["A" * 66] * 60)])
def test_requests_work_when_the_cookie_is_damaged(cookie: str, client: Client, video: Video) -> None:
    client.cookies[SHARE_COOKIE] = cookie
    assert client.get(f"/videos/{video.pk}/playback/").status_code == 404


def test_link_continues_when_the_secret_key_was_rotated(client: Client, video: Video, settings: Settings) -> None:
    path = shared(video)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of the same site"
    assert client.get(path, follow=True).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get(path).status_code == 404


def test_links_leave_the_database_when_their_video_is_purged(client: Client) -> None:
    video = uploaded_video()
    path = shared(video)
    video.delete()
    assert client.get(path).status_code == 404
    assert purge_deleted(limit=10) == 1
    assert not Video.objects.exists()
    assert not ShareLink.objects.exists()


def test_token_holds_the_id_of_its_row_when_it_is_read(video: Video) -> None:
    link = create_share_link(video_id=video.pk, days=1)
    assert len(token_of(link)) == 66
    assert link_id(token_of(link)) == link.pk
