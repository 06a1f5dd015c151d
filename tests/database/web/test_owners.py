"""Videos are private to their owner: others see no page, URL or file, unless they have the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tasks.models import Job, Video
from tests.factories import uploaded_video

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db

PERMISSIONS = {
    "lecturer": ["add_video"],
    "operator": ["view_video", "change_video", "delete_video"],
    "viewer": ["view_video"],
}


@pytest.fixture
def people(django_user_model: type[User]) -> dict[str, Client]:
    """Browsers of lecturers, staff without and with permissions, a superuser, and a visitor who is not signed in."""
    browsers = {"stranger": Client()}
    for name in ("lecturer", "other", "blogger", "operator", "viewer", "superuser"):
        browsers[name] = Client()
        user = django_user_model.objects.create_user(
            name, is_staff=name in {"blogger", "operator"}, is_superuser=name == "superuser"
        )
        user.user_permissions.add(*Permission.objects.filter(codename__in=PERMISSIONS.get(name, [])))
        browsers[name].force_login(user)
    return browsers


@pytest.fixture
def video(people: dict[str, Client]) -> Video:
    """Return a published video, uploaded by the lecturer through the page."""
    sent = {"title": "Mine", "source": SimpleUploadedFile("lecture.mp4", b"not decoded here")}
    assert people["lecturer"].post("/upload/", sent).status_code == 302
    video = Video.objects.get()
    default_storage.save(f"published/{video.pk}/a-job/master.m3u8", ContentFile(b"#EXTM3U"))
    return video


def paths(video: Video) -> list[tuple[str, str]]:
    page = f"/videos/{video.pk}/"
    return [
        ("get", page),
        ("post", f"{page}retry/"),
        ("get", f"{page}delete/confirm/"),
        ("head", f"/media/published/{video.pk}/a-job/master.m3u8"),
        ("post", f"{page}delete/"),
    ]


@pytest.mark.parametrize("who", ["lecturer", "operator", "superuser"])
def test_owner_and_operators_can_use_a_video_when_signed_in(who: str, people: dict[str, Client], video: Video) -> None:
    assert b"Mine" in people[who].get("/").content
    assert people[who].get("/progress/", {"video": video.pk}).json()["videos"][str(video.pk)] is not None
    for method, path in paths(video):
        response = getattr(people[who], method)(path)
        assert response.status_code in {200, 302}, path

    video.refresh_from_db()
    assert video.deleted_at is not None, "the last request deletes it"


@pytest.mark.parametrize("who", ["other", "blogger"])
def test_video_does_not_exist_for_users_when_they_do_not_own_it(
    who: str, people: dict[str, Client], video: Video
) -> None:
    other = people[who]
    assert b"Mine" not in other.get("/").content
    assert other.get("/progress/", {"video": video.pk}).json() == {"videos": {str(video.pk): None}}
    for method, path in paths(video):
        assert getattr(other, method)(path).status_code == 404, path
    video.refresh_from_db()
    assert video.deleted_at is None
    assert Job.objects.count() == 1


def test_viewer_cannot_change_or_delete_a_video_when_permitted_to_view_all(
    people: dict[str, Client], video: Video
) -> None:
    for method, path in paths(video):
        expected = 200 if method != "post" and "delete" not in path else 404
        assert getattr(people["viewer"], method)(path).status_code == expected, path
    video.refresh_from_db()
    assert video.deleted_at is None


def test_visitor_is_redirected_to_the_login_when_not_signed_in(people: dict[str, Client], video: Video) -> None:
    for method, path in paths(video):
        response = getattr(people["stranger"], method)(path)
        expected = (404, "") if path.startswith("/media/") else (302, f"/login/?next={path}")
        assert (response.status_code, response.get("Location", "")) == expected
    assert people["stranger"].get("/progress/", {"video": video.pk}).status_code == 403


def test_video_is_visible_to_operators_only_when_it_has_no_owner(people: dict[str, Client]) -> None:
    video = uploaded_video(title="From a script")
    assert people["operator"].get(f"/videos/{video.pk}/").status_code == 200
    assert people["lecturer"].get(f"/videos/{video.pk}/").status_code == 404


def test_admin_is_not_accessible_when_a_user_is_not_staff(people: dict[str, Client]) -> None:
    assert people["lecturer"].get("/admin/").status_code == 302
    assert b"/admin/" not in people["lecturer"].get("/").content


def test_user_can_sign_in_and_out_when_the_password_is_right(django_user_model: type[User]) -> None:
    django_user_model.objects.create_user("lecturer", password="a long passphrase")
    browser = Client()
    page = browser.get("/", follow=True)
    assert page.redirect_chain == [("/login/?next=/", 302)]
    wrong = browser.post("/login/", {"username": "lecturer", "password": "wrong"})
    assert b"Please enter a correct username and password" in wrong.content
    response = browser.post("/login/?next=/", {"username": "lecturer", "password": "a long passphrase", "next": "/"})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.get("/").status_code == 200
    assert browser.post("/logout/")["Location"] == "/login/"
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_login_redirects_to_the_site_when_next_is_external(elsewhere: str, django_user_model: type[User]) -> None:
    django_user_model.objects.create_user("lecturer", password="a long passphrase")
    sent = {"username": "lecturer", "password": "a long passphrase", "next": elsewhere}
    assert Client().post("/login/", sent)["Location"] == "/"
