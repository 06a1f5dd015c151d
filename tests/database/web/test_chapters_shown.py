"""Chapters of a published video: on its page, in the JSON of its progress, and as a text track for its player."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.utils import translation
from django.utils.html import escape

from tasks.models import Attempt
from tasks.services.removal.purge import prune_jobs
from tasks.services.requests.request import request_again
from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db

CHAPTERS = [
    {"start_s": 0.0, "end_s": 62.5, "title": "Intro"},
    {"start_s": 62.5, "end_s": 3723.25, "title": "</bdi><script>alert(1)</script>"},
    {"start_s": 3723.25, "end_s": 4000.001, "title": "안녕하세요 -->"},
]


def test_page_lists_the_chapters_when_the_video_is_published(staff: Client) -> None:
    page = staff.get(f"/videos/{published(chapters=CHAPTERS).pk}/").content.decode()
    listed = re.findall(
        r'<button type="button" data-start="(.+?)" data-end="(.+?)"><span class="clock">(.+?)</span> <bdi>(.*?)</bdi>',
        page,
    )
    assert listed == [
        ("0.0", "62.5", "0:00", "Intro"),
        ("62.5", "3723.25", "1:02", escape(CHAPTERS[1]["title"])),
        ("3723.25", "4000.001", "1:02:03", escape(CHAPTERS[2]["title"])),
    ]
    assert "alert(1)</script>" not in page


def test_chapters_have_times_that_scripts_read_when_the_reader_writes_a_comma(staff: Client) -> None:
    video = published(chapters=CHAPTERS)
    with translation.override("de"):
        assert 'data-start="62.5"' in staff.get(f"/videos/{video.pk}/").content.decode()


def test_page_hides_the_list_when_there_are_no_chapters(staff: Client) -> None:
    video = published()
    assert re.search(r'<nav class="chapters"[^>]* hidden>', staff.get(f"/videos/{video.pk}/").content.decode())
    assert staff.get(f"/videos/{video.pk}/chapters.vtt").status_code == 404


def test_progress_has_the_chapters_of_the_published_job_when_a_newer_one_is_active(staff: Client) -> None:
    video, other = published(chapters=CHAPTERS), uploaded_video()
    request_again(video_id=video.pk)
    videos = staff.get("/progress/", {"video": [str(video.pk), str(other.pk)]}).json()["videos"]
    assert videos[str(video.pk)]["chapters"] == CHAPTERS
    assert videos[str(other.pk)]["chapters"] == []


def test_chapters_are_served_as_webvtt_when_the_player_loads_its_track(staff: Client) -> None:
    response = staff.get(f"/videos/{published(chapters=CHAPTERS).pk}/chapters.vtt")
    assert (response.status_code, response["Content-Type"], response["Cache-Control"]) == (200, "text/vtt", "no-store")
    assert response.content.decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:01:02.500\nIntro\n\n"
        "00:01:02.500 --> 01:02:03.250\n&lt;/bdi&gt;&lt;script&gt;alert(1)&lt;/script&gt;\n\n"
        "01:02:03.250 --> 01:06:40.001\n안녕하세요 --&gt;\n"
    )


def test_chapters_are_not_served_when_the_video_is_not_the_users(client: Client, django_user_model: type[User]) -> None:
    url = f"/videos/{published(chapters=CHAPTERS).pk}/chapters.vtt"
    assert client.get(url).status_code == 404
    client.force_login(django_user_model.objects.create_user("another lecturer"))
    assert client.get(url).status_code == 404


def test_chapters_stay_when_the_job_was_pruned(staff: Client) -> None:
    video = published(chapters=CHAPTERS)
    Attempt.objects.update(batch_status="SUCCEEDED")
    assert prune_jobs(limit=10) == 1
    assert staff.get(f"/videos/{video.pk}/chapters.vtt").status_code == 200
