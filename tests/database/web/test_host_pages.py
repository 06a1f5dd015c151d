"""Pages of a site of its own: the player's tag in its templates, share links in several languages, and the way back."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.test import Client
from django.urls import include, path, reverse, set_script_prefix
from django.utils.translation import override

from tasks.lifecycle.states import JobState
from tasks.models import Job, Video, Visibility
from tasks.selectors.share_links import token_of
from tasks.services.requests.share import create_share_link
from tasks.views.cookies import SHARE_COOKIE
from tests.factories import lecturer, published, uploaded_video

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import RequestFactory
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

TAG = "{% load batchreel %}{% batchreel_player video %}"


@pytest.fixture
def urls(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[object]], None]:
    """Return a callable that gives the site these URLs for this test."""

    def change(patterns: list[object]) -> None:
        module = ModuleType("urls_of_a_site")
        module.urlpatterns = patterns  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.ROOT_URLCONF = module.__name__

    return change


def test_tag_names_the_context_processor_when_the_context_has_no_request() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"django\.template\.context_processors\.request"):
        Template(TAG).render(Context({"video": published()}))


def test_tag_names_the_urls_when_the_site_does_not_include_them(
    rf: RequestFactory, urls: Callable[[list[object]], None]
) -> None:
    video = published()
    video.visibility = Visibility.LINK
    request = rf.get("/")
    request.user = AnonymousUser()
    urls([])
    with pytest.raises(ImproperlyConfigured, match=r'include\("tasks\.urls"\)'):
        Template(TAG).render(Context({"video": video, "request": request}))


def test_share_link_opens_the_video_in_every_language_when_addresses_begin_with_one(
    client: Client, urls: Callable[[list[object]], None]
) -> None:
    urls(i18n_patterns(path("lectures/", include("tasks.urls"))))
    video = published()
    with override("de"):
        link = reverse("batchreel:share", args=[token_of(create_share_link(video_id=video.pk, days=1))])
    assert link.startswith("/de/lectures/")
    cookie = client.get(link).cookies[SHARE_COOKIE]
    for language in ("de", "en"):
        with override(language):
            page = reverse("batchreel:video", args=[video.pk])
        assert page.startswith(f"/{language}/lectures/")
        assert page.startswith(cookie["path"]), "a browser sends the cookie along"
        assert client.get(page).status_code == 200
    assert "/lessons/1/".startswith(cookie["path"]), "a page of the site with the player"


def test_share_cookie_stays_in_the_site_when_it_is_below_a_prefix(client: Client) -> None:
    token = token_of(create_share_link(video_id=published().pk, days=1))
    set_script_prefix("/school/")  # as Django's handlers do with FORCE_SCRIPT_NAME
    try:
        cookie = client.get(f"/share/{token}/", SCRIPT_NAME="/school").cookies[SHARE_COOKIE]
    finally:
        set_script_prefix("/")
    assert cookie["path"] == "/school/"


def test_page_leads_to_the_list_only_when_it_has_something_for_the_reader(
    client: Client,
) -> None:
    video = published()
    Video.objects.update(visibility=Visibility.SIGNED_IN)
    student, owner, viewer = (User.objects.create_user(name) for name in ("student", "owner", "viewer"))
    viewer.user_permissions.add(Permission.objects.get(codename="view_video"))
    uploaded_video(title="Of an owner who may no longer upload")
    Video.objects.exclude(pk=video.pk).update(owner=owner)
    found = {}
    for user in (student, owner, viewer, lecturer()):
        client.force_login(user)
        found[user.username] = "All videos" in client.get(f"/videos/{video.pk}/").content.decode()
    assert found == {"student": False, "owner": True, "viewer": True, "lecturer": True}
    client.logout()
    Video.objects.update(visibility=Visibility.LINK)
    assert "All videos" not in client.get(f"/videos/{video.pk}/").content.decode()


def test_retried_job_names_no_other_person_when_its_owner_reads_it_in_german(client: Client) -> None:
    teacher = lecturer()
    video = uploaded_video(title="Unlucky")
    Video.objects.update(owner=teacher)
    Job.objects.update(state=JobState.DEAD, reason="ATTEMPTS_EXHAUSTED", next_attempt_at=None)
    client.force_login(teacher)
    client.post(f"/videos/{video.pk}/retry/")
    url = f"/api/jobs/{video.jobs.get().pk}/"
    german = client.get(url, headers={"Accept-Language": "de"}).json()
    message = "Der Job wurde wiederbelebt und wird dort fortgesetzt, wo er aufgehört hat."
    assert (german["reason"], german["message"]) == ("REVIVED", message)
    assert client.get(url).json()["message"] == "The job was revived, and continues where it stopped."
    details = {"text": "TOO_LONG", "hours": 13.2, "limit_hours": 12}
    Job.objects.update(state=JobState.FAILED, reason="TOO_LONG", reason_details=details, next_attempt_at=None)
    assert client.get(url, headers={"Accept-Language": "de"}).json()["message"].startswith("Die Aufnahme dauert 13,2")


def test_warnings_of_the_api_are_german_when_the_client_asks_for_it(client: Client) -> None:
    teacher = lecturer()
    video = published()
    Video.objects.update(owner=teacher)
    warning = {"code": "AUDIO_QUIET", "message": "The English text.", "detail": ""}
    Job.objects.update(warnings=[warning])
    client.force_login(teacher)
    (found,) = client.get(f"/api/videos/{video.pk}/", headers={"Accept-Language": "de"}).json()["warnings"]
    assert found["code"] == "AUDIO_QUIET"
    assert found["message"].startswith("Der Ton"), found
