"""A container that is stopped, lost, and continued after its successor has published changes nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.ticks.rescue import rescue
from tests.factories import ScriptedBatch, age, submitted_attempt
from tests.integration.container_processes import EncoderBrake
from tests.integration.pipeline_videos import upload
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.container_processes import ContainerRun, Run

SHORT_LOCK_TIMEOUTS = "-c idle_in_transaction_session_timeout=500 -c lock_timeout=10000"
"""As in production, but after 0.5 s instead of 20 s: a process stopped inside a transaction loses its locks."""


def stop(container: ContainerRun) -> None:
    os.kill(container.pid, signal.SIGSTOP)


def in_mid_encode(container: ContainerRun, attempt: Attempt, brake: EncoderBrake) -> None:
    encoder = held_in_media_work(container, attempt, brake)
    stop(container)
    os.kill(encoder, signal.SIGCONT)


def after_upload_before_done(container: ContainerRun, attempt: Attempt, brake: EncoderBrake) -> None:
    encoder = held_in_media_work(container, attempt, brake)
    with row_locked(Job, attempt.job_id) as holder:
        os.kill(encoder, signal.SIGCONT)
        wait_until_blocked_by(holder)
        stop(container)


def held_in_media_work(container: ContainerRun, attempt: Attempt, brake: EncoderBrake) -> int:
    """Wait until the container's encoder has stopped itself, which blocks its unit, and return its process id."""
    encoder = brake.wait_for_encoder(container.pid)
    assert Unit.objects.filter(attempt=attempt, kind="video", state="LEASED").exists()
    return encoder


def after_verify_before_commit(container: ContainerRun, attempt: Attempt, brake: EncoderBrake) -> None:
    # Only the last transaction touches the video's row.
    encoder = held_in_media_work(container, attempt, brake)
    with row_locked(Video, attempt.job.video_id) as holder:
        os.kill(encoder, signal.SIGCONT)
        wait_until_blocked_by(holder)
        stop(container)
    assert Unit.objects.filter(attempt=attempt, kind="publish", state="LEASED").exists()


def inside_a_heartbeat(container: ContainerRun, attempt: Attempt, brake: EncoderBrake) -> None:
    held_in_media_work(container, attempt, brake)
    with row_locked(Attempt, attempt.pk) as holder:
        wait_until_blocked_by(holder)
        stop(container)


@contextmanager
def row_locked(model: type[Video] | type[Job] | type[Attempt], pk: Any) -> Iterator[int]:
    """Hold the row's lock on another connection until the block ends, and yield that connection's backend pid."""
    held, over = threading.Event(), threading.Event()
    holders: list[int] = []

    def hold() -> None:
        try:
            with transaction.atomic():
                model.objects.select_for_update(of=("self",)).get(pk=pk)
                holders.append(connection.connection.info.backend_pid)
                held.set()
                over.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    try:
        yield holders[0]
    finally:
        over.set()
        thread.join()


def wait_until_blocked_by(holder: int) -> None:
    def poll() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [holder])
            return bool(cursor.fetchone()[0])

    wait_for(poll, what="a container that waits for the row's lock")


def declare_lost(attempt: Attempt) -> None:
    """Run the rescue until it declares the silent attempt LOST."""
    Tick.objects.create(name="rescue", continuous_since=Now())
    age(Tick, "continuous_since", seconds=100_000)
    since = Tick.objects.get(name="rescue").continuous_since
    assert since is not None

    def rescued() -> bool:
        # Repeated, because a heartbeat in flight when the container was stopped may still arrive.
        age(Attempt, "heartbeat_at", seconds=181)
        return rescue(batch=ScriptedBatch(), continuous_since=since).rescued == 1

    wait_for(rescued, what="the rescue")
    attempt.refresh_from_db()
    assert attempt.state == "LOST"


def snapshot() -> tuple[list[Any], dict[str, str]]:
    """Return all rows, and the SHA-256 of all published objects by name."""
    rows = [list(model.objects.order_by("pk").values()) for model in (Video, Job, Attempt, Unit, Event)]
    root: Path = settings.MEDIA_ROOT
    objects = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "published").rglob("*")
        if path.is_file()
    }
    return rows, objects


@pytest.mark.long
@pytest.mark.usefixtures("fast_settings")
@pytest.mark.parametrize(
    "stop_at",
    [
        in_mid_encode,
        pytest.param(after_upload_before_done, marks=pytest.mark.long),
        after_verify_before_commit,
        pytest.param(inside_a_heartbeat, marks=pytest.mark.long),
    ],
)
def test_zombie_changes_nothing_when_its_successor_has_published(
    stop_at: Callable[[ContainerRun, Attempt, EncoderBrake], None], run: Run, short_clip: Path, tmp_path: Path
) -> None:
    video = upload(short_clip)
    first = submitted_attempt(video)
    brake = EncoderBrake(tmp_path)
    zombie = run(first, DATABASE_SESSION_OPTIONS=SHORT_LOCK_TIMEOUTS, **brake.environment)
    stop_at(zombie, first, brake)
    declare_lost(first)

    age(Job, "next_attempt_at", seconds=601)
    code, _ = run(submitted_attempt(video)).wait()
    assert code == ExitCode.DONE
    job = Job.objects.get(video=video)
    assert (job.state, job.fence, Video.objects.get().published_job_id) == ("SUCCEEDED", 2, job.pk)
    rows, objects = snapshot()

    os.kill(zombie.pid, signal.SIGCONT)
    code, lines = zombie.wait()
    rows_then, objects_then = snapshot()
    assert rows_then == rows
    assert {name: objects_then[name] for name in objects} == objects
    late_objects = set(objects_then) - set(objects)
    assert all("-f1-" in name for name in late_objects), (
        "new objects outside the losing fence's folders, which no manifest references"
    )
    if code == ExitCode.DONE:
        assert lines[-1]["event"] == "IDEMPOTENT_READY"
    else:
        assert (code, lines[-1]["event"]) == (ExitCode.FENCED, "BATCH_JOB_FENCED")
