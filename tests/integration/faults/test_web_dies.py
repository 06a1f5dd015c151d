"""The web server dies in mid-request: what it had committed is processed, and nothing else remains."""

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
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.faults.web_site import WebSite
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient


@pytest.fixture
def site_environment(site_environment: dict[str, str], fake_container_definition: str) -> dict[str, str]:
    """Return the environment of the fast site with fake containers."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": fake_container_definition}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture
def web_servers() -> Iterator[ExitStack]:
    """Yield a stack that kills the test's web servers."""
    with ExitStack() as web_servers:
        yield web_servers


@pytest.mark.long
@pytest.mark.usefixtures("running_site")
def test_committed_upload_succeeds_once_when_web_dies_before_its_response(
    *,
    site_environment: dict[str, str],
    silent_port: int,
    web_servers: ExitStack,
    short_clip: Path,
    tmp_path: Path,
    batch_client: BatchClient,
) -> None:
    # After its commit, the request waits for a Redis that never answers, and is killed there.
    slow_redis = {
        "REDIS_URL": redis_url(silent_port),
        "BATCHREEL": json.dumps({**FAST_SETTINGS, "broker_timeout_s": 30}),
    }
    web = start_web({**site_environment, **slow_redis}, tmp_path, web_servers)
    with ThreadPoolExecutor(1) as executor:
        pending_upload = executor.submit(upload_and_close, web, short_clip)
        wait_for(Job.objects.exists, what="the commit of the upload")
        web.kill()
        with pytest.raises(requests.ConnectionError):
            pending_upload.result()
    videos = list(Video.objects.all())
    assert len(videos) == 1
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


@pytest.mark.usefixtures("running_site")
@pytest.mark.long
def test_upload_leaves_nothing_when_web_is_killed_before_its_commit(
    *,
    site_environment: dict[str, str],
    web_servers: ExitStack,
    short_clip: Path,
    tmp_path: Path,
    batch_client: BatchClient,
) -> None:
    web = start_web(site_environment, tmp_path, web_servers)
    with ThreadPoolExecutor(1) as executor:
        with psycopg.connect(site_environment["DATABASE_URL"]) as locker, locker.transaction():
            locker.execute("LOCK TABLE batchreel_job IN SHARE MODE")
            pending_upload = executor.submit(upload_and_close, web, short_clip)
            wait_for(insert_is_waiting, what="the INSERT of the upload's job")
            web.kill()
            with pytest.raises(requests.ConnectionError):
                pending_upload.result()
        wait_for(lambda: not insert_is_waiting(), what="the end of the dead server's session")
        assert (Video.objects.count(), Job.objects.count()) == (0, 0)

        web = start_web(site_environment, tmp_path, web_servers)
        assert executor.submit(upload_and_close, web, short_clip).result().status_code == HTTPStatus.CREATED
    videos = list(Video.objects.all())
    wait_for_all_ends(videos, limit_s=60)
    assert_all_succeeded_once(videos, batch=batch_client)


def start_web(environment: dict[str, str], folder: Path, web_servers: ExitStack) -> WebSite:
    web = WebSite(environment, folder)
    web_servers.callback(web.kill)
    web.wait_until_it_responses()
    return web


def upload_and_close(web: WebSite, clip: Path) -> requests.Response:
    try:
        return web.upload(clip)
    finally:
        connection.close()


def insert_is_waiting() -> bool:
    """Return whether a session is executing the INSERT of a job."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle'"
            " AND query LIKE 'INSERT INTO \"batchreel_job\"%')"
        )
        (waiting,) = cursor.fetchone()
    return bool(waiting)
