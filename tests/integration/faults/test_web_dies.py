"""The web server dies in mid-request: what it had committed goes its way, and of the rest there is nothing."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING

import psycopg
import pytest
import requests
from django.db import connection

from project.local.servers.redis import redis_url
from tasks.models import Job, Video
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.faults.web_site import WebSite
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient


@pytest.fixture
def site_environment(site_environment: dict[str, str], stand_in_definition: str) -> dict[str, str]:
    """The quick site, with stand-ins for containers."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": stand_in_definition}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture
def webs() -> Iterator[ExitStack]:
    """Ends the web servers that a test started."""
    with ExitStack() as webs:
        yield webs


@pytest.mark.usefixtures("running_site")
def test_committed_upload_succeeds_once_when_web_is_killed_before_its_answer(
    *,
    site_environment: dict[str, str],
    silent_port: int,
    webs: ExitStack,
    short_clip: Path,
    tmp_path: Path,
    batch_client: BatchClient,
) -> None:
    # After its commit, the request waits for a Redis that answers nothing: there it dies.
    patient = {"REDIS_URL": redis_url(silent_port), "BATCHREEL": json.dumps({**QUICK, "broker_timeout_s": 30})}
    web = started_web({**site_environment, **patient}, tmp_path, webs)
    with ThreadPoolExecutor(1) as person:
        uploading = person.submit(uploading_on_own_connection, web, short_clip)
        wait_for(Job.objects.exists, what="the commit of the upload")
        web.kill()
        with pytest.raises(requests.ConnectionError):
            uploading.result()
    videos = list(Video.objects.all())
    assert len(videos) == 1
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


@pytest.mark.usefixtures("running_site")
def test_nothing_is_left_of_an_upload_when_web_is_killed_before_its_commit(
    *,
    site_environment: dict[str, str],
    webs: ExitStack,
    short_clip: Path,
    tmp_path: Path,
    batch_client: BatchClient,
) -> None:
    web = started_web(site_environment, tmp_path, webs)
    with ThreadPoolExecutor(1) as person:
        with psycopg.connect(site_environment["DATABASE_URL"]) as other, other.transaction():
            other.execute("LOCK TABLE batchreel_job IN SHARE MODE")
            uploading = person.submit(uploading_on_own_connection, web, short_clip)
            wait_for(insert_is_waiting, what="the INSERT of the upload's job")
            web.kill()
            with pytest.raises(requests.ConnectionError):
                uploading.result()
        wait_for(lambda: not insert_is_waiting(), what="the end of the dead server's session")
        assert (Video.objects.count(), Job.objects.count()) == (0, 0)

        web = started_web(site_environment, tmp_path, webs)
        assert person.submit(uploading_on_own_connection, web, short_clip).result().status_code == HTTPStatus.CREATED
    videos = list(Video.objects.all())
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


def started_web(environment: dict[str, str], folder: Path, webs: ExitStack) -> WebSite:
    web = WebSite(environment, folder)
    webs.callback(web.kill)
    web.wait_until_it_answers()
    return web


def uploading_on_own_connection(web: WebSite, clip: Path) -> requests.Response:
    try:
        return web.upload(clip)
    finally:
        connection.close()


def insert_is_waiting() -> bool:
    """Whether a session is at an INSERT of a job."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle'"
            " AND query LIKE 'INSERT INTO \"batchreel_job\"%')"
        )
        (waiting,) = cursor.fetchone()
    return bool(waiting)
