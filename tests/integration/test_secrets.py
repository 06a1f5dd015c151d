"""No secret leaks into logs, rows, pages, AWS Batch or doctor, whether all parts work or fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings as site_settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.urls import reverse

from tasks.models import Attempt, Event, Job, Video
from tests.integration.batch_responses import describe, log_lines
from tests.integration.celery_nodes import worker_process
from tests.integration.pipeline_videos import upload, wait_for_end
from tests.polling import wait_for
from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from pytest_django import Settings

    from tests.integration.celery_nodes import RunningSite

MARK = "s3cr3t-m4rk"
UNREACHABLE = "127.0.0.1:1"


def secrets_of(environment: dict[str, str]) -> dict[str, str]:
    """Return the secrets of a site, by name."""
    database = urlsplit(environment["DATABASE_URL"])
    found = {
        "SECRET_KEY": environment["SECRET_KEY"],
        "the database's password": str(database.password),
        "the containers' password": os.environ.get(CONTAINER_PASSWORD_VARIABLE, ""),
        "a planted one": MARK,
    }
    return {name: secret for name, secret in found.items() if len(secret) > 5}


def assert_no_secrets(text: str, environment: dict[str, str], *, where: str) -> None:
    """Assert that the text is not empty and contains none of the site's secrets."""
    assert text, where
    leaked = [name for name, secret in secrets_of(environment).items() if secret in text or quote(secret) in text]
    assert not leaked, f"{where} contains {leaked}"


@pytest.mark.long
def test_secrets_are_not_shown_when_one_video_succeeds_and_one_fails(
    *,
    running_site: RunningSite,
    site_environment: dict[str, str],
    short_clip: Path,
    batch_client: BatchClient,
    logs_client: CloudWatchLogsClient,
    client: Client,
    tmp_path: Path,
    settings: Settings,
) -> None:
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns about a missing folder
    good, bad = upload(short_clip), Video(title="no video")
    bad.source.save("bad.mp4", ContentFile(short_clip.read_bytes()[:5000]))
    assert [wait_for_end(video).state for video in (good, bad)] == ["SUCCEEDED", "FAILED"]

    assert_no_secrets(running_site.worker.logs(), site_environment, where="the worker's log")
    assert_no_secrets(running_site.beat.logs(), site_environment, where="beat's log")
    for video, last_event in ((good, "BATCH_JOB_COMPLETED"), (bad, "BATCH_JOB_FAILED")):
        detail = describe(batch_client, Attempt.objects.get(job__video=video))
        assert_no_secrets(json.dumps(detail, default=str), site_environment, where="the Batch job")
        lines = log_lines(logs_client, detail, last_event=last_event)
        assert_no_secrets(json.dumps(lines), site_environment, where="the container's log")
    definitions = batch_client.describe_job_definitions(
        jobDefinitionName=site_environment["VIDEO_BATCH_JOB_DEFINITION"]
    )
    assert_no_secrets(json.dumps(definitions, default=str), site_environment, where="the job definition")
    rows = [*Event.objects.values(), *Attempt.objects.values(), *Job.objects.values()]
    assert_no_secrets(str(rows), site_environment, where="the rows")

    client.force_login(User.objects.create_superuser("operator"))
    pages = [reverse(f"admin:batchreel_{model}_changelist") for model in ("video", "job", "attempt", "event")]
    pages += [reverse("admin:batchreel_job_change", args=[job.pk]) for job in Job.objects.all()]
    for page in pages:
        assert_no_secrets(client.get(page).content.decode(), site_environment, where=page)


BROKEN = {
    "database": {"DATABASE_URL": f"postgres://site:{MARK}@{UNREACHABLE}/site"},
    "wrong password": {"DATABASE_URL": ""},
    "broker": {"REDIS_URL": f"redis://:{MARK}@{UNREACHABLE}/0"},
    "AWS": {"AWS_SECRET_ACCESS_KEY": MARK, "AWS_ENDPOINT_URL": f"http://{UNREACHABLE}"},
    "bucket": {
        "STORAGE_BUCKET": "videos",
        "AWS_SECRET_ACCESS_KEY": MARK,
        "STORAGE_ENDPOINT_URL": f"http://{UNREACHABLE}",
    },
    "bucket with its own keys": {
        "STORAGE_BUCKET": "videos",
        "STORAGE_ENDPOINT_URL": f"http://{UNREACHABLE}",
        "STORAGE_ACCESS_KEY_ID": "site",
        "STORAGE_SECRET_ACCESS_KEY": MARK,
    },
}


@pytest.mark.few(1)
@pytest.mark.parametrize("broken", BROKEN)
def test_doctor_shows_no_secret_when_a_part_is_unreachable(broken: str, program_environment: dict[str, str]) -> None:
    variables = BROKEN[broken]
    if broken == "wrong password":
        database = urlsplit(program_environment["DATABASE_URL"])
        netloc = f"{database.username}:{MARK}@{database.hostname}:{database.port}"
        variables = {"DATABASE_URL": database._replace(netloc=netloc).geturl()}
    environment = {**program_environment, **variables}
    ran = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=site_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode != 0
    assert_no_secrets(
        ran.stdout + ran.stderr, {**environment, "DATABASE_URL": program_environment["DATABASE_URL"]}, where="doctor"
    )


def test_worker_logs_no_secret_when_its_broker_is_unreachable(
    program_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {**program_environment, **BROKEN["broker"]}
    worker = worker_process(environment, tmp_path)
    try:
        wait_for(lambda: worker.logs().count("Cannot connect to redis") > 1, what="two attempts to connect")
        assert_no_secrets(worker.logs(), environment, where="the worker's log")
    finally:
        worker.teardown()
