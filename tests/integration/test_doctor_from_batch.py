"""`manage.py doctor --from-batch`: a small Batch job looks from a container's side, and doctor tells what it found."""

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
    """The findings that a container brought back, and those about it, by part."""
    ran = manage("doctor", "--json", "--from-batch", *arguments, environment=environment)
    told = json.loads(ran.stdout)["findings"]
    return {each["part"]: each for each in told if each["part"].startswith(("container:", "from Batch"))}


@pytest.fixture
def definition_with(own_definition: dict[str, str], container_database_url: str) -> Callable[..., dict[str, str]]:
    """A definition as the code renders it, with more in its containers' environment; the site's environment."""

    def register(**variables: str) -> dict[str, str]:
        batch = boto3.client("batch")
        conf = BridgeSettings(job_definition=own_definition["VIDEO_BATCH_JOB_DEFINITION"])
        definition = render(conf, region=batch.meta.region_name)
        variables = {"DATABASE_URL": container_database_url, "SECRET_KEY": "", **variables}
        definition["containerProperties"]["environment"] += [
            {"name": name, "value": value} for name, value in variables.items()
        ]
        batch.register_job_definition(**definition)
        return own_definition

    return register


@pytest.mark.django_db(transaction=True)
def test_doctor_sees_from_a_container_what_it_sees_when_all_is_well(
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
        "container: scratch": "ok",
    }
    assert "may do what containers do, and no more" in found["container: database"]["why"]
    assert default_storage.listdir("published/doctor")[1] == [], "what the container wrote is gone"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("variables", "part", "why"),
    [
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "container: database", "does not answer"),
        ({"MEDIA_ROOT": "/nowhere"}, "container: settings", "batchreel.E009"),
        ({"BATCHREEL": '{"no_such_setting": 1}'}, "container: settings", "batchreel.E001"),
        ({"BATCHREEL": '{"scratch_reserve_mib": 1073741824}'}, "container: scratch", "GiB free, less than"),
        ({"FFMPEG_BINARY": "/no/such/binary"}, "container: ffmpeg", "does not run"),
        ({"DJANGO_SETTINGS_MODULE": "gone.settings"}, "from Batch", "exit code 1 and told nothing"),
    ],
)
def test_doctor_names_it_when_something_is_wrong_in_a_container_alone(
    variables: dict[str, str], part: str, why: str, definition_with: Callable[..., dict[str, str]]
) -> None:
    found = from_batch(definition_with(**variables))
    assert found[part]["status"] == "failed"
    assert why in found[part]["why"]
    assert found[part]["fix"]
    assert not Path("/nowhere").exists(), "looking makes no folder"


@pytest.mark.django_db(transaction=True)
def test_container_that_may_too_much_or_too_little_is_named_when_doctor_looks_from_it(
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
    assert "lacks 1 rights, such as UPDATE batchreel_job.state" in found["container: database"]["why"]


@pytest.mark.django_db(transaction=True)
def test_batchs_own_reason_is_told_when_doctors_container_does_not_start(
    definition_with: Callable[..., dict[str, str]], faults: Faults
) -> None:
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none of c7i is left"
    faults.plant("stuck_runnable", job_name="batchreel-doctor", reason=reason)
    found = from_batch(definition_with(), "--wait", "1")
    assert found.keys() == {"from Batch"}
    assert f"is RUNNABLE after 1 s: {reason}" in found["from Batch"]["why"]
