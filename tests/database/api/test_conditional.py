"""ETags: reading only what has changed, and changing only what one has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from tasks.api import videos
from tasks.models import Event, Video
from tasks.services.requests.edit import edit_video
from tests.database.api.clients import problem
from tests.factories import published

if TYPE_CHECKING:
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(client: APIClient) -> str:
    video = published()
    Video.objects.update(owner=User.objects.get())
    return f"/api/videos/{video.pk}/"


def test_video_is_not_sent_again_when_it_has_not_changed(client: APIClient, url: str) -> None:
    etag = client.get(url)["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(url, HTTP_IF_NONE_MATCH=held)
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    assert response["Cache-Control"] == "private, no-cache"
    assert client.get(url, HTTP_IF_NONE_MATCH='"other"').status_code == 200


def test_etag_changes_when_anything_in_the_video_does(client: APIClient, url: str) -> None:
    etags = {client.get(url)["ETag"]}
    assert client.patch(url, {"title": "New"})["ETag"] not in etags
    etags.add(client.get(url)["ETag"])
    client.patch(url, {"visibility": "link"})
    etags.add(client.get(url)["ETag"])
    Video.objects.update(published_job=None)
    etags.add(client.get(url)["ETag"])
    assert len(etags) == 4


def test_change_is_refused_when_the_video_has_changed_since_it_was_read(client: APIClient, url: str) -> None:
    old = client.get(url)["ETag"]
    new = client.patch(url, {"title": "First"}, HTTP_IF_MATCH=old)
    assert (new.status_code, new.json()["title"]) == (200, "First")
    for stale in (old, f"W/{new['ETag']}", '"other"', ""):
        assert problem(client.patch(url, {"title": "Second"}, HTTP_IF_MATCH=stale)) == (412, "PRECONDITION_FAILED")
        assert problem(client.delete(url, HTTP_IF_MATCH=stale)) == (412, "PRECONDITION_FAILED")
    video = Video.objects.get()
    assert (video.title, video.deleted_at) == ("First", None)
    assert client.patch(url, {"title": "Third"}, HTTP_IF_MATCH="*").status_code == 200
    etag = client.get(url)["ETag"]
    assert client.delete(url, HTTP_IF_MATCH=etag).status_code == 204
    assert client.get(url).status_code == 404


def test_change_between_the_check_and_the_write_is_seen_when_it_comes_first(
    client: APIClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = client.get(url)["ETag"]
    edit = edit_video

    def edit_second(**arguments: object) -> None:
        Video.objects.update(title="Another client's")
        edit(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(videos, "edit_video", edit_second)
    assert problem(client.patch(url, {"title": "Mine"}, HTTP_IF_MATCH=etag)) == (412, "PRECONDITION_FAILED")
    assert Video.objects.get().title == "Another client's"


def test_history_names_what_was_changed_when_it_was(client: APIClient, url: str) -> None:
    for _ in range(2):
        assert client.patch(url, {"title": "New", "visibility": "link"}).status_code == 200
    kinds = list(Event.objects.filter(kind__startswith="video.").order_by("pk").values_list("kind", flat=True))
    assert kinds == ["video.title", "video.visibility"]
