"""One person's video is not another's: no page, no address and no file of it; the staff see all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tasks.models import Job, Video
from tests.factories import uploaded_video

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(django_user_model: type[User]) -> dict[str, Client]:
    """Browsers of a lecturer, of another one, of the staff, and of somebody who did not sign in."""
    browsers = {"stranger": Client()}
    for name in ("lecturer", "other", "staff"):
        browsers[name] = Client()
        browsers[name].force_login(django_user_model.objects.create_user(name, is_staff=name == "staff"))
    return browsers


@pytest.fixture
def video(people: dict[str, Client]) -> Video:
    """A published video, uploaded by the lecturer through the page."""
    sent = {"title": "Mine", "source": SimpleUploadedFile("lecture.mp4", b"not decoded here")}
    assert people["lecturer"].post("/upload/", sent).status_code == 302
    video = Video.objects.get()
    default_storage.save(f"published/{video.pk}/a-job/master.m3u8", ContentFile(b"#EXTM3U"))
    return video


def addresses(video: Video) -> list[tuple[str, str]]:
    page = f"/videos/{video.pk}/"
    return [
        ("get", page),
        ("post", f"{page}retry/"),
        ("get", f"{page}delete/confirm/"),
        ("head", f"/media/published/{video.pk}/a-job/master.m3u8"),
        ("post", f"{page}delete/"),
    ]


@pytest.mark.parametrize("who", ["lecturer", "staff"])
def test_owner_and_staff_reach_everything_of_a_video(who: str, people: dict[str, Client], video: Video) -> None:
    assert b"Mine" in people[who].get("/").content
    assert people[who].get("/progress/", {"video": video.pk}).json()["videos"][str(video.pk)] is not None
    for method, path in addresses(video):
        answer = getattr(people[who], method)(path)
        assert answer.status_code in {200, 302}, path

    video.refresh_from_db()
    assert video.deleted_at is not None, "the last address deletes it"


def test_nothing_of_a_video_is_there_for_another_person(people: dict[str, Client], video: Video) -> None:
    other = people["other"]
    assert b"Mine" not in other.get("/").content
    assert other.get("/progress/", {"video": video.pk}).json() == {"videos": {str(video.pk): None}}
    for method, path in addresses(video):
        assert getattr(other, method)(path).status_code == 404, path
    video.refresh_from_db()
    assert video.deleted_at is None
    assert Job.objects.count() == 1


def test_stranger_is_sent_to_the_login_and_programs_of_strangers_are_refused(
    people: dict[str, Client], video: Video
) -> None:
    for method, path in addresses(video):
        answer = getattr(people["stranger"], method)(path)
        expected = (403, "") if path.startswith("/media/") else (302, f"/login/?next={path}")
        assert (answer.status_code, answer.get("Location", "")) == expected
    assert people["stranger"].get("/progress/", {"video": video.pk}).status_code == 403


def test_video_without_an_owner_is_the_staffs_alone_when_nobody_uploaded_it_here(people: dict[str, Client]) -> None:
    video = uploaded_video(title="From a script")
    assert people["staff"].get(f"/videos/{video.pk}/").status_code == 200
    assert people["lecturer"].get(f"/videos/{video.pk}/").status_code == 404


def test_admin_is_closed_to_a_lecturer(people: dict[str, Client]) -> None:
    assert people["lecturer"].get("/admin/").status_code == 302
    assert b"/admin/" not in people["lecturer"].get("/").content


def test_person_signs_in_and_out_by_the_pages(django_user_model: type[User]) -> None:
    django_user_model.objects.create_user("lecturer", password="a long sentence")
    browser = Client()
    page = browser.get("/", follow=True)
    assert page.redirect_chain == [("/login/?next=/", 302)]
    wrong = browser.post("/login/", {"username": "lecturer", "password": "wrong"})
    assert b"Please enter a correct username and password" in wrong.content
    answer = browser.post("/login/?next=/", {"username": "lecturer", "password": "a long sentence", "next": "/"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert browser.get("/").status_code == 200
    assert browser.post("/logout/")["Location"] == "/login/"
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_login_leads_nowhere_else_when_an_address_asks_for_it(elsewhere: str, django_user_model: type[User]) -> None:
    django_user_model.objects.create_user("lecturer", password="a long sentence")
    sent = {"username": "lecturer", "password": "a long sentence", "next": elsewhere}
    assert Client().post("/login/", sent)["Location"] == "/"
