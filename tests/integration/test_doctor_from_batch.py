"""`manage.py doctor --from-batch`: a small Batch job runs checks in a container, and doctor reports its findings."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection

from tasks.batch.definition import render
from tasks.conf import BridgeSettings
from tests.integration.manage_command import manage
from tests.stack_plugin import CONTAINER_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.batch_faults import Faults


def from_batch(environment: dict[str, str], *arguments: str) -> dict[str, dict[str, str]]:
    """Return the findings from the container and those about it, by part."""
    ran = manage("doctor", "--json", "--from-batch", *arguments, environment=environment)
    findings = json.loads(ran.stdout)["findings"]
    return {each["part"]: each for each in findings if each["part"].startswith(("container:", "from Batch"))}


@pytest.fixture
def definition_with(dedicated_definition: dict[str, str], container_database_url: str) -> Callable[..., dict[str, str]]:
    """Return a callable that registers a definition with more variables, and returns the site's environment."""

    def register(**variables: str) -> dict[str, str]:
        batch = boto3.client("batch")
        conf = BridgeSettings(job_definition=dedicated_definition["VIDEO_BATCH_JOB_DEFINITION"])
        definition = render(conf, region=batch.meta.region_name)
        variables = {"DATABASE_URL": container_database_url, "SECRET_KEY": "", **variables}
        definition["containerProperties"]["environment"] += [
            {"name": name, "value": value} for name, value in variables.items()
        ]
        batch.register_job_definition(**definition)
        return dedicated_definition

    return register


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_doctor_from_batch_reports_ok_when_the_container_works(
    definition_with: Callable[..., dict[str, str]],
) -> None:
    found = from_batch(definition_with())
    assert {part: each["status"] for part, each in found.items()} == {
        "from Batch": "ok",
        "container: program": "ok",
        "container: settings": "ok",
        "container: database": "ok",
        "container: storage": "ok",
        "container: ffmpeg": "ok",
        "container: sandbox": "ok",
        "container: scratch": "ok",
    }
    assert "has exactly the privileges that containers need" in found["container: database"]["why"]
    assert default_storage.listdir("published/doctor")[1] == [], "the container left its probe object behind"


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("variables", "part", "why"),
    [
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "container: database", "is unavailable"),
        pytest.param({"MEDIA_ROOT": "/nowhere"}, "container: settings", "batchreel.E009", marks=pytest.mark.long),
        pytest.param(
            {"BATCHREEL": '{"no_such_setting": 1}'}, "container: settings", "batchreel.E001", marks=pytest.mark.long
        ),
        pytest.param(
            {"BATCHREEL": '{"scratch_reserve_mib": 1073741824}'},
            "container: scratch",
            "GiB free, less than",
            marks=pytest.mark.long,
        ),
        pytest.param({"FFMPEG_BINARY": "/no/such/binary"}, "container: ffmpeg", "does not run", marks=pytest.mark.long),
        ({"DJANGO_SETTINGS_MODULE": "gone.settings"}, "from Batch", "exit code 1 without logging its findings"),
    ],
)
def test_doctor_from_batch_names_the_part_when_it_fails_in_a_container(
    variables: dict[str, str], part: str, why: str, definition_with: Callable[..., dict[str, str]]
) -> None:
    found = from_batch(definition_with(**variables))
    assert found[part]["status"] == "failed"
    assert why in found[part]["why"]
    assert found[part]["fix"]
    assert not Path("/nowhere").exists(), "the check created a folder"


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_doctor_from_batch_reports_it_when_role_privileges_are_wrong(
    definition_with: Callable[..., dict[str, str]], program_environment: dict[str, str]
) -> None:
    found = from_batch(definition_with(DATABASE_URL=program_environment["DATABASE_URL"]))
    assert found["container: database"]["status"] == "warning"
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE UPDATE (state) ON batchreel_job FROM {CONTAINER_ROLE}")
    try:
        found = from_batch(definition_with())
    finally:
        call_command("container_role", CONTAINER_ROLE, stdout=io.StringIO())
    assert "lacks 1 privileges, such as UPDATE batchreel_job.state" in found["container: database"]["why"]
    with connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    try:
        found = from_batch(definition_with())
    finally:
        call_command("container_role", CONTAINER_ROLE, stdout=io.StringIO())
    assert "can create tables in schema public" in found["container: database"]["why"]


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_doctor_from_batch_shows_batchs_reason_when_its_job_is_stuck(
    definition_with: Callable[..., dict[str, str]], faults: Faults
) -> None:
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none of c7i is left"
    faults.inject("stuck_runnable", job_name="batchreel-doctor", reason=reason)
    found = from_batch(definition_with(), "--wait", "1")
    assert found.keys() == {"from Batch"}
    assert f"is RUNNABLE after 1 s: {reason}" in found["from Batch"]["why"]
