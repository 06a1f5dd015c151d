"""Pages of lists by a cursor: every row once, in order, whatever their times are and whatever changes meanwhile."""

from __future__ import annotations

import json
import uuid
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User

from tasks.models import Video
from tests.database.api.clients import problem, with_token

if TYPE_CHECKING:
    from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
LIST = "/api/videos/"


def videos(number: int) -> list[str]:
    """Save videos of the user with the same time, and return their ids in the order of the list."""
    rows = [Video(title=str(each), owner_id=lecturer_id(), created_at=MOMENT) for each in range(number)]
    Video.objects.bulk_create(rows)
    return [str(each) for each in sorted((row.pk for row in rows), key=lambda pk: pk.int, reverse=True)]


def lecturer_id() -> Any:
    return User.objects.values_list("pk", flat=True).get()


def walked(client: APIClient, url: str, direction: str) -> list[list[str]]:
    """Return the ids of all pages in this direction, beginning with that of the URL."""
    pages: list[list[str]] = []
    following: str | None = url
    while following is not None:
        assert len(pages) < 30, "it never ends"
        page = client.get(following).json()
        pages.append([each["id"] for each in page["results"]])
        following = page[direction]
    return pages


def test_every_row_is_listed_once_in_both_directions_when_a_thousand_have_the_same_time(client: APIClient) -> None:
    expected = videos(1001)
    forwards = walked(client, f"{LIST}?limit=100", "next")
    assert [each for page in forwards for each in page] == expected
    assert [len(page) for page in forwards] == [100] * 10 + [1]
    following: str | None = f"{LIST}?limit=100"
    last = f"{LIST}?limit=100"
    while following is not None:
        last, following = following, client.get(following).json()["next"]
    backwards = walked(client, last, "previous")
    assert backwards == forwards[::-1]


def test_no_row_is_skipped_when_rows_with_the_same_time_are_deleted_after_being_read(client: APIClient) -> None:
    expected = videos(9)
    first = client.get(f"{LIST}?limit=3").json()
    assert [each["id"] for each in first["results"]] == expected[:3]
    Video.objects.filter(pk__in=expected[:3]).update(deleted_at=MOMENT)
    second = client.get(first["next"]).json()
    assert [each["id"] for each in second["results"]] == expected[3:6]
    assert second["previous"] is None
    assert walked(client, second["next"], "next") == [expected[6:9]]


def test_page_leads_back_when_everything_after_the_cursor_was_deleted(client: APIClient) -> None:
    expected = videos(5)
    after = client.get(f"{LIST}?limit=3").json()["next"]
    Video.objects.filter(pk__in=expected[3:]).update(deleted_at=MOMENT)
    page = client.get(after).json()
    assert (page["results"], page["next"]) == ([], None)
    assert walked(client, page["previous"], "previous")[-1][-1] == expected[2]


def test_page_leads_forwards_when_everything_before_the_cursor_was_deleted(client: APIClient) -> None:
    expected = videos(6)
    second = client.get(client.get(f"{LIST}?limit=3").json()["next"]).json()
    Video.objects.filter(pk__in=expected[:3]).update(deleted_at=MOMENT)
    page = client.get(second["previous"]).json()
    assert (page["results"], page["previous"]) == ([], None)
    assert walked(client, page["next"], "next") == [expected[3:]]


def test_row_that_is_added_repeats_none_when_a_list_is_being_read(client: APIClient) -> None:
    expected = videos(6)
    first = client.get(f"{LIST}?limit=3").json()
    Video.objects.create(title="newer", owner_id=lecturer_id())
    second = client.get(first["next"]).json()
    assert [each["id"] for each in second["results"]] == expected[3:]
    assert client.get(second["previous"]).json()["previous"] is not None


def test_list_has_no_other_pages_when_it_is_short_or_empty(client: APIClient) -> None:
    assert client.get(LIST).json() == {"next": None, "previous": None, "results": []}
    videos(2)
    page = client.get(f"{LIST}?limit=2").json()
    assert (page["next"], page["previous"], len(page["results"])) == (None, None, 2)


def encoded(content: object) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "%00", "ä", "[]", encoded([]), encoded(1), encoded([1, 2, 3, 4]), encoded({"next": 1})),
        encoded(["next", "2026-01-01T00:00:00", str(uuid.uuid4()), False]),  # without a time zone
        encoded(["next", "2026-01-01T00:00:00+00:00", "no id", False]),
        encoded(["next", "0001-01-01T00:00:00+14:00", str(uuid.uuid4()), False]),
        encoded(["sideways", "2026-01-01T00:00:00+00:00", str(uuid.uuid4()), False]),
        encoded(["next", "2026-01-01T00:00:00+00:00", None, False]),
        encoded([["next"], "2026-01-01T00:00:00+00:00", str(uuid.uuid4()), False]),
        encoded(["next", "2026-01-01T00:00:00+00:00", float("inf"), False]),
        urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_cursor_is_refused_when_it_is_not_one_of_the_lists(cursor: str, client: APIClient) -> None:
    response = client.get(LIST, {"cursor": cursor})
    assert problem(response) == (400, "INVALID")
    assert [each["field"] for each in response.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("key", [float("inf"), float("nan"), 10**30, "1" * 5000, [1], True])
def test_cursor_is_refused_when_its_key_is_no_number_of_a_row(key: object, client: APIClient) -> None:
    user = User.objects.get()
    user.user_permissions.add(Permission.objects.get(codename="view_webhookendpoint"))
    cursor = encoded(["next", "2026-01-01T00:00:00+00:00", key, False])
    response = with_token(user).get("/api/webhooks/", {"cursor": cursor})
    assert response.status_code == 200 if key is True else problem(response) == (400, "INVALID")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "", "x", "٣", "99999999999999999999"])
def test_limit_is_refused_when_it_is_no_number_of_rows(limit: str, client: APIClient) -> None:
    assert problem(client.get(LIST, {"limit": limit})) == (400, "INVALID")
