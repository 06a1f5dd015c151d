"""Who may use the operations that need a bucket; and people whose access has ended, or who have a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from tasks.models import Job, Video
from tasks.selectors.share_links import token_of
from tasks.services.requests.share import create_share_link
from tasks.views.cookies import SHARE_COOKIE
from tests.buckets import use_new_bucket
from tests.database.api.clients import problem, with_token
from tests.database.api.test_who_may_api import (
    EDIT,
    EXPECTED,
    OF_A_VIDEO,
    PEOPLE,
    UPLOAD,
    WATCH,
    Scene,
    by_permission,
    of_a_video,
)
from tests.database.rollback import rolled_back
from tests.object_permissions import BACKEND, ObjectPermissions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

BEGIN = {"name": "a.mp4", "size_bytes": 9}

IN_PARTS: dict[tuple[str, str], tuple[dict[str, int], Any]] = {
    ("post", "videos"): (by_permission(201, UPLOAD), BEGIN),
    ("post", "upload"): (of_a_video(201, EDIT), BEGIN),
    ("get", "upload"): (of_a_video(200, EDIT), None),
    ("post", "part-urls"): (of_a_video(200, EDIT), {"numbers": [1]}),
    ("post", "complete-upload"): (of_a_video(409, EDIT), {}),
    ("delete", "upload"): (of_a_video(204, EDIT), None),
}
"""As EXPECTED, with a bucket, and an open upload of a new file unless it is the one to be begun."""


@pytest.fixture
def storage() -> str:
    return "folder"


@pytest.fixture
def scene(storage: str, settings: Settings, _own_storage: None) -> Iterator[Scene]:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", BACKEND]
    settings.BATCHREEL = {**settings.BATCHREEL, "api_throttle_per_minute": 0}
    if storage == "bucket":
        use_new_bucket(settings)
    yield Scene()
    ObjectPermissions.granted = set()


def test_every_operation_that_a_folder_hides_is_in_the_table_when_one_is_added() -> None:
    hidden = {each for each, (statuses, _) in EXPECTED.items() if not {200, 201, 202, 204} & set(statuses.values())}
    # A job that has ended cannot be cancelled, and a video that is ready needs no retry: 409 for those who may.
    assert hidden - set(IN_PARTS) == {("post", "retry"), ("post", "cancel")}


@pytest.mark.parametrize("storage", ["bucket"])
def test_every_person_gets_what_they_may_when_files_are_uploaded_in_parts(scene: Scene) -> None:
    found: dict[tuple[str, str], dict[str, int]] = {operation: {} for operation in IN_PARTS}
    for (method, name), (_, content) in IN_PARTS.items():
        for who in PEOPLE:
            with rolled_back():
                if name != "videos" and (method, name) != ("post", "upload"):
                    assert scene.send("owner", "post", "upload", BEGIN).status_code == 201
                response = scene.send(who, method, name, content)
            found[method, name][who] = response.status_code
            if response.status_code >= 400:
                problem(response)
    assert found == {operation: statuses for operation, (statuses, _) in IN_PARTS.items()}


@pytest.mark.parametrize("storage", ["bucket"])
def test_new_video_is_deleted_by_those_who_may_delete_it_when_its_upload_is_aborted(scene: Scene) -> None:
    statuses = {}
    for codename in ("change_video", "view_video", "delete_video"):
        url = scene.clients["owner"].post("/api/videos/", BEGIN)["Location"]
        user = User.objects.create_user(codename)
        user.user_permissions.add(Permission.objects.get(codename=codename))
        statuses[codename] = with_token(user).delete(f"{url}upload/").status_code
    assert statuses == {"change_video": 404, "view_video": 404, "delete_video": 204}


def test_account_gets_nothing_when_it_is_no_longer_active(scene: Scene) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="owner"))
    User.objects.update(is_active=False)
    for (method, name), (_, content) in EXPECTED.items():
        url = scene.url(name)
        for who in set(PEOPLE) - {"anonymous"}:
            refused = problem(scene.send(who, method, name, content, url=url))
            assert refused == (401, "AUTHENTICATION_FAILED"), (method, name, who)
        assert problem(getattr(browser, method)(url)) == (401, "NOT_AUTHENTICATED"), (method, name)


def test_owner_gets_nothing_when_the_video_was_deleted(scene: Scene) -> None:
    urls = {operation: scene.url(operation[1]) for operation in OF_A_VIDEO}
    Video.objects.update(deleted_at=Job.objects.get().created_at)
    for (method, name), url in urls.items():
        for who in ("owner", "operator", "enrolled"):
            refused = problem(scene.send(who, method, name, EXPECTED[method, name][1], url=url))
            assert refused == (404, "NOT_FOUND"), (method, name, who)


def test_share_link_lets_people_watch_only_when_they_have_an_account(scene: Scene) -> None:
    token = token_of(create_share_link(video_id=scene.video.pk, days=1))
    for who in ("student", "anonymous"):
        scene.clients[who].cookies[SHARE_COOKIE] = token
    for method, name in OF_A_VIDEO:
        url = scene.url(name)
        expected, content = EXPECTED[method, name]
        status = 200 if expected == of_a_video(200, WATCH) else 404
        assert scene.send("student", method, name, content, url=url).status_code == status, (method, name)
        refused = problem(scene.send("anonymous", method, name, content, url=url))
        assert refused == (401, "NOT_AUTHENTICATED"), (method, name)


def test_staff_status_gives_nothing_when_it_is_combined_with_a_session(scene: Scene) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="staff"))
    for name in ("video", "playback", "share-links", "job"):
        assert problem(browser.get(scene.url(name))) == (404, "NOT_FOUND")
    assert problem(browser.get(reverse("batchreel-api:webhooks"))) == (403, "PERMISSION_DENIED")
