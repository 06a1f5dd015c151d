"""Benchmark: calls and seconds of reaping a long queue, and of removing one video from a bucket."""

from __future__ import annotations

import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import boto3
from django.core.files.storage import default_storage
from django.db.models import F
from django.db.models.functions import Now

from scripts.bench.measures.history import migrate
from tasks.batch.aws import aws_batch, batch_client
from tasks.batch.definition import render
from tasks.batch.errors import BatchThrottledError
from tasks.batch.port import Submission
from tasks.conf import bridge_settings
from tasks.models import Attempt, Job, Tick, Video
from tasks.services.removal.purge import purge_deleted
from tasks.services.ticks.lease import run_tick
from tasks.services.ticks.reap import reap
from tasks.storage.keys import job_folder, sources_folder

CANCELLED, ORPHANS = 20, 10
FOLDER_OBJECTS = 6
"""A unit of the standard ladder: five rungs and the thumbnails."""
THREADS = 8
BATCH_ROWS = 500
PERIOD_S = 60
MAX_TICKS = 20


def measured(active: int, objects: int) -> list[dict[str, Any]]:
    """Return a row for the removal of a video, and one for each reap tick until all orphans have ended."""
    migrate()
    rows = [_purged(objects)]
    sys.stderr.write(f"{rows[0]}\n")
    return [*rows, *_reaped(active)]


def _reaped(active: int) -> list[dict[str, Any]]:
    batch = batch_client(retry=True)
    batch.register_job_definition(**render(bridge_settings(), region=batch.meta.region_name))
    ids = _submitted(active + CANCELLED)
    Attempt.objects.filter(batch_job_id__in=ids[:CANCELLED]).update(
        state="CANCELLED", reason="CANCELLED", ended_at=Now(), counted=False
    )
    # Orphans are Batch jobs under our name whose rows do not exist.
    with ThreadPoolExecutor(THREADS) as pool:
        orphans = set(pool.map(lambda _: _submit(uuid.uuid4()), range(ORPHANS)))
    time.sleep(bridge_settings().orphan_grace_s + 1)
    calls = _counted(batch, "batch")
    rows = []
    for number in range(1, MAX_TICKS + 1):
        calls.clear()
        began_s = time.monotonic()
        run_tick("reap", period_s=0, body=lambda _: reap(batch=aws_batch()))
        took_s = round(time.monotonic() - began_s, 2)
        rows.append(
            {"what": f"reap tick {number}", "calls": sum(calls.values()), "seconds": took_s, "by": _text(calls)}
        )
        if not _running(orphans):
            break
    return rows


def _submitted(number: int) -> list[str]:
    """Submit Batch jobs that wait, and add the rows of their running attempts. Return their ids."""
    videos = [
        Video(pk=uuid.uuid4(), title=str(n), source=f"sources/{n}", requested_source=f"sources/{n}")
        for n in range(number)
    ]
    Video.objects.bulk_create(videos, batch_size=BATCH_ROWS)
    jobs = [Job(pk=uuid.uuid4(), video=v, source_name=str(v.source), profile="standard", fence=1) for v in videos]
    for job in jobs:
        job.state, job.next_attempt_at = "RUNNING", None
    Job.objects.bulk_create(jobs, batch_size=BATCH_ROWS)
    with ThreadPoolExecutor(THREADS) as pool:
        ids = list(pool.map(lambda job: _submit(job.pk), jobs))
    Attempt.objects.bulk_create(
        [
            Attempt(
                job=job,
                number=1,
                state="SUBMITTED",
                vcpus=2,
                memory_mib=512,
                timeout_s=bridge_settings().attempt_timeout_s,
                batch_job_name=_name(job.pk),
                batch_job_id=batch_job_id,
            )
            for job, batch_job_id in zip(jobs, ids, strict=True)
        ],
        batch_size=BATCH_ROWS,
    )
    return ids


def _submit(job_id: uuid.UUID) -> str:
    conf = bridge_settings()
    submission = Submission(
        name=_name(job_id),
        queue=conf.job_queue,
        parameters={},
        environment={},
        vcpus=conf.vcpus,
        memory_mib=512,
        timeout_s=conf.attempt_timeout_s,
    )
    while True:
        try:
            return aws_batch().submit(submission)
        except BatchThrottledError:
            time.sleep(0.2)


def _name(job_id: uuid.UUID) -> str:
    return f"{bridge_settings().job_name_prefix}-{job_id}-1"


def _running(batch_job_ids: set[str]) -> bool:
    return any(
        not seen.status.name.startswith(("FAILED", "SUCCEEDED")) for seen in aws_batch().describe(sorted(batch_job_ids))
    )


def _purged(objects: int) -> dict[str, Any]:
    boto3.client("s3").create_bucket(Bucket=default_storage.bucket_name)  # type: ignore[attr-defined]  # a bucket's
    Tick.objects.get_or_create(name="purge")
    video = Video(pk=uuid.uuid4(), title="three hours")
    job = Job(pk=uuid.uuid4(), video=video, profile="standard")
    keys = [f"{sources_folder(video)}/{uuid.uuid4().hex[:12]}/lecture.mp4"]
    keys += [
        f"{job_folder(job)}/video-{n // FOLDER_OBJECTS:04d}-f1-{'0' * 12}/{n % FOLDER_OBJECTS}.mp4"
        for n in range(objects - 1)
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda key: default_storage.save(key, BytesIO(b"object")), keys))
    video.source = job.source_name = keys[0]
    Video.objects.bulk_create([video])
    Job.objects.bulk_create([job])
    Job.objects.filter(pk=job.pk).update(state="CANCELLED", reason="CANCELLED", next_attempt_at=None, finished_at=Now())
    Video.objects.filter(pk=video.pk).update(deleted_at=Now(), requested_source=F("source"))
    calls = _counted(default_storage.connection.meta.client, "s3")  # type: ignore[attr-defined]  # a bucket's
    began_s, ticks = time.monotonic(), 0
    while Video.objects.filter(pk=video.pk).exists() and ticks < MAX_TICKS:
        purge_deleted(limit=10)
        ticks += 1
    took_s = round(time.monotonic() - began_s, 2)
    what = f"removal of a video with {objects} objects, in {ticks} ticks"
    return {"what": what, "calls": sum(calls.values()), "seconds": took_s, "by": _text(calls)}


def _counted(client: Any, service: str) -> Counter[str]:
    """Return a counter of the client's calls, by operation."""
    calls: Counter[str] = Counter()

    def count(model: Any, **_: object) -> None:
        calls[model.name] += 1

    client.meta.events.register(f"before-call.{service}", count)
    return calls


def _text(calls: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(calls.items()))
