"""The page on which a teacher changes a video: what is entered is kept, and what is wrong is named."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tasks.lifecycle.states import JobState
from tasks.models import Captions, Delivery, Job, Video
from tasks.selectors.publication import shown_chapters
from tasks.services.delivery.fan_out import fan_out
from tasks.services.editing.chapters import chapters_as_text, chapters_from_text
from tests.buckets import use_new_bucket
from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"


@pytest.fixture
def video(teacher: Client) -> Video:
    made = published(chapters=[{"start_s": 0.0, "end_s": 2.0, "title": "Of the file"}])
    Video.objects.update(owner=teacher.session["_auth_user_id"])
    return made


def post(client: Client, name: str, video: Video, form: dict[str, Any], **ids: Any) -> Any:
    return client.post(reverse(f"batchreel:{name}", kwargs={"video_id": video.pk, **ids}), form)


def captions_form(text: str = "안녕", *, codec: str = "utf-8", **values: str) -> dict[str, Any]:
    file = SimpleUploadedFile("lecture.srt", SRT.format(text).encode(codec))
    return {"file": file, "language": "ko", "purpose": "", "name": "", **values}


def test_description_is_shown_under_the_player_when_it_has_lines_and_markup(teacher: Client, video: Video) -> None:
    form = {"title": "Cells", "description": "First\r\nsecond\r\n\r\n<b>third</b>"}
    assert post(teacher, "edit", video, form).status_code == 302
    assert Video.objects.get().description == "First\nsecond\n\n<b>third</b>"
    page = teacher.get(f"/videos/{video.pk}/").content.decode()
    assert "<p>First<br>second</p>" in page
    assert "<p>&lt;b&gt;third&lt;/b&gt;</p>" in page


def test_details_are_kept_in_the_form_when_a_title_is_missing(teacher: Client, video: Video) -> None:
    response = post(teacher, "edit", video, {"title": " ", "description": "Long text"})
    page = response.content.decode()
    assert response.status_code == 400
    assert '<a href="#details-title">Enter a title.</a>' in page
    assert 'aria-invalid="true"' in page
    assert "Long text</textarea>" in page
    assert Video.objects.get().title == "Lecture 1"


def test_captions_are_listed_with_their_first_lines_when_they_were_added(teacher: Client, video: Video) -> None:
    assert post(teacher, "add-captions", video, captions_form(codec="cp949")).status_code == 302
    page = teacher.get(f"/videos/{video.pk}/edit/").content.decode()
    assert "was read as CP949" in page
    assert '<dd dir="auto">안녕</dd>' in page
    assert "in the player within a minute" in page
    captions = Captions.objects.get()
    assert (captions.language, captions.name, captions.cues) == ("ko", "한국어", 1)


def test_captions_are_replaced_when_others_of_their_language_and_kind_are_added(teacher: Client, video: Video) -> None:
    post(teacher, "add-captions", video, captions_form("one"))
    first = Captions.objects.get()
    post(teacher, "add-captions", video, captions_form("two", language="ko-KR"))
    post(teacher, "add-captions", video, captions_form("three", language="kor"))
    assert Captions.objects.get(language="ko").pk == first.pk
    assert "three" in Captions.objects.get(language="ko").webvtt
    assert Captions.objects.get(language="ko-KR").edit == 2


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            {"file": SimpleUploadedFile("a.srt", b"1\n00:00:01,000 --> soon\nx")},
            "--&gt; soon” has no times that can be read. Correct them, and upload it again. (CAPTIONS_TIME)",
        ),
        ({"language": "Klingonish"}, "“Klingonish” is not a language that is known here."),
        ({"file": ""}, "Choose a caption file."),
        ({"purpose": "none"}, "Select a valid choice."),
    ],
)
def test_captions_are_refused_with_the_reason_when_they_cannot_be_used(
    form: dict[str, Any], message: str, teacher: Client, video: Video
) -> None:
    response = post(teacher, "add-captions", video, captions_form() | form)
    assert response.status_code == 400
    assert message in response.content.decode()
    assert not Captions.objects.exists()
    assert Video.objects.get().newest_edit == 0


def test_captions_are_kept_when_their_new_language_is_that_of_others(teacher: Client, video: Video) -> None:
    post(teacher, "add-captions", video, captions_form())
    post(teacher, "add-captions", video, captions_form(language="de"))
    german = Captions.objects.get(language="de")
    form = {"language": "ko", "purpose": "", "name": ""}
    response = post(teacher, "change-captions", video, form, captions_id=german.pk)
    assert response.status_code == 400
    assert "There are other captions with this language and purpose." in response.content.decode()
    form |= {"language": "de-CH", "purpose": "sdh", "name": "Live"}
    assert post(teacher, "change-captions", video, form, captions_id=german.pk).status_code == 302
    german.refresh_from_db()
    assert (german.language, german.purpose, german.name) == ("de-CH", "sdh", "Live")


def test_captions_are_downloaded_as_webvtt_when_they_were_subrip(teacher: Client, video: Video) -> None:
    post(teacher, "add-captions", video, captions_form())
    captions = Captions.objects.get()
    response = teacher.get(f"/videos/{video.pk}/captions/{captions.pk}/captions.vtt")
    assert response.content.decode() == captions.webvtt
    assert response["Content-Disposition"] == 'attachment; filename="Lecture 1 ko.vtt"'
    assert post(teacher, "remove-captions", video, {}, captions_id=captions.pk).status_code == 302
    assert not Captions.objects.exists()


def test_captions_of_another_video_are_not_found_when_their_id_is_known(teacher: Client, video: Video) -> None:
    post(teacher, "add-captions", video, captions_form())
    captions = Captions.objects.get()
    Captions.objects.update(video=uploaded_video())
    for name in ("change-captions", "remove-captions"):
        post(teacher, name, video, {"language": "de", "purpose": "", "name": ""}, captions_id=captions.pk)
    assert Captions.objects.get().language == "ko"


CHAPTERS = "0:00 Intro\n\n(0:01.500) Results & more\n01:00:00 - Late"


def test_chapters_have_the_same_text_when_they_are_read_again() -> None:
    rows = chapters_from_text(CHAPTERS)
    assert rows == [
        {"start_ms": 0, "title": "Intro"},
        {"start_ms": 1500, "title": "Results & more"},
        {"start_ms": 3_600_000, "title": "Late"},
    ]
    assert chapters_as_text(rows) == "0:00 Intro\n0:01.500 Results & more\n1:00:00 Late\n"
    assert chapters_from_text(chapters_as_text(rows)) == rows


def test_chapters_are_shown_at_once_when_they_are_entered(teacher: Client, video: Video) -> None:
    assert post(teacher, "edit-chapters", video, {"text": "0:00 Intro\n0:03 Results"}).status_code == 302
    assert shown_chapters(Video.objects.get()) == [
        {"start_s": 0.0, "end_s": 3.0, "title": "Intro"},
        {"start_s": 3.0, "end_s": 4.0, "title": "Results"},
    ]
    assert "Results" in teacher.get(f"/videos/{video.pk}/chapters.vtt").content.decode()
    post(teacher, "edit-chapters", video, {"text": "\n"})
    assert [each["title"] for each in shown_chapters(Video.objects.get())] == ["Of the file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:00 Intro\nResults", "Line 2: it must begin with a time and have a title"),
        ("0:00 Intro\n0:75 Results", "Line 2: it must begin with a time and have a title"),
        ("0:02 Intro\n\n0:02 Results", "Line 3: “Results” does not begin after the chapter before it."),
        ("0:00 Intro\n0:04 Results", "Line 2: “Results” begins after the end of the video."),
        ("0:00 " + "a" * 201, "Line 1: a title has 1 to 200 characters."),
    ],
)
def test_chapters_are_kept_in_the_form_when_a_line_is_wrong(
    text: str, message: str, teacher: Client, video: Video
) -> None:
    response = post(teacher, "edit-chapters", video, {"text": text})
    page = response.content.decode()
    assert response.status_code == 400
    assert message in page
    assert f"{text}</textarea>" in page
    assert Video.objects.get().chapters is None


def test_file_is_replaced_at_the_same_address_when_it_is_sent_by_the_form(teacher: Client, video: Video) -> None:
    before = str(Video.objects.get().source)
    form = {"source": SimpleUploadedFile("new.mp4", b"another file")}
    assert post(teacher, "replace-source", video, form)["Location"] == f"/videos/{video.pk}/"
    replaced = Video.objects.get()
    assert str(replaced.source) != before
    assert replaced.published_job_id == video.published_job_id
    assert Job.objects.filter(state=JobState.QUEUED).count() == 1
    page = teacher.get(f"/videos/{video.pk}/").content.decode()
    assert "Another file was uploaded on" in page
    assert "What was ready before can be watched meanwhile." in page


def test_processing_stops_and_the_old_version_stays_when_a_teacher_cancels(teacher: Client, video: Video) -> None:
    post(teacher, "replace-source", video, {"source": SimpleUploadedFile("new.mp4", b"another file")})
    assert "Stop processing" in teacher.get(f"/videos/{video.pk}/").content.decode()
    post(teacher, "cancel", video, {})
    assert Job.objects.order_by("-created_at")[0].state == JobState.CANCELLED
    page = post(teacher, "cancel", video, {}).wsgi_request
    assert page is not None
    shown = teacher.get(f"/videos/{video.pk}/").content.decode()
    assert "Nothing is being processed any more." in shown
    assert "That was stopped, so what was ready before is still shown." in shown
    assert Video.objects.get().published_job_id == video.published_job_id


def test_source_is_downloaded_as_a_file_when_its_name_is_not_ascii(teacher: Client, video: Video) -> None:
    response = teacher.get(f"/videos/{video.pk}/download/")
    assert b"".join(response.streaming_content) == b"not decoded by these tests"  # type: ignore[attr-defined]
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="lecture.mp4"'
    assert response["X-Content-Type-Options"] == "nosniff"


def test_owner_gets_a_mail_when_they_chose_it_and_the_site_offers_it(
    teacher: Client, video: Video, settings: Settings
) -> None:
    form = {"title": "Cells", "description": "", "mail_wanted": "on"}
    post(teacher, "edit", video, form)
    assert not Video.objects.get().mail_wanted
    settings.BATCHREEL = {**settings.BATCHREEL, "mail_choice": True}
    assert "Send me a mail" in teacher.get(f"/videos/{video.pk}/edit/").content.decode()
    post(teacher, "edit", video, form)
    assert Video.objects.get().mail_wanted
    fan_out()
    assert list(Delivery.objects.filter(channel="mail").values_list("event__kind", flat=True)) == ["video.playable"]


def test_story_has_no_words_of_machines_when_a_teacher_reads_it(teacher: Client, video: Video) -> None:
    page = teacher.get(f"/videos/{video.pk}/").content.decode()
    story = page.partition('aria-labelledby="story-heading"')[2].partition("</section>")[0]
    assert "Uploaded on" in story
    assert "Ready after 1 s." in story
    assert "timeline" not in page


def test_open_replacement_can_be_aborted_when_the_browser_was_closed(
    teacher: Client, video: Video, settings: Settings
) -> None:
    use_new_bucket(settings)
    url = f"/videos/{video.pk}/replace/parts/"
    asked = {"name": "b.mp4", "size_bytes": 20_000_000, "type": "video/mp4"}
    first = {**asked, "id": str(uuid.uuid4())}
    begun = teacher.post(url, first, content_type="application/json")
    assert (begun.status_code, begun.json()["missing"]) == (201, [1, 2])
    assert teacher.post(url, first, content_type="application/json").json() == begun.json()
    other = teacher.post(url, asked, content_type="application/json")
    assert (other.status_code, other.json()["code"]) == (409, "UPLOAD_OPEN")
    assert "Abort the upload" in teacher.get(f"/videos/{video.pk}/edit/").content.decode()
    assert post(teacher, "abort-replacement", video, {}).status_code == 302
    assert "Abort the upload" not in teacher.get(f"/videos/{video.pk}/edit/").content.decode()
    assert teacher.post(url, asked, content_type="application/json").status_code == 201
    assert Video.objects.get().published_job_id == video.published_job_id


def test_download_is_a_signed_url_with_a_file_name_when_the_storage_is_a_bucket(
    teacher: Client, video: Video, settings: Settings
) -> None:
    use_new_bucket(settings)
    location = teacher.get(f"/videos/{video.pk}/download/")["Location"]
    query = parse_qs(urlsplit(location).query)
    assert query["response-content-disposition"] == ['attachment; filename="lecture.mp4"']
    assert query["response-content-type"] == ["application/octet-stream"]
