"""A large file: uploaded from a browser to a private bucket in parts over a failing network, transcoded, and played.

The file has 96 MiB by default, and 1 GiB with --long; the memory limits of site and container are
the same.
"""

from __future__ import annotations

import itertools
import os
import re
import struct
import subprocess
import sys
import threading
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.core.files.storage import default_storage

from project.local.servers.ports import free_port
from tasks.models import DirectUpload, Video
from tasks.storage.parts import MIN_PART_BYTES
from tests.browser.browsing import MESSAGE, QUALITY
from tests.browser.conftest import browsing_on, gunicorn
from tests.buckets import new_bucket, use_bucket
from tests.cutting_proxy import CuttingProxy
from tests.factories import submitted_attempt
from tests.media.clips import ffmpeg
from tests.polling import wait_for
from tests.processes import children_of, program_under_lifeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from playwright.sync_api import Route
    from pytest_django import Settings

    from tests.browser.browsing import Browsing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MIB = 1024 * 1024
SIZES_MIB = [96, pytest.param(1024, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
CLIP_S = 8
UPLOAD_LIMIT_MS = 600_000
SITE_GROWTH_LIMIT_MIB = 80
"""Each of its eight threads creates its own S3 client of 6 MiB; the file is larger than all of them together."""
CONTAINER_LIMIT_MIB = 260
"""A container that has fetched 8 MiB uses about 150 MiB; holding the source in memory would add the source's size."""


class ServedSite(NamedTuple):
    """The site under gunicorn with a private bucket, and the proxy between browsers, containers and the bucket."""

    url: str
    bucket: str
    network: CuttingProxy
    web_pid: int
    environment: dict[str, str]


class BucketSite(NamedTuple):
    """A signed-in browser on the site."""

    browsing: Browsing
    network: CuttingProxy
    web_pid: int
    environment: dict[str, str]


@pytest.fixture(scope="module")
def served_site(program_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedSite]:
    s3, bucket = new_bucket()
    s3.put_bucket_cors(
        Bucket=bucket,
        CORSConfiguration={
            "CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}]
        },
    )
    url = f"http://127.0.0.1:{free_port()}"
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"]).running() as network:
        files = {"STORAGE_BUCKET": bucket, "STORAGE_ENDPOINT_URL": network.url}
        environment = {**program_environment, **files, "SITE_URL": url}
        with gunicorn(environment, tmp_path_factory.mktemp("bucket_site")) as web:
            yield ServedSite(url, bucket, network, program_under_lifeline(web._process.pid), environment)


@pytest.fixture
def bucket_site(
    *, chromium: str, served_site: ServedSite, admin_user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BucketSite]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    use_bucket(settings, served_site.bucket)
    with browsing_on(served_site.url, chromium=chromium, user=admin_user) as browsing:
        served_site.network.sent_bytes = 0
        yield BucketSite(browsing, served_site.network, served_site.web_pid, served_site.environment)
    served_site.network.fix()


@pytest.fixture
def large_file(size_mib: int, tmp_path: Path) -> Path:
    """Return an eight-second video in a file of `size_mib`, padded with a `free` box (ISO/IEC 14496-12, 8.1.2)."""
    path = tmp_path / "a lecture.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=640x360:r=25:d={CLIP_S}", "-f", "lavfi", "-i", f"sine=d={CLIP_S}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"),
        str(path),
    )
    padding_bytes = size_mib * MIB - path.stat().st_size
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(struct.pack(">I4sQ", 1, b"free", padding_bytes))
        file.truncate(size_mib * MIB)
    return path


def choose_and_send(site: BucketSite, file: Path) -> None:
    site.browsing.send_files(str(file))


def reset_peaks(root: int) -> None:
    """Reset the peak memory of a process and its children (Linux, proc_pid_clear_refs)."""
    for each in (root, *children_of(root)):
        Path(f"/proc/{each}/clear_refs").write_text("5")


def peak_mib(root: int) -> float:
    """Return the largest peak memory among a process and its children."""
    return max(_peak_mib(each) for each in (root, *children_of(root)))


def _peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def run_container(site: BucketSite, video: Video) -> float:
    """Run the real container program for the video's job, and return its peak memory in MiB, without its children."""
    attempt = submitted_attempt(video)
    program = subprocess.Popen(
        [sys.executable, "-m", "tasks.container", str(attempt.job_id), str(attempt.number)],
        env={**site.environment, "AWS_BATCH_JOB_ID": str(attempt.batch_job_id)},
        cwd=django_settings.BASE_DIR,
    )
    peaks = [0.0]
    while program.poll() is None:
        peaks.append(_peak_mib(program.pid))
        threading.Event().wait(0.05)  # the polling interval, not a wait for a result
    assert program.returncode == 0
    return max(peaks)


@pytest.mark.long
@pytest.mark.parametrize("size_mib", SIZES_MIB)
def test_large_upload_becomes_playable_when_the_network_fails_meanwhile(
    size_mib: int, large_file: Path, bucket_site: BucketSite
) -> None:
    page, network = bucket_site.browsing.page, bucket_site.network
    page.set_default_timeout(UPLOAD_LIMIT_MS)
    reset_peaks(bucket_site.web_pid)
    web_before_mib = peak_mib(bucket_site.web_pid)
    # No data passes from there until the network is cut, so the upload cannot finish before.
    network.pause(at_sent_bytes=size_mib * MIB * 4 // 10)
    choose_and_send(bucket_site, large_file)
    wait_for(network.is_paused, limit_s=300, what="four tenths of the file")
    network.cut()
    page.wait_for_selector("text=The connection was lost. The upload will continue automatically.")
    network.fix()
    bucket_site.browsing.open_uploaded()
    video = Video.objects.get()
    assert default_storage.size(str(video.source)) == size_mib * MIB
    assert not DirectUpload.objects.exists()
    # Only the parts in flight were sent again.
    assert network.sent_bytes < (size_mib + 8) * MIB + 3 * MIN_PART_BYTES
    assert peak_mib(bucket_site.web_pid) < web_before_mib + SITE_GROWTH_LIMIT_MIB

    assert run_container(bucket_site, video) < CONTAINER_LIMIT_MIB
    page.wait_for_selector(QUALITY, state="attached")
    page.evaluate("() => { player.muted = true; player.playbackRate = 2; return player.play(); }")
    bucket_site.browsing.wait_until("player.ended")
    assert page.evaluate("player.currentTime") == pytest.approx(CLIP_S, abs=0.1)


@pytest.mark.parametrize("size_mib", [32])
def test_upload_resumes_where_it_stopped_when_the_page_was_closed(
    size_mib: int, large_file: Path, bucket_site: BucketSite
) -> None:
    page, network = bucket_site.browsing.page, bucket_site.network
    network.pause(at_sent_bytes=size_mib * MIB * 6 // 10)
    choose_and_send(bucket_site, large_file)
    wait_for(network.is_paused, limit_s=120, what="six tenths of the file")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    network.fix()
    offer = page.wait_for_selector("#unfinished li")
    assert offer is not None
    text = r"\d+ % of “a lecture\.mp4” was uploaded\. Choose the file again to continue\. Discard"
    assert re.fullmatch(text, offer.inner_text())
    choose_and_send(bucket_site, large_file)
    page.set_default_timeout(UPLOAD_LIMIT_MS)
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get().source_complete
    assert network.sent_bytes < (size_mib + 8) * MIB + 3 * MIN_PART_BYTES


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [32])
def test_upload_leaves_only_a_deleted_video_when_it_is_cancelled(
    size_mib: int, large_file: Path, bucket_site: BucketSite
) -> None:
    page, network = bucket_site.browsing.page, bucket_site.network
    network.pause(at_sent_bytes=size_mib * MIB // 5)
    choose_and_send(bucket_site, large_file)
    wait_for(network.is_paused, limit_s=120, what="a fifth of the file")
    page.click("#uploads >> text=Cancel")
    network.fix()
    page.wait_for_selector("#uploads .errors", state="visible")
    assert page.inner_text("#uploads .errors") == "The upload was cancelled."
    wait_for(lambda: Video.objects.filter(deleted_at__isnull=False).exists(), what="the end of the upload")
    page.click("#uploads >> text=Try again")
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get(deleted_at=None).source_complete


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
def test_upload_starts_over_when_the_remembered_one_no_longer_exists(large_file: Path, bucket_site: BucketSite) -> None:
    page = bucket_site.browsing.page
    page.set_input_files("[name=source]", str(large_file))
    page.evaluate(
        """(gone) => {
            const { files: [file] } = document.querySelector("[name=source]");
            const { owner } = document.getElementById("upload").dataset;
            const memory = `batchreel upload ${JSON.stringify([owner, '/uploads/', file.name, file.size, file.lastModified])}`;
            localStorage.setItem(memory, `/uploads/${gone}/`);
        }""",
        str(uuid.uuid4()),
    )
    with page.expect_response(lambda response: response.status == 404):
        page.click("#upload [type=submit]")
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get().source_complete


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
def test_upload_continues_when_the_storage_reports_a_request_timeout(large_file: Path, bucket_site: BucketSite) -> None:
    page, stalls = bucket_site.browsing.page, itertools.count()

    def handle(route: Route) -> None:
        # S3's response to a laptop that slept in the middle of a part: 400, code RequestTimeout.
        if route.request.method == "PUT" and next(stalls) < 2:
            route.fulfill(status=400, headers={"Access-Control-Allow-Origin": "*"}, body="RequestTimeout")
        else:
            route.continue_()

    page.route("**/sources/**", handle)
    choose_and_send(bucket_site, large_file)
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get().source_complete
    assert next(stalls) > 2


CONFLICT = {"errors": ["Reload the page."], "code": "CONFLICT"}
"""The response to a request that was carried out before, and whose response was lost."""


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
@pytest.mark.parametrize(
    ("url", "response"),
    [
        ("**/complete/", {"status": 429, "body": "Too Many Requests"}),
        ("**/uploads/", {"status": 409, "json": CONFLICT}),
    ],
    ids=["a proxy's rate limit", "a conflict with itself"],
)
def test_upload_continues_when_a_request_is_rejected_once(
    url: str, response: dict[str, Any], large_file: Path, bucket_site: BucketSite
) -> None:
    page, requests = bucket_site.browsing.page, itertools.count()

    def handle(route: Route) -> None:
        if next(requests) < 1:
            route.fulfill(**response)
        else:
            route.continue_()

    page.route(url, handle)
    choose_and_send(bucket_site, large_file)
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get().source_complete
    assert next(requests) > 1


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
def test_upload_continues_when_the_computer_slept_for_a_night(large_file: Path, bucket_site: BucketSite) -> None:
    page, parts = bucket_site.browsing.page, itertools.count()
    page.clock.install()
    is_awake = threading.Event()

    def handle(route: Route) -> None:
        if not is_awake.is_set() or next(parts) < 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/sources/**", handle)
    choose_and_send(bucket_site, large_file)
    page.wait_for_selector("text=The connection was lost. The upload will continue automatically.")
    is_awake.set()
    page.clock.fast_forward("08:00:00")
    bucket_site.browsing.open_uploaded()
    assert Video.objects.get().source_complete


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
def test_upload_page_shows_an_error_when_the_storage_rejects_the_file(
    large_file: Path, bucket_site: BucketSite
) -> None:
    page = bucket_site.browsing.page
    page.route(
        "**/sources/**",
        lambda route: route.fulfill(status=403, headers={"Access-Control-Allow-Origin": "*"}, body="AccessDenied"),
    )
    choose_and_send(bucket_site, large_file)
    page.wait_for_selector("#uploads .errors", state="visible")
    assert "The storage rejected the file (status 403)." in page.inner_text("#uploads .errors")


@pytest.mark.long
@pytest.mark.parametrize("size_mib", [8])
def test_player_continues_when_the_urls_in_its_playlists_have_expired(
    large_file: Path, bucket_site: BucketSite
) -> None:
    page = bucket_site.browsing.page
    choose_and_send(bucket_site, large_file)
    bucket_site.browsing.open_uploaded()
    run_container(bucket_site, Video.objects.get())
    page.wait_for_selector(QUALITY, state="attached")
    # S3's statuses for an expired presigned URL, and for expired credentials that signed it.
    for status in (HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST):
        refused: list[str] = []

        def refuse_first(route: Route, *, status: int = status, refused: list[str] = refused) -> None:
            if not refused:
                refused.append(route.request.url)
                headers = {"Access-Control-Allow-Origin": "*"}
                route.fulfill(status=status, headers=headers, body="<Code>AccessDenied</Code>")
            else:
                route.continue_()

        page.route("**/published/**/*.mp4?*", refuse_first)
        page.reload()
        page.wait_for_selector(QUALITY, state="attached")
        page.evaluate("() => { player.muted = true; player.playbackRate = 2; return player.play(); }")
        bucket_site.browsing.wait_until(f"player.currentTime > {CLIP_S / 2}")
        assert refused
        assert page.is_hidden(MESSAGE)
        page.unroute("**/published/**/*.mp4?*")
