"""The page on which a teacher edits the text of captions: what is wrong is named, and what was typed stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tasks.models import CaptionPurpose, Captions, Video
from tasks.services.editing.captions import add_captions
from tests.database.api.clients import problem, with_token
from tests.factories import lecturer, published

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

ADDED = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello <b>cells</b>\n"
EDITED = "WEBVTT\r\n\r\n00:00:01.000 --> 00:00:02.000\r\nHello, cells!\r\n"


@pytest.fixture
def captions(teacher: Client) -> Captions:
    """Return automatic captions of a video of the teacher."""
    video = published()
    Video.objects.update(owner=teacher.session["_auth_user_id"])
    made = add_captions(
        video_id=video.pk, content=ADDED, language="en", purpose=CaptionPurpose.SUBTITLES, name="English"
    )
    Captions.objects.update(transcribed_source="the file")
    return made


def address(captions: Captions) -> str:
    return f"/videos/{captions.video_id}/captions/{captions.pk}/text/"


def save(client: Client, captions: Captions, text: str, *, seen_edit: int = 1) -> Any:
    return client.post(address(captions), {"text": text, "seen_edit": seen_edit})


def test_automatic_captions_are_named_as_such_until_their_text_is_edited(teacher: Client, captions: Captions) -> None:
    page = f"/videos/{captions.video_id}/edit/"
    assert "Speech recognition has made them." in teacher.get(page).content.decode()
    response = save(teacher, captions, EDITED)
    assert response["Location"] == page
    shown = teacher.get(page).content.decode()
    assert "The captions “English” were saved." in shown
    assert "Speech recognition" not in shown
    captions.refresh_from_db()
    assert captions.webvtt.endswith("\n\n00:00:01.000 --> 00:00:02.000\nHello, cells!\n")
    assert (captions.is_automatic, captions.edit, Video.objects.get().newest_edit) == (False, 2, 2)


def test_text_is_shown_as_webvtt_without_what_players_need_when_it_is_edited(
    teacher: Client, captions: Captions
) -> None:
    page = teacher.get(address(captions)).content.decode()
    assert "WEBVTT\n\n00:00:01.000 --&gt; 00:00:02.000\nHello &lt;b&gt;cells&lt;/b&gt;\n</textarea>" in page
    assert "MPEGTS" not in page


def test_text_stays_in_the_form_and_its_line_is_named_when_it_cannot_be_read(
    teacher: Client, captions: Captions
) -> None:
    text = "WEBVTT\r\n\r\n00:01.000 -> soon\r\nHello\r\n\r\n00:03.000 --> then\r\nyou"
    response = save(teacher, captions, text)
    page = response.content.decode()
    assert response.status_code == 400
    assert "Line 6: “00:03.000 --&gt; then” has no times that can be read." in page
    assert "(CAPTIONS_TIME)" in page
    assert "00:03.000 --&gt; then\r\nyou</textarea>" in page
    assert Captions.objects.get().is_automatic


def test_text_stays_in_the_form_when_another_person_has_saved_meanwhile(teacher: Client, captions: Captions) -> None:
    save(teacher, captions, EDITED)
    late = save(teacher, captions, EDITED.replace("cells", "mitochondria"))
    page = late.content.decode()
    assert late.status_code == 409
    assert "(CAPTIONS_CHANGED)" in page
    assert "Hello, mitochondria!" in page
    assert 'name="seen_edit" value="2"' in page
    assert "Hello, cells!" in Captions.objects.get().webvtt
    assert save(teacher, captions, EDITED.replace("cells", "mitochondria"), seen_edit=2).status_code == 302


def test_text_is_kept_when_nothing_was_entered(teacher: Client, captions: Captions) -> None:
    for text, message in (("", "There is no text. To have no"), ("\r\n", "There are no captions in the text.")):
        response = save(teacher, captions, text)
        assert response.status_code == 400
        assert message in response.content.decode()
    assert Captions.objects.get().is_automatic


def test_text_is_not_found_when_a_person_may_not_change_the_video(captions: Captions) -> None:
    student = Client()
    student.force_login(lecturer("other"))
    assert student.get(address(captions)).status_code == 404
    assert save(student, captions, EDITED).status_code == 404
    assert "Hello <b>cells</b>" in Captions.objects.get().webvtt


def test_text_is_changed_by_the_api_or_nothing_is_when_it_cannot_be_read(
    teacher: Client, captions: Captions, settings: Settings
) -> None:
    client = with_token(Video.objects.get().owner)
    url = f"/api/videos/{captions.video_id}/captions/added/{captions.pk}/"
    wrong = client.patch(url, {"name": "Mine", "webvtt": "WEBVTT\n\n1 --> 2\nx"}, format="json")
    assert problem(wrong) == (400, "CAPTIONS_TIME")
    assert (Captions.objects.get().name, Captions.objects.get().is_automatic) == ("English", True)
    right = client.patch(url, {"name": "Mine", "webvtt": EDITED}, format="json")
    assert right.status_code == 200
    assert (right.json()["name"], right.json()["automatic"]) == ("Mine", False)


def test_uploaded_file_takes_the_place_of_automatic_captions_when_it_has_their_language(
    teacher: Client, captions: Captions
) -> None:
    form = {"file": SimpleUploadedFile("a.vtt", EDITED.encode()), "language": "en", "purpose": "", "name": ""}
    teacher.post(f"/videos/{captions.video_id}/captions/", form)
    assert not Captions.objects.get().is_automatic
