"""Every URL of the app for every kind of person: one function decides, and none is forgotten."""

from __future__ import annotations

import posixpath
import re
import uuid
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from tasks import urls
from tasks.models import CaptionPurpose, Job, ShareLink, Video, Visibility
from tasks.selectors.share_links import token_of
from tasks.services.editing.captions import add_captions
from tasks.services.requests.share import create_share_link, revoke_share_links
from tests.database.rollback import rolled_back
from tests.factories import lecturer, published
from tests.object_permissions import BACKEND, ObjectPermissions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

CHAPTERS = [{"start_s": 0.0, "end_s": 2.0, "title": "Intro"}]

PEOPLE = (
    *("owner", "operator", "other", "enrolled", "student", "anonymous", "staff"),
    *("holder", "expired", "revoked"),
)
"""Enrolled: a permission for this video by the site's own backend. Student: none. Staff: in the admin, without a right.
The last three are not signed in, and have opened a share link."""

SIGNED_IN = {"owner", "operator", "other", "enrolled", "student", "staff"}
WATCH = {"owner", "operator", "enrolled", "holder"}
EDIT = {"owner", "operator"}

LOGIN = "login"
"""A redirect to the login page."""


def watched(response: int, *, refused: Any = 404) -> dict[str, Any]:
    """Return the statuses of something that people who may watch get."""
    return {who: response if who in WATCH else refused for who in PEOPLE}


def edited(response: int) -> dict[str, Any]:
    """Return the statuses of a page or form of people who may change or delete the video."""
    return {who: response if who in EDIT else 404 if who in SIGNED_IN else LOGIN for who in PEOPLE}


def by_script(response: int) -> dict[str, Any]:
    """Return the statuses of an endpoint for scripts of people who may change the video."""
    return {who: response if who in EDIT else 404 if who in SIGNED_IN else 403 for who in PEOPLE}


PAGE = {who: 200 if who in WATCH else 404 if who in SIGNED_IN else LOGIN for who in PEOPLE}
UPLOADS = dict.fromkeys(PEOPLE, 403) | {"owner": 404, "operator": 404}
"""Direct uploads are 404 here, because the storage is a folder; who may not upload is refused before that."""

EXPECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("get", {who: 200 if who in SIGNED_IN else LOGIN for who in PEOPLE}),
    "upload": ("post", {who: 403 if who in SIGNED_IN else LOGIN for who in PEOPLE} | {"owner": 400}),
    "begin-direct-upload": ("post", {who: 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "direct-upload": ("get", {who: 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "part-urls": ("post", {who: 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "complete-direct-upload": ("post", {who: 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "cards": ("get", {who: 200 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "progress": ("get", {who: 200 if who in SIGNED_IN | {"holder"} else 403 for who in PEOPLE}),
    "video": ("get", PAGE),
    "video-blocks": ("get", {who: 200 if who in WATCH else 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "source": ("head", watched(200)),
    "chapters": ("get", watched(200)),
    "download": ("head", edited(200)),
    "edit": ("get", edited(200)),
    "edit-chapters": ("post", edited(302)),
    "cancel": ("post", edited(302)),
    "replace-source": ("post", edited(400)),
    "begin-replacement": ("post", {who: 404 if who in SIGNED_IN else 403 for who in PEOPLE}),
    "abort-replacement": ("post", {who: 404 if who in SIGNED_IN else LOGIN for who in PEOPLE}),
    "add-captions": ("post", edited(400)),
    "own-captions": ("post", edited(302)),
    "change-captions": ("post", edited(302)),
    "captions-text": ("get", edited(200)),
    "remove-captions": ("post", edited(302)),
    "captions-file": ("get", edited(200)),
    "thumbnails": ("get", watched(200)),
    "position": ("post", dict.fromkeys(PEOPLE, 404)),
    "playback": ("get", watched(200)),
    "visibility": ("post", edited(302)),
    "create-share-link": ("post", edited(302)),
    "revoke-share-link": ("post", edited(302)),
    "retry": ("post", edited(302)),
    "delete": ("post", edited(302)),
    "confirm-delete": ("get", edited(200)),
    "share": ("get", dict.fromkeys(PEOPLE, 302) | {"expired": 404, "revoked": 404}),
    "share-embed": ("get", dict.fromkeys(PEOPLE, 302) | {"expired": 404, "revoked": 404}),
    "embed": ("get", watched(200)),
    "oembed": ("get", watched(200)),
    "script-texts": ("get", dict.fromkeys(PEOPLE, 200)),
    "media": ("head", watched(200)),
    "metrics": ("get", dict.fromkeys(PEOPLE, 404)),
}
"""Method, and the status for each kind of person: of a private video."""


class Scene:
    """A published video, and a browser for each kind of person."""

    def __init__(self) -> None:
        self.owner = lecturer("owner")
        self.video = published(chapters=CHAPTERS)
        Video.objects.filter(pk=self.video.pk).update(owner=self.owner)
        Job.objects.update(source_playable_at=Now())
        self.key = f"published/{self.video.pk}/a-job/unit/master.m3u8"
        default_storage.save(self.key, ContentFile(b"#EXTM3U"))
        folder = posixpath.dirname(Job.objects.get().playlist_key)
        default_storage.save(
            f"{folder}/manifest.json", ContentFile(b'{"captions": [], "thumbnails": "thumbnails.vtt"}')
        )
        default_storage.save(f"{folder}/thumbnails.vtt", ContentFile(b"WEBVTT"))
        links = {who: create_share_link(video_id=self.video.pk, days=1) for who in ("holder", "expired", "revoked")}
        self.tokens = {who: token_of(link) for who, link in links.items()}
        self.browsers = {who: Client() for who in PEOPLE}
        for who, token in self.tokens.items():
            assert self.browsers[who].get(reverse("batchreel:share", args=[token])).status_code == 302
        ShareLink.objects.filter(pk=links["expired"].pk).update(expires_at=Now() - timedelta(seconds=1))
        assert revoke_share_links(video_id=self.video.pk, link_id=links["revoked"].pk) == 1
        for who in SIGNED_IN - {"owner"}:
            user = User.objects.create_user(who, is_staff=who in {"staff", "operator"})
            self.browsers[who].force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        self.browsers["owner"].force_login(self.owner, backend="django.contrib.auth.backends.ModelBackend")
        rights = Permission.objects.filter(codename__in=["change_video", "delete_video"])
        User.objects.get(username="operator").user_permissions.add(*rights)
        ObjectPermissions.granted = {("enrolled", "batchreel.watch_video", self.video.pk)}

    def captions_id(self) -> uuid.UUID:
        """Return the id of captions of this video."""
        captions = add_captions(
            video_id=self.video.pk,
            content=b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n",
            language="en",
            purpose=CaptionPurpose.SUBTITLES,
        )
        return captions.pk

    def url(self, name: str, who: str) -> str:
        """Return the URL of that name for this video."""
        token = self.tokens.get(who, self.tokens["holder"])
        link_id = create_share_link(video_id=self.video.pk, days=1).pk if name == "revoke-share-link" else None
        (pattern,) = [each for each in urls.urlpatterns if each.name == name]
        known = {"video_id": self.video.pk, "link_id": link_id, "token": token, "key": self.key}
        if "captions_id" in pattern.pattern.converters:
            known["captions_id"] = self.captions_id()
        path = reverse(f"batchreel:{name}", kwargs={each: known[each] for each in pattern.pattern.converters})
        page = f"http://testserver{reverse('batchreel:video', args=[self.video.pk])}"
        return path + {"progress": f"?video={self.video.pk}", "oembed": f"?url={page}"}.get(name, "")


@pytest.fixture
def scene(settings: Settings, _own_storage: None) -> Iterator[Scene]:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", BACKEND]
    yield Scene()
    ObjectPermissions.granted = set()


def outcome(response: Any) -> Any:
    """Return the status, or LOGIN."""
    return LOGIN if response.status_code == 302 and response["Location"].startswith("/login/") else response.status_code


def test_every_url_is_in_the_table_when_one_is_added() -> None:
    assert list(EXPECTED) == [pattern.name for pattern in urls.urlpatterns]


def test_every_person_gets_what_they_may_when_they_open_a_url(scene: Scene) -> None:
    found: dict[str, dict[str, Any]] = {name: {} for name in EXPECTED}
    for name, (method, _) in EXPECTED.items():
        form = {"visibility": "private", "days": "3", "language": "en"} if method == "post" else {}
        for who, browser in scene.browsers.items():
            cookies = deepcopy(browser.cookies)
            with rolled_back():
                found[name][who] = outcome(getattr(browser, method)(scene.url(name, who), form))
            browser.cookies = cookies
    assert found == {name: expected for name, (_, expected) in EXPECTED.items()}


NOT_OF_A_VIDEO = {"list", "upload", "begin-direct-upload", "cards", "share", "share-embed", "script-texts", "metrics"}


@pytest.mark.parametrize("who", ["other", "anonymous"])
def test_responses_are_the_same_when_a_video_is_hidden_and_when_there_is_none(who: str, scene: Scene) -> None:
    browser = scene.browsers[who]
    for name in EXPECTED.keys() - NOT_OF_A_VIDEO:
        method = EXPECTED[name][0]
        with rolled_back():
            url = scene.url(name, who)
            hidden = getattr(browser, method)(url)
            Video.objects.update(deleted_at=Now())
            missing = getattr(browser, method)(url)
        assert (missing.status_code, missing.get("Location")) == (hidden.status_code, hidden.get("Location")), name
        assert without_tokens(missing.content) == without_tokens(hidden.content), name


def without_tokens(page: bytes) -> bytes:
    """Return a page without its CSRF tokens, which always differ."""
    return re.sub(rb'name="csrfmiddlewaretoken" value="\w+"', b"", page)


@pytest.mark.parametrize(
    ("visibility", "watchers"),
    [
        (Visibility.PRIVATE, WATCH),
        (Visibility.SIGNED_IN, WATCH | SIGNED_IN),
        (Visibility.LINK, set(PEOPLE)),
    ],
)
def test_more_people_may_watch_when_the_visibility_is_wider(
    visibility: Visibility, watchers: set[str], scene: Scene
) -> None:
    Video.objects.update(visibility=visibility)
    for name in ("video", "embed", "playback", "media", "chapters", "source", "oembed"):
        method = EXPECTED[name][0]
        statuses = {who: outcome(getattr(each, method)(scene.url(name, who))) for who, each in scene.browsers.items()}
        assert {who for who, status in statuses.items() if status == 200} == watchers, name


def test_nobody_else_may_change_a_video_when_everyone_may_watch_it(scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.LINK)
    for name in [name for name in EXPECTED if EXPECTED[name][0] == "post" and "upload" not in name]:
        for who in set(PEOPLE) - EDIT:
            assert outcome(scene.browsers[who].post(scene.url(name, who))) in {403, 404, LOGIN}, (name, who)
    assert Video.objects.get().deleted_at is None


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("permission", "opened"),
    [
        ("watch_video", {"video", "media"}),
        ("view_video", {"video", "media"}),
        ("change_video", {"video", "media", "retry"}),
        ("delete_video", {"confirm-delete"}),
        ("add_video", set()),
    ],
)
@pytest.mark.parametrize("is_for_one_video", [True, False])
def test_permission_opens_what_it_names_when_it_is_for_one_video_or_for_all(
    permission: str, opened: set[str], is_for_one_video: bool, scene: Scene
) -> None:
    if is_for_one_video:
        ObjectPermissions.granted = {("student", f"batchreel.{permission}", scene.video.pk)}
    else:
        User.objects.get(username="student").user_permissions.add(Permission.objects.get(codename=permission))
    names = ("video", "media", "retry", "confirm-delete")
    browser = scene.browsers["student"]
    found = {
        name for name in names if getattr(browser, EXPECTED[name][0])(scene.url(name, "student")).status_code != 404
    }
    assert found == opened


def test_permission_for_one_video_opens_no_other_when_it_is_given(scene: Scene) -> None:
    other = published()
    enrolled = scene.browsers["enrolled"]
    assert enrolled.get(f"/videos/{scene.video.pk}/").status_code == 200
    assert enrolled.get(f"/videos/{other.pk}/").status_code == 404


def test_account_that_is_not_active_has_no_rights_when_a_backend_gives_some(scene: Scene, settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend", BACKEND]
    User.objects.filter(username__in=["owner", "enrolled"]).update(is_active=False)
    for who in ("owner", "enrolled"):
        browser = Client()
        browser.force_login(User.objects.get(username=who), "django.contrib.auth.backends.AllowAllUsersModelBackend")
        assert browser.get(f"/videos/{scene.video.pk}/").status_code == 404
        assert browser.head(f"/media/{scene.key}").status_code == 404


def test_page_has_no_edit_controls_and_no_history_when_a_person_may_only_watch(scene: Scene) -> None:
    Job.objects.update(warnings=[{"code": "SILENT", "message": "A warning for its owner."}])
    url = f"/videos/{scene.video.pk}/"
    editing = ("Delete …", "Who may watch", "What happened", "Edit</a>", "A warning for its owner.")
    assert [each for each in editing if each in scene.browsers["owner"].get(url).content.decode()] == list(editing)
    for who in ("enrolled", "holder"):
        page = scene.browsers[who].get(url).content.decode()
        assert f'id="player-{scene.video.pk}"' in page
        assert "<form" not in page.replace('<form method="post" action="/logout/">', "")
        assert not [each for each in editing if each in page]


def test_watchers_read_nothing_of_what_failed_when_a_new_version_did(scene: Scene) -> None:
    job = Job.objects.get()
    job.pk, job.state, job.automatic = uuid.uuid4(), "FAILED", False
    job.created_at += timedelta(seconds=1)
    job.reason, job.reason_message = "INPUT_REJECTED", "The codec of the file is secret."
    Job.objects.bulk_create([job])
    asked = {"video": str(scene.video.pk)}
    messages = {
        who: scene.browsers[who].get("/progress/", asked).json()["videos"][str(scene.video.pk)]["message"]
        for who in ("owner", "enrolled", "holder")
    }
    assert "secret" in messages.pop("owner")
    assert set(messages.values()) == {"The video is ready to watch."}
    assert "secret" not in scene.browsers["enrolled"].get(f"/videos/{scene.video.pk}/").content.decode()


def test_list_shows_own_videos_only_when_others_may_be_watched(scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.LINK, title="Mine")
    assert b"Mine" in scene.browsers["owner"].get("/").content
    for who in ("enrolled", "student"):
        page = scene.browsers[who].get("/").content.decode()
        assert "Mine" not in page
        assert 'id="upload"' not in page
