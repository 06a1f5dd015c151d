"""A database of an older version: its rows carry over, and containers of the older version go on with the newer schema."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tasks.models import OVERLOOKED, Job, Tick, Unit, Video
from tests.stack_plugin import CONTAINER_PASSWORD_VARIABLE, CONTAINER_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.migrations.state import StateApps

APP = "batchreel"
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


def _migrate(*targets: tuple[str, str]) -> StateApps:
    executor = MigrationExecutor(connection)
    return executor.migrate(list(targets) or executor.loader.graph.leaf_nodes()).apps


@pytest.fixture
def first_version() -> Iterator[StateApps]:
    """The models of the first version, on its schema."""
    yield _migrate((APP, "0001_initial"))
    call_command("migrate", verbosity=0)


def _old_job(old: StateApps, video: Any, *, day: int, state: str = "SUCCEEDED") -> Any:
    created = _BEGAN + timedelta(days=day)
    return old.get_model(APP, "Job").objects.create(
        id=uuid.uuid4(),
        video=video,
        source_name=video.source.name,
        state=state,
        level=1,
        manifest={},
        manifest_key="made/master.m3u8",
        reason="BAD_SOURCE" if state == "FAILED" else "",
        automatic=False,
        next_attempt_at=None,
        created_at=created,
        finished_at=created + timedelta(hours=2),
    )


def test_an_older_publication_is_known_as_superseded_when_its_rows_are_older_than_the_column(
    first_version: StateApps,
) -> None:
    video = first_version.get_model(APP, "Video").objects.create(title="Lecture 1", source="uploads/1.mp4")
    jobs = [_old_job(first_version, video, day=day) for day in range(3)]
    failed = _old_job(first_version, video, day=4, state="FAILED")
    other = first_version.get_model(APP, "Video").objects.create(title="Lecture 2", source="uploads/2.mp4")
    alone = _old_job(first_version, other, day=0)

    _migrate()

    found = dict(Job.objects.values_list("pk", "superseded_at"))
    assert found == {
        jobs[0].pk: jobs[1].finished_at,
        jobs[1].pk: jobs[2].finished_at,
        jobs[2].pk: None,
        failed.pk: None,
        alone.pk: None,
    }


def test_nothing_is_looked_at_again_when_a_job_is_older_than_the_column(first_version: StateApps) -> None:
    videos = first_version.get_model(APP, "Video").objects
    asked, overlooked = (videos.create(title=name, source=f"uploads/{name}.mp4") for name in ("asked", "overlooked"))
    _old_job(first_version, asked, day=0)

    _migrate()

    assert [video.pk for video in Video.objects.filter(OVERLOOKED)] == [overlooked.pk]


def test_code_of_the_version_before_goes_on_when_the_schema_is_new(first_version: StateApps) -> None:
    _migrate()
    video = first_version.get_model(APP, "Video").objects.create(title="Lecture 1", source="uploads/1.mp4")
    job = _old_job(first_version, video, day=0, state="RUNNING")
    first_version.get_model(APP, "Unit").objects.create(job=job, kind="video", index=0, end_frame=300)
    first_version.get_model(APP, "Tick").objects.create(name="observe", cursor="here")

    assert list(Unit.objects.values_list("kind", "repairs")) == [("video", 0)]
    assert [str(tick.name) for tick in Tick.objects.filter(name="observe")] == ["observe"]
    Tick.objects.create(name="reap")
    assert first_version.get_model(APP, "Tick").objects.get(name="reap").cursor == ""


@pytest.mark.usefixtures("first_version")
@pytest.mark.skipif(
    CONTAINER_PASSWORD_VARIABLE not in os.environ, reason="the database is a given one, in which no role is made"
)
def test_containers_may_write_a_new_column_when_the_migration_that_added_it_has_run() -> None:
    call_command("migrate", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, 'batchreel_unit', 'repairs', 'UPDATE')", [CONTAINER_ROLE])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT has_column_privilege(%s, 'batchreel_job', 'fence', 'UPDATE')", [CONTAINER_ROLE])
        assert cursor.fetchone() == (False,)
