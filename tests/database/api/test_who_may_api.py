"""Every operation of the API for every kind of person: one function decides, and none is forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

from tasks.api import urls
from tasks.models import CaptionPurpose, Delivery, Job, OutboxEvent, Video, Visibility
from tasks.services.delivery.endpoints import add_endpoint
from tasks.services.editing.captions import add_captions
from tasks.services.requests.share import create_share_link
from tests.database.api.clients import problem, with_token
from tests.database.rollback import rolled_back
from tests.factories import lecturer, published
from tests.object_permissions import BACKEND, ObjectPermissions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PEOPLE = ("owner", "operator", "other", "enrolled", "student", "staff", "hooks", "anonymous")
"""Other: may upload. Enrolled: may watch this video. Student: no right. Staff: in the admin, without a right.
Hooks: has the permissions of endpoints and deliveries, and no others."""

WATCH, EDIT, UPLOAD = {"owner", "operator", "enrolled"}, {"owner", "operator"}, {"owner", "other"}
RIGHTS = {
    "operator": ("change_video", "delete_video"),
    "other": ("add_video",),
    "hooks": (
        *("view_webhookendpoint", "add_webhookendpoint", "change_webhookendpoint", "delete_webhookendpoint"),
        *("view_delivery", "change_delivery"),
    ),
}


def of_a_video(status: int, people: set[str]) -> dict[str, int]:
    """Return the statuses of something that these people may do with the video; for others there is none."""
    return {who: 401 if who == "anonymous" else status if who in people else 404 for who in PEOPLE}


def by_permission(status: int, people: set[str]) -> dict[str, int]:
    """Return the statuses of something that needs a permission of a model."""
    return {who: 401 if who == "anonymous" else status if who in people else 403 for who in PEOPLE}


EVERYONE = of_a_video(200, set(PEOPLE))

EXPECTED: dict[tuple[str, str], tuple[dict[str, int], Any]] = {
    ("get", "videos"): (EVERYONE, None),
    ("post", "videos"): (by_permission(409, UPLOAD), {"name": "a.mp4", "size_bytes": 9}),
    ("post", "video-file"): (by_permission(201, UPLOAD), "file"),
    ("get", "video"): (of_a_video(200, WATCH), None),
    ("patch", "video"): (of_a_video(200, EDIT), {"title": "Lecture 1"}),
    ("delete", "video"): (of_a_video(204, EDIT), None),
    ("post", "source"): (of_a_video(200, EDIT), "file"),
    ("get", "upload"): (of_a_video(404, set()), None),
    ("post", "upload"): (of_a_video(409, EDIT), {"name": "a.mp4", "size_bytes": 9}),
    ("delete", "upload"): (of_a_video(404, set()), None),
    ("post", "part-urls"): (of_a_video(404, set()), {"numbers": [1]}),
    ("post", "complete-upload"): (of_a_video(404, set()), {}),
    ("post", "retry"): (of_a_video(409, EDIT), {}),
    ("get", "playback"): (of_a_video(200, WATCH), None),
    ("get", "chapters"): (of_a_video(200, WATCH), None),
    ("put", "chapters"): (of_a_video(200, EDIT), {"results": [{"start_s": 0, "title": "Intro"}]}),
    ("delete", "chapters"): (of_a_video(204, EDIT), None),
    ("get", "captions"): (of_a_video(200, WATCH), None),
    ("put", "own-captions"): (of_a_video(204, EDIT), {"keep": False}),
    ("get", "added-captions"): (of_a_video(200, EDIT), None),
    ("post", "added-captions"): (of_a_video(201, EDIT), "captions"),
    ("patch", "one-added-captions"): (of_a_video(200, EDIT), {"name": "Live"}),
    ("delete", "one-added-captions"): (of_a_video(204, EDIT), None),
    ("get", "share-links"): (of_a_video(200, EDIT), None),
    ("post", "share-links"): (of_a_video(201, EDIT), {"days": 3}),
    ("delete", "share-link"): (of_a_video(204, EDIT), None),
    ("get", "jobs"): (EVERYONE, None),
    ("get", "job"): (of_a_video(200, EDIT), None),
    ("post", "cancel"): (of_a_video(409, EDIT), {}),
    ("get", "webhooks"): (by_permission(200, {"hooks"}), None),
    ("post", "webhooks"): (by_permission(201, {"hooks"}), {"url": "https://hooks.example.org/a"}),
    ("get", "webhook"): (by_permission(200, {"hooks"}), None),
    ("patch", "webhook"): (by_permission(200, {"hooks"}), {"enabled": False}),
    ("delete", "webhook"): (by_permission(204, {"hooks"}), None),
    ("post", "webhook-secret"): (by_permission(200, {"hooks"}), {}),
    ("get", "deliveries"): (by_permission(200, {"hooks"}), None),
    ("post", "send-again"): (by_permission(202, {"hooks"}), {}),
}
"""Method and name of the URL -> the status for each kind of person, and what is sent: of a private, published video.
Uploads in parts are 404 or 409 here, because the storage is a folder."""

OF_A_VIDEO = [operation for operation, (statuses, _) in EXPECTED.items() if statuses["other"] == 404]
"""Operations of one video."""

WEBVTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"
MANIFEST = {
    "captions": [
        {
            "name": "English",
            "language": "en",
            "purpose": "",
            "cues": 2,
            "added": None,
            "url": "c0.vtt",
            "playlist": "captions-0.m3u8",
        }
    ],
    "thumbnails": "thumbnails.vtt",
}


class Scene:
    """A published video, an endpoint with a delivery, and a client for each kind of person."""

    def __init__(self) -> None:
        users = {who: User.objects.create_user(who, is_staff=who == "staff") for who in PEOPLE[1:-1]}
        users["owner"] = lecturer("owner")
        for who, names in RIGHTS.items():
            users[who].user_permissions.add(*Permission.objects.filter(codename__in=names))
        self.clients = {who: with_token(user) for who, user in users.items()} | {"anonymous": APIClient()}
        self.video = published(chapters=[{"start_s": 0.0, "end_s": 2.0, "title": "Intro"}])
        Video.objects.filter(pk=self.video.pk).update(owner=users["owner"])
        self.job = Job.objects.get()
        folder = self.job.playlist_key.rpartition("/")[0]
        default_storage.save(f"{folder}/manifest.json", ContentFile(json.dumps(MANIFEST).encode()))
        ObjectPermissions.granted = {("enrolled", "batchreel.watch_video", self.video.pk)}

    def url(self, name: str) -> str:
        """Return the URL of that name, of rows that are there."""
        (pattern,) = [each for each in urls.operations if each.name == name]
        endpoint = add_endpoint({"url": "https://hooks.example.org/", "kinds": ["video.published"]})
        event = OutboxEvent.objects.first()
        assert event is not None
        delivery = Delivery.objects.create(
            event=event,
            channel="webhook",
            endpoint=endpoint,
            target=f"webhook-{endpoint.pk}",
            video_id=event.video_id,
            state="DELIVERED",
            next_try_at=None,
            ended_at=event.created_at,
        )
        known = {
            "video_id": self.video.pk,
            "job_id": self.job.pk,
            "captions_id": add_captions(
                video_id=self.video.pk, content=WEBVTT, language="en", purpose=CaptionPurpose.SUBTITLES
            ).pk,
            "link_id": create_share_link(video_id=self.video.pk, days=1).pk,
            "endpoint_id": endpoint.pk,
            "delivery_id": delivery.pk,
        }
        return reverse(f"batchreel-api:{name}", kwargs={each: known[each] for each in pattern.pattern.converters})

    def send(self, who: str, method: str, name: str, content: Any, *, url: str = "") -> Any:
        """Send the request of a row of the table, each with a file of its own."""
        client, url = self.clients[who], url or self.url(name)
        if content == "captions":
            form = {"file": SimpleUploadedFile("a.vtt", WEBVTT), "language": "de"}
            return client.post(url, form, format="multipart")
        if content == "file":
            file = SimpleUploadedFile("lecture.mp4", b"not decoded by these tests")
            return client.post(url, {"file": file}, format="multipart")
        return getattr(client, method)(url, content, format="json" if content is not None else None)


@pytest.fixture
def scene(settings: Settings, _own_storage: None) -> Iterator[Scene]:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", BACKEND]
    settings.BATCHREEL = {**settings.BATCHREEL, "api_throttle_per_minute": 0}
    yield Scene()
    ObjectPermissions.granted = set()


def methods(pattern: Any) -> list[str]:
    """Return the methods of an operation's view."""
    view = pattern.callback.cls
    return [name for name in view.http_method_names if hasattr(getattr(view, name, None), "described")]


def test_every_operation_is_in_the_table_when_one_is_added() -> None:
    assert sorted(EXPECTED) == sorted((method, each.name) for each in urls.operations for method in methods(each))


def test_every_person_gets_what_they_may_when_they_use_an_operation(scene: Scene) -> None:
    found: dict[tuple[str, str], dict[str, int]] = {operation: {} for operation in EXPECTED}
    for (method, name), (_, content) in EXPECTED.items():
        for who in PEOPLE:
            with rolled_back():
                response = scene.send(who, method, name, content)
            found[method, name][who] = response.status_code
            if response.status_code >= 400:
                problem(response)
    assert found == {operation: statuses for operation, (statuses, _) in EXPECTED.items()}


def test_nobody_else_may_change_a_video_when_everyone_may_watch_it(scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.LINK)
    for (method, name), (expected, content) in EXPECTED.items():
        if expected == of_a_video(expected["owner"], EDIT):
            for who in set(PEOPLE) - EDIT:
                with rolled_back():
                    status = scene.send(who, method, name, content).status_code
                assert status == expected[who], (method, name, who)


def test_anonymous_people_reach_no_data_when_everyone_may_watch_a_video(scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.LINK)
    for method, name in EXPECTED:
        response = scene.send("anonymous", method, name, EXPECTED[method, name][1])
        assert problem(response) == (401, "NOT_AUTHENTICATED")
        assert response["WWW-Authenticate"] == "Token"


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["video", "playback", "chapters", "captions"])
def test_more_people_may_watch_when_the_visibility_is_wider(name: str, scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.SIGNED_IN)
    statuses = {who: client.get(scene.url(name)).status_code for who, client in scene.clients.items()}
    assert statuses == dict.fromkeys(PEOPLE, 200) | {"anonymous": 401}


def test_responses_are_the_same_when_a_video_is_hidden_and_when_there_is_none(scene: Scene) -> None:
    for method, name in OF_A_VIDEO:
        content = EXPECTED[method, name][1]
        with rolled_back():
            url = scene.url(name)
            hidden = scene.send("student", method, name, content, url=url)
            Video.objects.update(deleted_at=scene.job.created_at)
            missing = scene.send("student", method, name, content, url=url)
        assert (missing.status_code, missing.content) == (hidden.status_code, hidden.content), (method, name)


def test_lists_have_own_videos_only_when_others_may_be_watched(scene: Scene) -> None:
    Video.objects.update(visibility=Visibility.LINK)
    for who, client in scene.clients.items():
        if who != "anonymous":
            for name in ("videos", "jobs"):
                found = client.get(f"/api/{name}/").json()["results"]
                assert len(found) == (who in EDIT), who


def test_watchers_see_nothing_of_jobs_and_faults_when_they_read_a_video(scene: Scene) -> None:
    Job.objects.update(warnings=[{"code": "SILENT", "message": "A warning for its owner."}])
    own = scene.clients["owner"].get(scene.url("video")).json()
    assert own["rights"] == ["watch", "view", "change", "delete"]
    assert (own["warnings"][0]["code"], own["job"], own["status"]) == ("SILENT", str(scene.job.pk), "READY")
    watched = scene.clients["enrolled"].get(scene.url("video")).json()
    assert (watched["rights"], watched["warnings"], watched["job"], watched["size_bytes"]) == (
        ["watch"],
        [],
        None,
        None,
    )


def test_cost_is_for_people_with_the_permission_when_they_read_a_job(scene: Scene) -> None:
    assert scene.clients["operator"].get(scene.url("job")).json()["cost"]["containers_not_included"] == 1
    job = scene.clients["owner"].get(scene.url("job")).json()
    assert (job["cost"], job["state"], job["progress"]["percent"]) == (None, "SUCCEEDED", 100)


def test_playback_has_absolute_urls_of_everything_when_a_video_is_published(scene: Scene) -> None:
    played = scene.clients["enrolled"].get(scene.url("playback")).json()
    folder = f"http://testserver/media/{scene.job.playlist_key.rpartition('/')[0]}"
    assert (played["hls"], played["dash"]) == (f"{folder}/master.m3u8", f"{folder}/manifest.mpd")
    assert played["thumbnails"] == f"{folder}/thumbnails.vtt"
    assert played["chapters"] == f"http://testserver/videos/{scene.video.pk}/chapters.vtt"
    assert (played["duration_s"], played["source"], played["expires_at"]) == (4.0, None, None)
    (track,) = scene.clients["enrolled"].get(scene.url("captions")).json()["results"]
    assert track == {
        **MANIFEST["captions"][0],
        "automatic": False,
        "url": f"{folder}/c0.vtt",
        "playlist": f"{folder}/captions-0.m3u8",
    }
    assert scene.clients["enrolled"].get(scene.url("chapters")).json() == {
        "results": [{"start_s": 0.0, "end_s": 2.0, "title": "Intro"}]
    }
