"""The names of stored objects.

The folders of every object that the app writes, reads or deletes are defined here and nowhere else.

sources/<video>/<random>/<file name>            an upload: a name is one version of the source
published/<video>/<job>/<unit folder>/<file>    what a job made; browsers may read below this prefix only
published/<video>/<job>/edition-<edit>-<id>/<file>  playlists again, with captions and chapters that people added
published/<video>/<job>/growing-f<fence>/<file> playlists that the site renders from rows: nothing is stored there
doctor/<random>                                 what `manage.py doctor` writes and removes again
published/doctor/<random>                       the same, written in a container by `doctor --from-batch`
"""

from __future__ import annotations

import uuid
from typing import Protocol

SOURCES = "sources"
PUBLISHED = "published"
PUBLISHED_PREFIX = f"{PUBLISHED}/"
"""Browsers may read objects below this prefix by key. A source is served only by its video's id, and
only if it plays directly."""

GROWING_PREFIX = "growing-f"
EDITION_PREFIX = "edition-"

SITE_DOCTOR_FOLDER = "doctor"
CONTAINER_DOCTOR_FOLDER = f"{PUBLISHED}/doctor"
"""Where the doctor writes its small objects. A container's role may write here but not delete: the
site removes them."""


class _Video(Protocol):
    pk: uuid.UUID


class _Job(Protocol):
    pk: uuid.UUID
    video_id: uuid.UUID


class _Unit(Protocol):
    kind: str
    index: int
    fence: int
    lease_id: str


def source_key(video: _Video, filename: str) -> str:
    """Return where an upload is stored.

    The name is never used twice, so it identifies a version of the source.
    """
    return f"{source_folder(video, uuid.uuid4())}/{filename}"


def source_folder(video: _Video, version: uuid.UUID) -> str:
    """Return the folder of one version of a video's source."""
    return f"{sources_folder(video)}/{version.hex[:12]}"


def sources_folder(video: _Video) -> str:
    """Return the folder of all uploads of a video."""
    return f"{SOURCES}/{video.pk}"


def published_folder(video: _Video) -> str:
    """Return the folder of everything that the jobs of a video made."""
    return f"{PUBLISHED}/{video.pk}"


def job_folder(job: _Job) -> str:
    """Return the folder of everything that a job made."""
    return f"{PUBLISHED}/{job.video_id}/{job.pk}"


def growing_folder(job: _Job, *, plan_fence: int) -> str:
    """Return the folder of a job's growing playlists, next to those of its units.

    Names in them, and in the published playlists, are relative, so they mean the same objects. A plan that
    is made again has another fence, and so another folder: its segments do not continue the earlier ones.
    """
    return f"{job_folder(job)}/{GROWING_PREFIX}{plan_fence}"


def edition_folder(job: _Job, *, edit: int, edition_id: uuid.UUID) -> str:
    """Return the folder of one edition of a job's publication, next to those of its units.

    As in growing playlists, names in it mean the same objects as in the publication's own playlists. No two
    editions share a folder.
    """
    return f"{job_folder(job)}/{EDITION_PREFIX}{edit}-{edition_id.hex[:12]}"


def unit_folder(unit: _Unit) -> str:
    """Return the name, inside the job's folder, for the output of one lease of a unit.

    It contains the fencing token and the lease's id, so no two writers share a key.
    """
    return f"{unit.kind}-{unit.index:04d}-f{unit.fence}-{unit.lease_id}"
