"""Whether a user may retry a video now, and what the retry would do. Pure."""

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
    JobState.FAILED: RetryOffer(possible=True, code="FAILED", message=_FROM_THE_BEGINNING),
    JobState.CANCELLED: RetryOffer(possible=True, code="CANCELLED", message=_FROM_THE_BEGINNING),
    JobState.DEAD: RetryOffer(
        possible=True, code="DEAD", message="Continues where the last attempt stopped. Finished work is kept."
    ),
    # Succeeded, but the video shows nothing: its publication was lost.
    JobState.SUCCEEDED: RetryOffer(possible=True, code="UNPUBLISHED", message=_FROM_THE_BEGINNING),
}


def retry_offer(status: VideoStatus, newest_job: JobState | None) -> RetryOffer:
    """Return the retry offer for a video with this status whose newest job is in this state."""
    if offer := _BY_STATUS.get(status):
        return offer
    if status is VideoStatus.READY and newest_job is JobState.SUCCEEDED:
        return _READY
    return _BY_JOB[newest_job]


def texts() -> Iterator[str]:
    """Yield the message of every offer."""
    for offer in (*_BY_STATUS.values(), _READY, *_BY_JOB.values()):
        yield offer.message
