"""Whether a user may retry a video now, what the retry would do, and whether another file is what helps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .states import ACTIVE_JOB_STATES, JobState
from .video_status import VideoStatus


class RetryOffer(NamedTuple):
    """Whether a retry is offered, with a stable code and a message that explains why or why not."""

    possible: bool
    code: str
    message: str
    needs_file: bool = False
    """Whether the uploaded file is the cause, so that another file is the first thing to offer."""
    may_help: bool = True
    """Whether the same file may be accepted the next time."""


_NOT_THE_BYTES = frozenset({"SOURCE_MISSING", "TOO_DEMANDING", "TOO_MUCH_WORK", "UNREADABLE"})
"""Rejections that depend on more than the file's bytes: on the storage, on the two machines that agreed, or on the
setting `max_encode_cpu_h`. Codes of docs/reference/input-errors.md; all others are final for a file."""

_BY_STATUS = {
    VideoStatus.DELETED: RetryOffer(possible=False, code="DELETED", message="The video was deleted."),
    VideoStatus.UPLOADING: RetryOffer(
        possible=False, code="SOURCE_INCOMPLETE", message="The upload is not complete. Upload the file again."
    ),
}
_READY = RetryOffer(possible=False, code="READY", message="The video is ready; there is nothing to retry.")
_UNDER_WAY = RetryOffer(possible=False, code="UNDER_WAY", message="The video is already being processed.")
_FROM_THE_BEGINNING = "Processes the same file again from the beginning."
_BY_JOB: dict[JobState | None, RetryOffer] = {
    None: RetryOffer(possible=False, code="NOT_REQUESTED", message="The video will be processed automatically."),
    **dict.fromkeys(ACTIVE_JOB_STATES, _UNDER_WAY),
    # A job fails only because its file was rejected; everything else is retried until the job is DEAD.
    JobState.FAILED: RetryOffer(possible=True, code="FAILED", message=_FROM_THE_BEGINNING, needs_file=True),
    JobState.CANCELLED: RetryOffer(possible=True, code="CANCELLED", message=_FROM_THE_BEGINNING),
    JobState.DEAD: RetryOffer(
        possible=True, code="DEAD", message="Continues where the last attempt stopped. Finished work is kept."
    ),
    # Succeeded, but the video shows nothing: its publication was lost.
    JobState.SUCCEEDED: RetryOffer(possible=True, code="UNPUBLISHED", message=_FROM_THE_BEGINNING),
}


def retry_offer(status: VideoStatus, newest_job: JobState | None, reason: str = "") -> RetryOffer:
    """Return the retry offer for a video with this status whose newest job is in this state, for this reason."""
    if offer := _BY_STATUS.get(status):
        return offer
    if status is VideoStatus.READY and newest_job is JobState.SUCCEEDED:
        return _READY
    offer = _BY_JOB[newest_job]
    return offer._replace(may_help=reason in _NOT_THE_BYTES) if offer.needs_file else offer


def texts() -> Iterator[str]:
    """Yield the message of every offer."""
    for offer in (*_BY_STATUS.values(), _READY, *_BY_JOB.values()):
        yield offer.message
