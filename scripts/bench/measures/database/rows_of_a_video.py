"""Benchmark: what one video of three hours leaves in the database, from its end to the end of all retentions."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.db import connection
from django.db.models import F

from scripts.bench.measures.history import AtOnce, migrate
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.container_api.claim import Claim, Lease, claim_attempt, lease_unit
from tasks.services.container_api.finish import PlannedUnit, finish_plan, finish_unit
from tasks.services.container_api.publish import publish
from tasks.services.removal.purge import purge
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.submit import submit_due
from tasks.transcode import (
    PROFILES,
    MediaFile,
    Plan,
    SeamSums,
    Segment,
    UnitOutput,
    build_publication,
    make_plan,
)
from tasks.transcode.plan.plan import segment_starts
from tasks.transcode.plan.thumbnails import make_sprite
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tasks.transcode.plan.plan import AudioPlan

HOURS = 3
RATE = 30
MONTH = timedelta(days=31)
_SIZES = random.Random(0)  # noqa: S311 - sizes, not secrets


def measured(videos: int) -> list[dict[str, Any]]:
    """Publish `videos` videos of three hours, and return the KiB per video at each stage of their rows."""
    migrate()
    Tick.objects.get_or_create(name="purge")
    empty = _sizes()
    plan = make_plan(_source(), PROFILES["standard"], threads=1)
    outputs = {str(output.unit): output for output in _outputs(plan)}
    publication = build_publication(
        plan, {output.unit: output for output in outputs.values()}, url_of=lambda unit, file: f"../{unit}/{file.name}"
    )
    for number in range(videos):
        Video.objects.bulk_create([Video(title=f"Lecture {number}", source=f"sources/{number}/lecture.mp4")])
    request_missing_jobs(limit=videos)
    while Job.objects.filter(attempts=None).exists():
        submit_due(batch=AtOnce())
    for attempt in Attempt.objects.select_related("job"):
        _work(attempt, plan, outputs, publication.manifest)
    rows = [_row("at its end", videos, empty)]
    Attempt.objects.update(batch_status="SUCCEEDED")
    _purge_all()
    rows.append(_row("pruned", videos, empty))
    Event.objects.update(created_at=F("created_at") - MONTH)
    _purge_all()
    rows.append(_row("after event_retention_s", videos, empty))
    return rows


def _source() -> Any:
    seconds = HOURS * 3600
    return make_source(frames=seconds * RATE, rate=RATE, audio=make_audio(Fraction(1), Fraction(1 + seconds)))


def _outputs(plan: Plan) -> list[UnitOutput]:
    """Return outputs as the encoders would return them: the numbers are made up, their count is not."""
    found = []
    for unit in plan.video_units:
        files = []
        for rung in plan.rungs:
            ranges = {
                name: _ranges(unit.first_frame, unit.end_frame, every, plan)
                for name, every in (("segments", plan.segment_frames), ("key_frames", plan.gop_frames))
            }
            files.append(_file(f"{rung.name}.mp4", "video", rung.name, plan.timescale, "avc1.640028", **ranges))
        if unit.first_frame <= plan.poster_frame < unit.end_frame:
            files.append(MediaFile("poster.jpg", "poster", None, "image/jpeg", 90_123, uuid.uuid4().hex * 2))
        if make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame):
            files.append(MediaFile("sprite.jpg", "sprite", None, "image/jpeg", 90_123, uuid.uuid4().hex * 2))
        head, tail = (_sums(frame) for frame in (unit.first_frame, unit.end_frame))
        head = head if unit.index else None
        tail = tail if unit.end_frame < plan.frames else None
        found.append(UnitOutput(unit.index, tuple(files), 141.5, head=head, tail=tail))
    audio = cast("AudioPlan", plan.audio)
    for part in plan.audio_units:
        cuts = [cut for cut in (*audio.cuts, audio.aac_frames) if part.first_aac <= cut <= part.end_aac]
        segments = _segments([1024 * cut for cut in cuts])
        file = _file("audio.mp4", "audio", None, 48_000, "mp4a.40.2", segments=segments)
        found.append(UnitOutput(part.key, (file,), 60.0))
    return found


def _ranges(first: int, end: int, every: int, plan: Plan) -> tuple[Segment, ...]:
    starts = [*segment_starts(first, end, segment_frames=every, rate=plan.rate), end]
    ticks = [start * plan.frame_ticks for start in starts]
    return _segments(ticks)


def _segments(ticks: Sequence[int]) -> tuple[Segment, ...]:
    """Return segments between these times, with random sizes: equal ones would be compressed too well."""
    found, offset = [], 800
    for start, end in pairwise(ticks):
        size = _SIZES.randint(100_000, 999_999)
        found.append(Segment(offset, size, start, end - start))
        offset += size
    return tuple(found)


def _file(name: str, role: Any, rung: str | None, timescale: int, codec: str, **ranges: Any) -> MediaFile:
    sha256 = uuid.uuid4().hex * 2
    init = uuid.uuid5(uuid.NAMESPACE_OID, name).hex * 2
    return MediaFile(name, role, rung, f"{role}/mp4", 15_087_220, sha256, 800, init, timescale, codec, **ranges)


def _sums(frame: int) -> SeamSums:
    return SeamSums(
        tuple(range(frame - 12, frame + 12)),
        tuple(uuid.uuid5(uuid.NAMESPACE_OID, f"{frame + n}").fields[0] for n in range(24)),
    )


def _work(attempt: Attempt, plan: Plan, outputs: dict[str, UnitOutput], manifest: dict[str, Any]) -> None:
    """Do what the attempt's container does in the database, heartbeats left out: they change rows and add none."""
    claim = claim_attempt(
        job_id=attempt.job_id, number=attempt.number, batch_job_id=attempt.batch_job_id, claim_id=uuid.uuid4()
    )
    units = [
        PlannedUnit(
            kind=UnitKind.VIDEO, index=u.index, first_frame=u.first_frame, end_frame=u.end_frame, weight_frames=3600
        )
        for u in plan.video_units
    ]
    units += [
        PlannedUnit(
            kind=UnitKind.AUDIO, index=u.index, first_frame=u.first_frame, end_frame=u.end_frame, weight_frames=3600
        )
        for u in plan.audio_units
    ]
    finish_plan(claim, _leased(claim), plan=plan.to_json(), units=units, plays_directly=True, encode_cost_s=1.0)
    while (lease := _leased(claim)).kind is not UnitKind.PUBLISH:
        key = plan.audio_units[lease.index].key if lease.kind is UnitKind.AUDIO else lease.index
        made = outputs[str(key)]
        finish_unit(claim, lease, output={"folder": lease.key_prefix, "media": made.to_json()})
    publish(
        claim,
        lease,
        playlist_key=f"{lease.key_prefix}/master.m3u8",
        poster_key=f"{lease.key_prefix}/poster.jpg",
        duration_s=manifest["duration_s"],
        warnings=manifest["warnings"],
    )


def _leased(claim: Claim) -> Lease:
    return cast("Lease", lease_unit(claim, lease_id=uuid.uuid4().hex[:12]))


def _purge_all() -> None:
    for _ in range(1000):
        summary = purge()
        if not (summary.expired_events or summary.pruned):
            return


def _row(stage: str, videos: int, empty: dict[str, int]) -> dict[str, Any]:
    per_video: Callable[[int], float] = lambda size: round(size / videos / 1024, 1)  # noqa: E731 - used three times below
    added = {table: size - empty[table] for table, size in _sizes().items()}
    kib = {name: per_video(added[f"batchreel_{name}"]) for name in ("video", "job", "attempt", "unit", "event")}
    rows = {f"{model.__name__.lower()} rows": round(model.objects.count() / videos, 1) for model in (Unit, Event)}
    return {"rows of a 3 h video": stage, **kib, "KiB": per_video(sum(added.values())), **rows}


def _sizes() -> dict[str, int]:
    """Return the bytes of each of our tables with its indexes and TOAST, without the space of removed rows."""
    tables = [model._meta.db_table for model in apps.get_app_config("batchreel").get_models()]  # noqa: SLF001 - documented API
    with connection.cursor() as cursor:
        sizes = {}
        for table in tables:
            cursor.execute(f'VACUUM FULL "{table}"')
            cursor.execute("SELECT pg_total_relation_size(%s)", [table])
            sizes[table] = int(cursor.fetchone()[0])
        return sizes
