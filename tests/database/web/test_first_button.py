"""The first button of a video that failed: another file if the file is the cause, another try otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.reasons import Reason
from tasks.models import Job
from tests.database.web.test_pages import dead_video, rejected_video

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("code", "buttons"),
    [
        ("NOTHING_TO_PLAY", ["Choose another file"]),
        ("SOURCE_MISSING", ["Choose another file", "Retry (quiet)"]),
        (Reason.ATTEMPTS_EXHAUSTED, ["Retry"]),
    ],
)
def test_first_button_is_the_one_that_can_help_when_a_video_failed(
    staff: Client, code: str, buttons: list[str]
) -> None:
    video = dead_video() if code == Reason.ATTEMPTS_EXHAUSTED else rejected_video()
    Job.objects.update(reason=code)
    page = staff.get(f"/videos/{video.pk}/").content.decode()
    found = re.findall(r'<a class="button" [^>]*>([^<]*)</a>|<button type="submit"( class="quiet")?>(Retry)<', page)
    assert [link or text + (" (quiet)" if quiet else "") for link, quiet, text in found] == buttons
