"""Columns and constraints, no behaviour. What must never be false about the rows, the database itself refuses."""

from __future__ import annotations

from tasks.models.attempt import Attempt
from tasks.models.direct_upload import DirectUpload
from tasks.models.event import Event
from tasks.models.job import Job
from tasks.models.tick import Tick, TokenBucket
from tasks.models.unit import Unit
from tasks.models.video import OVERLOOKED, Video, VideoQuerySet, source_path

__all__ = [
    "OVERLOOKED",
    "Attempt",
    "DirectUpload",
    "Event",
    "Job",
    "Tick",
    "TokenBucket",
    "Unit",
    "Video",
    "VideoQuerySet",
    "source_path",
]
