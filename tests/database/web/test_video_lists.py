"""The list of videos: search, groups, order, pages, owners, and the cards and blocks that scripts exchange."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from tasks.models import DirectUpload, Job, Video
from tasks.selectors.lists import Group, Listing, listed
from tasks.services.requests.request import request_again
from tests.backlog import add_jobs
from tests.database.web.test_pages import cancelled_video, dead_video, rejected_video
from tests.factories import claimed, lecturer, planned, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


def titles(browser: Client, **query: str) -> list[str]:
    page = browser.get(f"/?{urlencode(query)}").content.decode()
    return re.findall(r"<h2><a [^>]*>([^<]*)</a></h2>", page)


def named(video: Video, title: str, **fields: object) -> Video:
    Video.objects.filter(pk=video.pk).update(title=title, **fields)
    return video


def unfinished_upload() -> Video:
    video = Video.objects.create(title="Unfinished", source="sources/a.mp4", source_complete=False)
    DirectUpload.objects.create(video=video, source_name="sources/a.mp4", upload_id="u", size_bytes=1, part_bytes=1)
    return video


def test_list_has_each_video_in_one_group_when_videos_are_in_every_state(staff: Client) -> None:
    updating = named(published(), "Updating")
    request_again(video_id=updating.pk)
    named(published(), "Ready")
    named(uploaded_video(), "Waiting")
    planned(claimed(submitted_attempt(named(uploaded_video(), "Processing"))))
    unfinished_upload()
    unrequested = Video.objects.create(title="Unrequested", source="sources/b.mp4")
    unrequested.jobs.all().delete()
    for make in (rejected_video, dead_video, cancelled_video):
        make()
    assert sorted(titles(staff, status="ready")) == ["Ready", "Updating"]
    assert sorted(titles(staff, status="making")) == ["Processing", "Unfinished", "Unrequested", "Waiting"]
    assert sorted(titles(staff, status="failed")) == ["Notes", "Unlucky", "Wrong file"]
    assert len(titles(staff)) == Video.objects.count() == 9


def test_list_has_a_retried_video_among_those_being_made_when_its_first_job_failed(staff: Client) -> None:
    video = rejected_video()
    staff.post(f"/videos/{video.pk}/retry/")
    assert (titles(staff, status="failed"), titles(staff, status="making")) == ([], ["Notes"])


def test_list_is_in_the_wanted_order_when_one_is_chosen(staff: Client) -> None:
    lengths = {"banana": 60.0, "Apple": 3661.0, "cherry": None}
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day, (title, length_s) in enumerate(lengths.items()):
        video = uploaded_video() if length_s is None else published()
        named(video, title, created_at=start + timedelta(days=day))
        Job.objects.filter(video=video).update(duration_s=length_s)
    assert titles(staff) == titles(staff, sort="nonsense") == ["cherry", "Apple", "banana"]
    assert titles(staff, sort="oldest") == ["banana", "Apple", "cherry"]
    assert titles(staff, sort="title") == ["Apple", "banana", "cherry"]
    assert titles(staff, sort="longest") == ["Apple", "banana", "cherry"]
    page = staff.get("/").content.decode()
    assert re.findall(r"</span> ([\d:]+)</span>", page) == ["1:01:01", "1:00"]


def test_pages_neither_repeat_nor_skip_a_video_when_all_have_the_same_time(staff: Client) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    Video.objects.bulk_create([Video(title="T", source="s", created_at=now) for _ in range(60)])
    for sort in ("newest", "oldest", "title", "longest"):
        pages = [staff.get(f"/?sort={sort}&page={number}").content.decode() for number in (1, 2, 3)]
        shown = [card for page in pages for card in re.findall(r'data-card="([^"]+)"', page)]
        assert (len(shown), len(set(shown))) == (60, 60)


def test_list_finds_titles_and_owners_when_a_person_sees_the_videos_of_others(staff: Client) -> None:
    ada, bob = lecturer("ada", last_name="Lovelace"), lecturer("bob")
    named(uploaded_video(), "Optics & light", owner=ada)
    named(uploaded_video(), "Waves", owner=bob)
    assert titles(staff, q="LIGHT") == ["Optics &amp; light"]
    assert titles(staff, q="lovelace") == ["Optics &amp; light"]
    assert titles(staff, owner=str(bob.pk)) == ["Waves"]
    assert titles(staff, owner="nobody") == titles(staff, owner="9" * 99) == titles(staff)
    page = staff.get("/").content.decode()
    assert f'<a href="/?owner={ada.pk}">ada' not in page
    assert f'<a href="/?owner={bob.pk}">bob</a>' in page
    assert "Lovelace</a>" in page


def test_list_reveals_no_owner_when_a_person_sees_only_their_own_videos(client: Client) -> None:
    ada, bob = lecturer("ada"), lecturer("bob")
    named(uploaded_video(), "Optics", owner=ada)
    named(uploaded_video(), "Waves", owner=bob)
    client.force_login(ada)
    assert titles(client) == ["Optics"]
    assert titles(client, q="bob") == titles(client, q="ada") == []
    assert titles(client, owner=str(bob.pk)) == ["Optics"]
    assert "?owner=" not in client.get("/").content.decode()


def test_links_to_pages_keep_what_was_searched_for_when_there_are_several(staff: Client) -> None:
    Video.objects.bulk_create([Video(title=f"A & B {number}", source="s") for number in range(300)])
    page = staff.get("/?q=A+%26+B&sort=oldest&page=6").content.decode()
    links = re.findall(r'href="\?q=A\+%26\+B&amp;sort=oldest&amp;page=(\d+)"', page)
    assert links == ["5", "1", "4", "5", "6", "7", "8", "13", "7"]
    assert '<a aria-current="page" href="?q=A+%26+B&amp;sort=oldest&amp;page=6">' in page
    assert 'value="A &amp; B"' in page


def test_upload_form_is_shown_where_a_visit_begins_when_the_list_is_long(staff: Client) -> None:
    Video.objects.bulk_create([Video(title=f"Video {number}", source="s") for number in range(30)])
    assert 'id="upload"' in staff.get("/").content.decode()
    for query in ("?page=2", "?q=Video", "?status=ready"):
        assert 'id="upload"' not in staff.get(f"/{query}").content.decode()


def test_list_takes_ten_queries_at_most_when_every_part_of_it_is_used(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    viewer = User.objects.create_user("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_video"))
    for make in (rejected_video, dead_video, cancelled_video, uploaded_video, published):
        named(make(), "A video", owner=viewer)
    client.force_login(viewer)
    with django_assert_num_queries(10):
        assert len(titles(client, q="viewer", owner=str(viewer.pk), sort="longest")) == 5


@pytest.mark.parametrize("group", [Group.READY, Group.MAKING, Group.FAILED])
def test_group_reads_the_jobs_of_unpublished_videos_alone_when_most_are_published(
    admin_user: User, group: Group
) -> None:
    add_jobs(None, 1000)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE batchreel_video SET published_job_id = job.id FROM batchreel_job AS job"
            " WHERE job.video_id = batchreel_video.id AND batchreel_video.title::int > 20"
        )
        cursor.execute("ANALYZE batchreel_video, batchreel_job")
    plan = listed(admin_user, Listing(group=group)).explain()
    jobs = [line for line in plan.splitlines() if "Scan" in line and "batchreel_job" in line]
    # Those of the subquery: by the index of the video. The published job of each shown row is joined by its key.
    assert not [line for line in jobs if "Seq Scan on batchreel_job u0" in line], plan


def test_cards_are_those_of_the_list_when_a_script_requests_them(staff: Client) -> None:
    ready, failed = published(), rejected_video()
    gone = uploaded_video()
    gone.delete()
    query = urlencode({"video": [str(ready.pk), str(failed.pk), str(gone.pk), "nonsense"]}, doseq=True)
    response = staff.get(f"{reverse('batchreel:cards')}?{query}")
    cards = response.content.decode()
    assert response["Cache-Control"] == "no-store"
    assert set(re.findall(r'data-card="([^"]+)"', cards)) == {str(ready.pk), str(failed.pk)}
    listed_card = re.search(
        rf'<li class="card" data-card="{ready.pk}">.*?</li>', staff.get("/").content.decode(), re.DOTALL
    )
    assert listed_card
    assert listed_card[0] in cards
    assert 'name="csrfmiddlewaretoken"' in cards


def test_blocks_are_those_of_the_page_when_its_script_requests_them(staff: Client) -> None:
    video = published()
    response = staff.get(f"/videos/{video.pk}/blocks/")
    blocks, page = response.content.decode(), staff.get(f"/videos/{video.pk}/").content.decode()
    assert response["Cache-Control"] == "no-store"
    assert "<html" not in blocks
    names = re.findall(r'data-block="(\w+)"', blocks)
    assert names == re.findall(r'data-block="(\w+)"', page) == [
        *("player", "description", "warnings", "progress", "actions", "cost", "story", "history"),
    ]  # fmt: skip
    assert f'data-watchable="{video.published_job_id}"' in blocks


def test_status_is_on_a_card_only_when_the_video_is_not_simply_ready(staff: Client) -> None:
    published()
    hidden = '<p class="status-line" hidden>'
    assert hidden in staff.get("/").content.decode()
    video = Video.objects.get()
    assert hidden not in staff.get(f"/videos/{video.pk}/").content.decode()
    request_again(video_id=video.pk)
    assert hidden not in staff.get("/").content.decode()
