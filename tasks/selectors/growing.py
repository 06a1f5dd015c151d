"""Growing playlists of jobs that are being worked on, rendered from the rows of their finished units.

Nothing is stored for them. A unit's output never changes while its fence and its state stay the same, so
each process parses it once. A unit that is being redone is listed as before until its new output is
there, because a growing playlist must not shrink.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.db.models import Max, Min, Q
from django.urls import reverse

from ..lifecycle.states import ACTIVE_JOB_STATES, MEDIA_UNIT_KINDS, UnitKind, UnitState
from ..models import Job, Unit
from ..storage.keys import growing_folder
from ..transcode import (
    GROWING_NAME,
    PLAN_VERSION,
    EncodeError,
    Growing,
    MediaFile,
    Plan,
    UnitKey,
    UnitOutput,
    audio_unit,
    grow,
)

_LISTED = Q(state=UnitState.DONE) | Q(redo_count__gt=0)
"""Units with an output: one that is redone after a failed verification keeps the old one until then."""

_READABLE_PLAN = Q(kind=UnitKind.PLAN, state=UnitState.DONE, output__version=PLAN_VERSION)
"""During a deployment, another version of the engine may have made the plan."""

_KEPT_UNITS = 1024
"""Parsed units that a process keeps: of six videos of three hours, up to 30 MB."""

_KEPT_JOBS = 16

GROWING_KEY = "growing-"
"""Begins the key of every growing playlist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playable:
    """How far a job's video can be watched while it is being made."""

    playlist_url: str
    """Of the growing playlist to begin with."""
    key: str
    """Changes if the playlist does not continue the one before: the job was planned again."""
    seconds: float


class ListedUnit(NamedTuple):
    """A unit with an output. No two outputs have the same one of these."""

    pk: int
    kind: str
    number: int
    """Its index among the units of its kind."""
    fence: int
    redo_count: int
    is_done: bool


class ListedUnits(NamedTuple):
    """The units that a growing playlist lists, and the plan that they follow."""

    job_id: uuid.UUID
    plan_fence: int
    units: tuple[ListedUnit, ...]


def playable(jobs: Iterable[Job]) -> dict[uuid.UUID, Playable]:
    """Return how far the videos of active jobs can be watched, by job id; jobs of which nothing can be are left out.

    One query for any number of jobs, and none without active ones.
    """
    active = {job.pk: job for job in jobs if job.state in ACTIVE_JOB_STATES and job.duration_s}
    if not active:
        return {}
    found = {}
    for job_id, plan_fence, frames, end in _watchable_frames(active):
        job = active[job_id]
        if plan_fence and frames:
            folder = growing_folder(job, plan_fence=plan_fence)
            found[job_id] = Playable(
                playlist_url=reverse("batchreel:media", args=[f"{folder}/{GROWING_NAME}"]),
                key=f"{GROWING_KEY}{job.pk}-f{plan_fence}",
                seconds=(job.duration_s or 0) * frames / end,
            )
    return found


def can_be_watched(job: Job) -> bool:
    """Return whether the beginning of an active job's video can be watched."""
    if job.state not in ACTIVE_JOB_STATES or not job.duration_s:
        return False
    return any(plan_fence and frames for _, plan_fence, frames, _ in _watchable_frames([job.pk]))


def _watchable_frames(job_ids: Collection[uuid.UUID]) -> Iterator[tuple[uuid.UUID, int | None, int | None, int]]:
    """Yield each job's id, the fence of its plan, the number of frames that can be watched, and of all of them."""
    is_media = Q(kind__in=MEDIA_UNIT_KINDS)
    rows = (
        Unit.objects.filter(job_id__in=job_ids)
        .order_by()
        .values_list("job_id")
        .annotate(
            plan_fence=Max("fence", filter=_READABLE_PLAN),
            first_missing=Min("first_frame", filter=is_media & ~_LISTED),
            end=Max("end_frame", filter=is_media),
        )
    )
    for job_id, plan_fence, first_missing, end in rows:
        yield job_id, plan_fence, end if first_missing is None else first_missing, end


def listed_units(job_id: uuid.UUID) -> ListedUnits | None:
    """Return the units from the beginning of the video up to the first one without an output.

    None without a plan that this version of the engine can read.
    """
    media = Q(kind__in=MEDIA_UNIT_KINDS) & _LISTED
    rows = Unit.objects.filter(media | _READABLE_PLAN, job_id=job_id).order_by("kind", "index")
    found = list(rows.values_list("pk", "kind", "index", "fence", "redo_count", "state"))
    plan = next((fence for _, kind, _, fence, _, _ in found if kind == UnitKind.PLAN), None)
    if plan is None:
        return None
    units: list[ListedUnit] = []
    for kind in MEDIA_UNIT_KINDS:
        of_kind = [row for row in found if row[1] == kind]
        units += [
            ListedUnit(pk, kind, index, fence, redo_count, state == UnitState.DONE)
            for place, (pk, _, index, fence, redo_count, state) in enumerate(of_kind)
            if index == place
        ]
    return ListedUnits(job_id, plan, tuple(units))


def was_planned_again(job_id: uuid.UUID, plan_fence: int) -> bool:
    """Return whether the job has another plan than that; False once the rows of its units are gone."""
    return Unit.objects.filter(job_id=job_id, kind=UnitKind.PLAN).exclude(fence=plan_fence).exists()


@lru_cache(maxsize=_KEPT_JOBS)
def growing(listed: ListedUnits) -> Growing | None:
    """Return the tracks that the units make up; None if the job's plan or units were removed meanwhile."""
    plan = _plan(listed.job_id, listed.plan_fence)
    outputs = _outputs(listed.units)
    if plan is None or len(outputs) < len(listed.units):
        return None
    by_key = {_key(unit): output for unit, (_, output) in outputs.items()}
    folders = {_key(unit): folder for unit, (folder, _) in outputs.items()}

    def url_of(key: UnitKey, file: MediaFile) -> str:
        return f"../{folders[key]}/{file.name}"

    return grow(plan, by_key, url_of=url_of)


def _key(unit: ListedUnit) -> UnitKey:
    return unit.number if unit.kind == UnitKind.VIDEO else audio_unit(unit.number)


@lru_cache(maxsize=_KEPT_JOBS)
def _plan(job_id: uuid.UUID, _plan_fence: int) -> Plan | None:
    form = Job.objects.filter(pk=job_id).values_list("plan", flat=True).first()
    try:
        return None if form is None else Plan.from_json(form)
    except EncodeError:  # planned again meanwhile, by another version
        return None


Output = tuple[str, UnitOutput]
"""The name of a unit's folder, and what is in it."""

_kept: OrderedDict[ListedUnit, Output] = OrderedDict()
_kept_lock = threading.Lock()


def _outputs(units: Sequence[ListedUnit]) -> Mapping[ListedUnit, Output]:
    """Return the output of each unit; those whose rows are gone are left out."""
    with _kept_lock:
        found = {unit: _kept[unit] for unit in units if unit in _kept}
    read = _read([unit for unit in units if unit not in found])
    with _kept_lock:
        for unit in units:
            if unit in read:
                _kept[unit] = read[unit]
            if unit in _kept:
                _kept.move_to_end(unit)
        while len(_kept) > _KEPT_UNITS:
            _kept.popitem(last=False)
    return found | read


def _read(units: Collection[ListedUnit]) -> dict[ListedUnit, Output]:
    if not units:
        return {}
    forms = dict(Unit.objects.filter(pk__in=[unit.pk for unit in units]).values_list("pk", "output"))
    return {
        unit: (form["folder"], UnitOutput.from_json(form["media"]))
        for unit in units
        if (form := forms.get(unit.pk)) and "media" in form
    }
