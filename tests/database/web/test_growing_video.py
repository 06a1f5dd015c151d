"""A video can be watched while it is made: from its first unit on, until the published playlists take over."""

from __future__ import annotations

import gzip
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tasks.models import Job, Unit
from tasks.selectors.growing import growing as selected
from tasks.services.container_api.finish import reject_input, replan
from tasks.services.container_api.publish import finished_units, redo_units
from tasks.services.requests.cancel import cancel_job
from tasks.transcode import PLAN_VERSION
from tests.buckets import use_new_bucket
from tests.factories import leased, published
from tests.growing_job import UNITS, GrowingJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import DjangoAssertNumQueries, Settings

    from tasks.selectors.growing import ListedUnits
    from tasks.transcode import UnitKey

pytestmark = pytest.mark.django_db

HLS_NAMES = ("480p.m3u8", "360p.m3u8", "240p.m3u8", "audio.m3u8")


def text(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, response.content
    return response.content.decode()


def seconds(client: Client, growing: GrowingJob) -> float:
    """Return how far all rungs and the audio are listed; they must be equally long."""
    sums = {
        round(sum(float(each) for each in re.findall(r"#EXTINF:([\d.]+)", text(client, growing.url(name)))), 1)
        for name in HLS_NAMES
    }
    assert len(sums) == 1
    return sums.pop()


def progress(client: Client, growing: GrowingJob) -> dict[str, object]:
    video_id = str(growing.video.pk)
    found: dict[str, object] = client.get("/progress/", {"video": video_id}).json()["videos"][video_id]
    return found


def test_video_is_playable_as_far_as_its_units_are_finished_when_they_finish_in_any_order(staff: Client) -> None:
    growing = GrowingJob()
    page = f"/videos/{growing.video.pk}/"
    nothing = staff.get(growing.url())
    assert (nothing.status_code, nothing.json()["code"]) == (404, "NOTHING_YET")
    assert (progress(staff, growing)["playable_s"], progress(staff, growing)["watchable"]) == (None, "")
    assert "<video" not in text(staff, page)
    growing.finish(1, 0)
    assert staff.get(growing.url()).status_code == 404
    growing.finish("audio")
    # The second audio unit is missing, so the second video unit has to wait for it.
    assert (seconds(staff, growing), progress(staff, growing)["playable_s"]) == (12, 12)
    growing.finish(3, "audio-1")
    assert (seconds(staff, growing), progress(staff, growing)["playable_s"]) == (24, 24)
    assert f'data-playlist="{growing.url()}" data-growing' in text(staff, page)
    assert "playable up to 0:24" in text(staff, page)
    growing.finish(2, 4)
    assert (seconds(staff, growing), progress(staff, growing)["playable_s"]) == (60, 60)
    assert "#EXT-X-ENDLIST" not in text(staff, growing.url("480p.m3u8"))


def test_first_units_of_audio_and_video_are_leased_first_when_the_audio_has_two() -> None:
    assert tuple(GrowingJob().leases) == UNITS == ("audio", 0, "audio-1", 1, 2, 3, 4)


def test_published_playlists_take_over_at_the_same_url_when_the_job_succeeds(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish(*UNITS)
    before = {name: text(staff, growing.url(name)) for name in (*HLS_NAMES, "manifest.mpd")}
    watchable = progress(staff, growing)["watchable"]
    lease = growing.publish()
    for name in HLS_NAMES:
        after = text(staff, growing.url(name))
        assert after == before[name].replace("#EXT-X-START:TIME-OFFSET=0\n", "") + "#EXT-X-ENDLIST\n"
    assert 'type="dynamic"' in before["manifest.mpd"]
    assert 'type="static"' in text(staff, growing.url("manifest.mpd"))
    assert "#EXT-X-I-FRAME-STREAM-INF" in text(staff, growing.url())
    assert staff.get(growing.url())["Cache-Control"] == "no-store"
    after = progress(staff, growing)
    assert (after["watchable"], after["playlist"]) == (
        str(growing.claim.job_id),
        f"/media/{lease.key_prefix}/master.m3u8",
    )
    assert (str(watchable), after["playable_s"]) == (f"growing-{growing.claim.job_id}-f1", 60)
    assert "data-growing" not in text(staff, f"/videos/{growing.video.pk}/")


def test_captions_redirect_to_the_published_ones_when_the_job_succeeds(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish(*UNITS)
    lease = growing.publish()
    response = staff.get(growing.url("captions-1.vtt"))
    assert (response.status_code, response["Cache-Control"]) == (302, "no-store")
    assert response["Location"] == f"/media/{lease.key_prefix}/captions-1.vtt"


def redo(growing: GrowingJob, folder: str) -> None:
    """Make the unit whose output is in this folder fail its verification."""
    bad = next(unit for unit in finished_units(growing.claim.job_id) if unit.output["folder"] == folder)
    redo_units(growing.claim, leased(growing.claim), bad=[(bad, "damaged")])


@pytest.mark.parametrize("key", [1, "audio-1"], ids=["video", "audio"])
def test_growing_playlist_does_not_shrink_when_a_unit_is_redone(staff: Client, key: UnitKey) -> None:
    growing = GrowingJob()
    growing.finish(*UNITS)
    old = posixpath.basename(growing.leases[key].key_prefix)
    redo(growing, old)
    assert (seconds(staff, growing), progress(staff, growing)["playable_s"]) == (60, 60)
    assert growing.lease() == key
    new = posixpath.basename(growing.leases[key].key_prefix)
    names = [name for name in HLS_NAMES if (name == "audio.m3u8") == isinstance(key, str)]
    assert seconds(staff, growing) == 60
    assert all(old in text(staff, growing.url(name)) for name in names)
    growing.finish(key)
    assert (seconds(staff, growing), progress(staff, growing)["playable_s"]) == (60, 60)
    for name in names:
        assert new in text(staff, growing.url(name))
        assert old not in text(staff, growing.url(name))
    redo(growing, new)
    # What the redone unit had before, not what it had before the first redo.
    assert all(new in text(staff, growing.url(name)) for name in names)


def cancel(growing: GrowingJob) -> None:
    cancel_job(job_id=growing.claim.job_id)


def reject(growing: GrowingJob) -> None:
    reject_input(growing.claim, code="UNREADABLE", message="The file ends early.", exit_code=20)


def die(growing: GrowingJob) -> None:
    Job.objects.filter(pk=growing.claim.job_id).update(state="DEAD", reason="ATTEMPTS_EXHAUSTED")


@pytest.mark.parametrize("end", [cancel, reject, die])
def test_growing_playlist_ends_with_a_message_when_the_job_ends_otherwise(
    end: Callable[[GrowingJob], None], staff: Client
) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    end(growing)
    response = staff.get(growing.url("480p.m3u8"))
    assert (response.status_code, response.json()["code"]) == (410, "PROCESSING_ENDED")
    assert response["Cache-Control"] == "no-store"
    assert response.json()["errors"][0].startswith("Processing has ended before the video was complete.")
    assert (progress(staff, growing)["watchable"], progress(staff, growing)["playable_s"]) == ("", None)
    assert "<video" not in text(staff, f"/videos/{growing.video.pk}/")


def test_growing_playlist_ends_when_the_job_is_planned_again(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    watchable = progress(staff, growing)["watchable"]
    replan(growing.claim, growing.leases[1], why="another engine")
    assert staff.get(growing.url()).json()["code"] == "PLANNED_AGAIN"
    growing.make_plan()
    growing.finish("audio", 0)
    # Its segments would not continue those of the plan before.
    assert staff.get(growing.url()).status_code == 410
    assert "#EXTM3U" in text(staff, growing.url(plan_fence=2))
    assert progress(staff, growing)["watchable"] != watchable


def test_growing_playlist_ends_when_another_version_of_the_engine_made_the_plan(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = GrowingJob()
    replan(growing.claim, growing.leases[0], why="another engine")
    with monkeypatch.context() as newer:
        newer.setattr("tasks.transcode.plan.plan.PLAN_VERSION", PLAN_VERSION + 1)
        growing.make_plan()
    growing.finish("audio", 0)
    response = staff.get(growing.url(plan_fence=2))
    assert (response.status_code, response.json()["code"]) == (410, "PLANNED_AGAIN")
    assert (progress(staff, growing)["watchable"], progress(staff, growing)["playable_s"]) == ("", None)
    assert "<video" not in text(staff, f"/videos/{growing.video.pk}/")


def test_published_playlists_do_not_continue_another_plans_when_the_job_succeeds(staff: Client) -> None:
    growing = GrowingJob()
    replan(growing.claim, growing.leases[0], why="another engine")
    growing.make_plan()
    growing.finish(*UNITS)
    growing.publish()
    response = staff.get(growing.url("480p.m3u8", plan_fence=1))
    assert (response.status_code, response.json()["code"]) == (410, "PLANNED_AGAIN")
    assert "#EXT-X-ENDLIST" in text(staff, growing.url("480p.m3u8", plan_fence=2))
    # What is published stays watchable when the rows of its units are gone.
    Unit.objects.all().delete()
    assert "#EXT-X-ENDLIST" in text(staff, growing.url("480p.m3u8", plan_fence=2))


def test_captions_are_offered_in_hls_when_the_job_has_published(staff: Client) -> None:
    growing = GrowingJob(captions=True)
    growing.finish(*UNITS)
    assert "SUBTITLES" not in text(staff, growing.url())
    assert staff.get(growing.url("captions-0.m3u8")).status_code == 404
    assert text(staff, growing.url("captions-0.vtt")).startswith("WEBVTT")
    growing.publish()
    assert 'URI="captions-0.m3u8"' in text(staff, growing.url())
    # Only a list of type VOD may have another target duration than the others (RFC 8216, 6.2.4).
    captions = text(staff, growing.url("captions-0.m3u8"))
    assert ("TYPE:VOD" in captions, "#EXT-X-ENDLIST" in captions) == (True, True)
    assert "TYPE:EVENT" in text(staff, growing.url("480p.m3u8"))


def test_growing_playlist_is_not_served_when_the_video_is_not_the_users(
    client: Client, django_user_model: type[User]
) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    response = client.get(growing.url())
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
    client.force_login(django_user_model.objects.create_user("another lecturer"))
    assert client.get(growing.url()).status_code == 404


def test_growing_playlist_is_not_served_when_the_video_was_deleted(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    growing.video.delete()
    response = staff.get(growing.url())
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("name", ["720p.m3u8", "480p.mp4", "manifest.json", "poster.jpg", "master"])
def test_growing_playlist_is_not_found_when_its_name_is_not_one_of_the_ladder(name: str, staff: Client) -> None:
    growing = GrowingJob()
    growing.finish(*UNITS)
    assert staff.get(growing.url(name)).status_code == 404
    growing.publish()
    assert staff.get(growing.url(name)).status_code == 404


def test_growing_playlist_of_another_videos_job_is_not_found_when_its_key_is_made_up(staff: Client) -> None:
    growing, other = GrowingJob(), GrowingJob()
    growing.finish("audio", 0)
    url = growing.url().replace(str(growing.video.pk), str(other.video.pk))
    assert staff.get(url).status_code == 404


def test_growing_playlist_is_never_cached_when_it_is_requested_in_any_way(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    whole = staff.get(growing.url())
    head = staff.head(growing.url())
    packed = staff.get(growing.url(), headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    again = staff.get(
        growing.url(), headers={"If-Modified-Since": "Tue, 01 Jan 2036 00:00:00 GMT", "If-None-Match": "*"}
    )
    for response in (whole, head, packed, again):
        assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
        assert response["Content-Type"] == "application/vnd.apple.mpegurl"
        assert not {"ETag", "Last-Modified"} & set(response.headers)
    assert (head.content, head["Content-Length"]) == (b"", str(len(whole.content)))
    assert gzip.decompress(packed.content) == whole.content == again.content
    assert staff.post(growing.url()).status_code == 405


def test_urls_are_presigned_and_stay_the_same_when_the_bucket_is_private(staff: Client, settings: Settings) -> None:
    use_new_bucket(settings)
    growing = GrowingJob()
    growing.finish("audio", "audio-1", 0)
    first = text(staff, growing.url("480p.m3u8")).splitlines()
    urls = {line for line in first if line.startswith("http")}
    assert len(urls) == 1
    assert "X-Amz-Signature" in urls.pop()
    assert "480p.m3u8" in text(staff, growing.url()).splitlines()
    growing.finish(1)
    second = text(staff, growing.url("480p.m3u8")).splitlines()
    assert second[: len(first)] == first
    growing.finish(2, 3, 4)
    growing.publish()
    after = [line for line in text(staff, growing.url("480p.m3u8")).splitlines() if line.startswith("http")]
    assert len({urlsplit(url).path for url in after}) == 5
    assert all("X-Amz-Signature" in url for url in after)


def test_media_come_from_the_base_url_when_there_is_a_cdn(staff: Client, settings: Settings) -> None:
    settings.MEDIA_BASE_URL = "https://cdn.example.org/"
    growing = GrowingJob()
    growing.finish("audio", 0)
    # Nothing is stored of the playlists, so the CDN cannot have them.
    assert progress(staff, growing)["playlist"] == growing.url()
    lines = text(staff, growing.url("480p.m3u8")).splitlines()
    prefix = f"https://cdn.example.org/{growing.leases[0].key_prefix}/480p.mp4"
    assert {line for line in lines if line and not line.startswith("#")} == {prefix}
    assert f'#EXT-X-MAP:URI="{prefix}"' in "\n".join(lines)


def test_uploaded_file_is_offered_until_the_publication_when_browsers_play_it(staff: Client) -> None:
    growing = GrowingJob(plays_directly=True)
    growing.finish("audio", 0)
    page = text(staff, f"/videos/{growing.video.pk}/")
    assert f'src="/videos/{growing.video.pk}/source/"' in page
    assert "data-growing" not in page
    assert progress(staff, growing)["watchable"] == "source"
    assert "playable up to" not in page


def test_older_publication_is_shown_when_a_new_version_is_being_made(staff: Client) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    older = published()
    type(growing.video).objects.filter(pk=growing.video.pk).update(published_job=older.published_job)
    assert progress(staff, growing)["watchable"] == str(older.published_job_id)
    assert "data-growing" not in text(staff, f"/videos/{growing.video.pk}/")


def test_units_are_parsed_once_when_many_viewers_reload_the_playlists(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    growing = GrowingJob()
    growing.finish("audio", "audio-1", 0)
    text(staff, growing.url("480p.m3u8"))
    with django_assert_num_queries(5) as again:
        text(staff, growing.url("480p.m3u8"))
    assert not any('"output" FROM' in query["sql"] for query in again.captured_queries)
    growing.finish(1)
    with django_assert_num_queries(6) as grown:
        text(staff, growing.url("480p.m3u8"))
    (outputs,) = [query["sql"] for query in grown.captured_queries if '"output" FROM' in query["sql"]]
    assert str(Unit.objects.get(kind="video", index=1).pk) in outputs
    assert str(Unit.objects.get(kind="video", index=0).pk) not in re.findall(r"\d+", outputs.partition("WHERE")[2])


def test_growing_playlist_is_rendered_once_when_many_viewers_request_it(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = GrowingJob()
    growing.finish("audio", 0)
    rendered: list[ListedUnits] = []

    def counted(listed: ListedUnits) -> object:
        rendered.append(listed)
        return selected(listed)

    monkeypatch.setattr("tasks.views.playlists.growing.growing", counted)
    assert len({text(staff, growing.url("480p.m3u8")) for _ in range(3)}) == 1
    assert len(rendered) == 1
    text(staff, growing.url("360p.m3u8"))
    assert len(rendered) == 2, "each playlist is a text of its own"
    growing.finish(1, "audio-1")
    assert "#EXTINF" in text(staff, growing.url("480p.m3u8"))
    assert len(rendered) == 3
    growing.finish(*UNITS[UNITS.index(1) + 1 :])
    growing.publish()
    assert len({text(staff, growing.url("480p.m3u8")) for _ in range(3)}) == 1
    assert len(rendered) == 3
