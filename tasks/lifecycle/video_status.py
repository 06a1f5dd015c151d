"""A video's status for its viewers: derived from rows each time and never stored, so it cannot become stale."""

from __future__ import annotations

import enum

from .states import ACTIVE_JOB_STATES, JobState


class VideoStatus(enum.StrEnum):
    """Status of a video on the pages."""

    UPLOADING = "UPLOADING"
    WAITING = "WAITING"
    PROCESSING = "PROCESSING"
    READY = "READY"
    UPDATING = "UPDATING"
    FAILED = "FAILED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"
    DELETED = "DELETED"


_UNPUBLISHED: dict[JobState, VideoStatus] = {
    JobState.QUEUED: VideoStatus.WAITING,
    JobState.RUNNING: VideoStatus.PROCESSING,
    JobState.RETRY_WAIT: VideoStatus.WAITING,
    JobState.FAILED: VideoStatus.FAILED,
    JobState.DEAD: VideoStatus.DEAD,
    JobState.CANCELLED: VideoStatus.CANCELLED,
    # Succeeded but not published: the video got a newer job's output, or lost its publication. Nothing can be played.
    JobState.SUCCEEDED: VideoStatus.WAITING,
}


def video_status(*, deleted: bool, source_complete: bool, published: bool, newest_job: JobState | None) -> VideoStatus:
    """Return the status that follows from four facts. The table in docs/reference/states.md is the same function."""
    if deleted:
        return VideoStatus.DELETED
    if published:
        return VideoStatus.UPDATING if newest_job in ACTIVE_JOB_STATES else VideoStatus.READY
    if not source_complete:
        return VideoStatus.UPLOADING
    return VideoStatus.WAITING if newest_job is None else _UNPUBLISHED[newest_job]
