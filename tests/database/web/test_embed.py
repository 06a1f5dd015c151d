"""The player on pages of others: frames, oEmbed, Open Graph, the template tag, and templates of a site's own."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import Context, Template

from tasks.models import Video, Visibility
from tasks.selectors.share_links import token_of
from tasks.services.requests.share import create_share_link
from tasks.views.cookies import SHARE_COOKIE
from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from django.test import Client, RequestFactory
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

LMS = "https://lms.example.org"


@pytest.fixture
def video() -> Video:
    video = published(uploaded_video(title="Waves & <tides>"))
    Video.objects.filter(pk=video.pk).update(visibility=Visibility.LINK)
    return Video.objects.get()


def ancestors(policy: str) -> list[str]:
    """Return the sources of frame-ancestors in a policy, which has the directive once."""
    (found,) = re.findall(r"frame-ancestors ([^;]+)", policy)
    return str(found).split()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [({}, ["'self'"]), ({"frame_ancestors": []}, ["'none'"]), ({"frame_ancestors": ["'self'", LMS]}, ["'self'", LMS])],
)
def test_frames_are_allowed_on_the_sites_of_the_setting_when_it_is_an_embed_page(
    setting: dict[str, object], expected: list[str], client: Client, video: Video, settings: Settings
) -> None:
    settings.BATCHREEL = setting
    link = create_share_link(video_id=video.pk, days=1)
    for path in (f"/embed/{video.pk}/", f"/share/{token_of(link)}/embed/"):
        response = client.get(path)
        assert ancestors(response["Content-Security-Policy"]) == expected
        assert "X-Frame-Options" not in response
    assert (
        "script-src" in response["Content-Security-Policy"]
        or "default-src 'self'" in response["Content-Security-Policy"]
    )
    Video.objects.update(visibility=Visibility.PRIVATE)
    client.cookies.clear()
    refused = client.get(f"/embed/{video.pk}/")
    assert refused.status_code == 404
    assert f'href="http://testserver/videos/{video.pk}/"' in refused.content.decode()
    assert ancestors(refused["Content-Security-Policy"]) == expected


def test_other_pages_are_in_no_frame_when_another_site_may_embed(
    staff: Client, video: Video, settings: Settings
) -> None:
    settings.BATCHREEL = {"frame_ancestors": [LMS]}
    for path in ("/", f"/videos/{video.pk}/", "/login/"):
        response = staff.get(path)
        assert ancestors(response["Content-Security-Policy"]) == ["'none'"]
        assert response["X-Frame-Options"] == "DENY"


def test_embed_page_has_the_policy_when_the_site_has_none(client: Client, video: Video, settings: Settings) -> None:
    settings.BATCHREEL = {"frame_ancestors": [LMS]}
    settings.CONTENT_SECURITY_POLICY = None
    assert client.get(f"/embed/{video.pk}/")["Content-Security-Policy"] == f"frame-ancestors {LMS}"


def test_embed_page_shows_the_player_and_nothing_to_edit_when_it_is_opened(client: Client, video: Video) -> None:
    page = client.get(f"/embed/{video.pk}/").content.decode()
    assert f'id="player-{video.pk}"' in page
    assert "batchreel/player/start.js" in page
    assert "<title>Waves &amp; &lt;tides&gt; · Batchreel</title>" in page
    assert "<form" not in page


def test_embed_page_waits_when_the_video_is_not_ready(client: Client) -> None:
    video = uploaded_video()
    Video.objects.update(visibility=Visibility.LINK)
    page = client.get(f"/embed/{video.pk}/").content.decode()
    assert "The video is not ready yet." in page
    assert "batchreel/embed.js" in page
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in page


@pytest.mark.parametrize(
    ("sources", "is_https", "expected"),
    [
        (["'self'", LMS], True, "None; Partitioned"),
        (["'self'", LMS], False, "Lax"),
        (["'self'"], True, "Lax"),
        ([], True, "Lax"),
    ],
)
def test_cookie_works_in_a_frame_when_another_site_may_embed(
    sources: list[str], is_https: bool, expected: str, client: Client, settings: Settings
) -> None:
    video = published()
    settings.BATCHREEL = {"frame_ancestors": sources}
    link = create_share_link(video_id=video.pk, days=1)
    response = client.get(f"/share/{token_of(link)}/embed/", secure=is_https)
    assert response["Location"] == f"/embed/{video.pk}/"
    cookie = response.cookies[SHARE_COOKIE]
    assert cookie["samesite"] == expected
    assert bool(cookie["secure"]) == is_https
    assert f"SameSite={expected}" in cookie.OutputString()


def test_oembed_returns_a_frame_when_everyone_with_the_address_may_watch(client: Client, video: Video) -> None:
    asked = {"url": f"http://testserver/videos/{video.pk}/?t=1#x", "maxwidth": "480", "maxheight": "9999"}
    answer = client.get("/oembed/", asked).json()
    frame = answer.pop("html")
    assert answer == {
        "version": "1.0",
        "type": "video",
        "title": "Waves & <tides>",
        "provider_name": "Batchreel",
        "provider_url": "http://testserver/",
        "width": 480,
        "height": 270,
    }
    assert frame == (
        f'<iframe src="http://testserver/embed/{video.pk}/" width="480" height="270" title="Waves &amp; &lt;tides&gt;"'
        ' allow="fullscreen" allowfullscreen loading="lazy"></iframe>'
    )


def test_oembed_returns_a_frame_of_the_share_link_when_it_is_asked_for_one(client: Client, video: Video) -> None:
    Video.objects.update(visibility=Visibility.PRIVATE)
    token = token_of(create_share_link(video_id=video.pk, days=1))
    answer = client.get("/oembed/", {"url": f"http://testserver/share/{token}/"}).json()
    assert f'src="http://testserver/share/{token}/embed/"' in answer["html"]
    assert client.get("/oembed/", {"url": f"http://testserver/videos/{video.pk}/"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 400),
        ({"url": "http://testserver/"}, 404),
        ({"url": "http://testserver/no/such/page"}, 404),
        ({"url": "http://testserver/share/forged/"}, 404),
        ({"url": "http://evil.example/videos/{pk}/"}, 404),
        ({"url": "http://testserver@evil.example/videos/{pk}/"}, 404),
        ({"url": "http://[::1/videos/{pk}/"}, 404),
        ({"url": "http://testserver/videos/{pk}/retry/"}, 404),
        ({"url": "http://testserver/videos/{pk}/", "format": "xml"}, 501),
    ],
)
def test_oembed_is_refused_when_the_url_is_not_a_videos(
    asked: dict[str, str], status: int, client: Client, video: Video
) -> None:
    sent = {name: value.format(pk=video.pk) for name, value in asked.items()}
    assert client.get("/oembed/", sent).status_code == status


@pytest.mark.parametrize("size", ["0", "-5", "", "NaN", "9" * 50, "²"])
def test_frame_has_a_size_when_the_asked_one_is_none(size: str, client: Client, video: Video) -> None:
    answer = client.get("/oembed/", {"url": f"http://testserver/videos/{video.pk}/", "maxwidth": size}).json()
    assert (answer["width"], answer["height"]) == ((16, 9) if size == "0" else (640, 360))


def test_page_announces_the_video_to_other_sites_when_everyone_with_the_address_may_watch(
    client: Client, staff: Client, video: Video
) -> None:
    page = client.get(f"/videos/{video.pk}/").content.decode()
    properties = dict(re.findall(r'<meta property="([^"]+)" content="([^"]*)">', page))
    assert properties["og:title"] == "Waves &amp; &lt;tides&gt;"
    assert properties["og:url"] == f"http://testserver/videos/{video.pk}/"
    assert properties["og:video"] == f"http://testserver/embed/{video.pk}/"
    (found,) = re.findall(r'type="application/json\+oembed" href="([^"]+)"', page)
    assert client.get(html.unescape(found)).json()["title"] == "Waves & <tides>"
    for visibility in (Visibility.PRIVATE, Visibility.SIGNED_IN):
        Video.objects.update(visibility=visibility)
        hidden = staff.get(f"/videos/{video.pk}/").content.decode()
        assert "og:" not in hidden
        assert "oembed" not in hidden


def tag(rf: RequestFactory, video: Video, **context: object) -> str:
    request = rf.get("/a/page/of/the/site/")
    request.user = AnonymousUser()
    template = Template("{% load batchreel %}{% batchreel_player video %}")
    return template.render(Context({"request": request, "video": video, **context}))


def test_tag_shows_the_player_with_its_files_when_the_person_may_watch(rf: RequestFactory, video: Video) -> None:
    shown = tag(rf, video)
    assert f'data-playlist="/media/published/{video.pk}/' in shown
    for file in ("batchreel/player.css", "batchreel/player/start.js", "/texts.js"):
        assert file in shown
    assert "nonce" not in shown
    assert tag(rf, video, csp_nonce="abc").count('nonce="abc"') == 3


def test_tag_shows_a_note_when_the_person_may_not_watch(rf: RequestFactory, video: Video) -> None:
    video.visibility = Visibility.PRIVATE
    shown = tag(rf, video)
    assert "This video is not available to you." in shown
    assert str(video.pk) not in shown


def test_pages_have_the_sites_own_base_and_name_when_they_are_set(
    staff: Client, video: Video, settings: Settings, tmp_path: Path
) -> None:
    blocks = [f"{{% block {name} %}}{{% endblock %}}" for name in ("title", "head", "content")]
    own = "<title>{} | University</title>{}<main>{}</main>".format(*blocks)
    (tmp_path / "site.html").write_text(own)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    pages = ["/", f"/videos/{video.pk}/", f"/videos/{video.pk}/delete/confirm/"]
    settings.BATCHREEL = {"site_name": "Lectures & more"}
    assert all("· Lectures &amp; more</title>" in staff.get(path).content.decode() for path in pages)
    settings.BATCHREEL = {"base_template": "site.html", "site_name": "University"}
    for path in pages:
        page = staff.get(path).content.decode()
        assert "| University</title>" in page
        assert "Batchreel" not in page
