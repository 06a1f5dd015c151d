"""What a person is offered first when a video could not be made: another try, or another file."""

from __future__ import annotations

import pytest

from tasks.lifecycle.retry_offer import retry_offer
from tasks.lifecycle.states import JobState
from tasks.lifecycle.video_status import VideoStatus
from tasks.transcode.rejections import REJECTIONS

MAY_BE_ACCEPTED_LATER = {"SOURCE_MISSING", "TOO_DEMANDING", "TOO_MUCH_WORK", "UNREADABLE"}
CODES = {key.partition(".")[0] for key in REJECTIONS}


@pytest.mark.parametrize("code", sorted(CODES))
def test_another_file_comes_first_when_the_file_was_rejected(code: str) -> None:
    offer = retry_offer(VideoStatus.FAILED, JobState.FAILED, code)
    assert (offer.possible, offer.needs_file) == (True, True)
    assert offer.may_help == (code in MAY_BE_ACCEPTED_LATER)


def test_every_code_that_may_be_accepted_later_is_one_of_the_engine() -> None:
    assert MAY_BE_ACCEPTED_LATER < CODES


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (VideoStatus.DEAD, JobState.DEAD),
        (VideoStatus.CANCELLED, JobState.CANCELLED),
        (VideoStatus.WAITING, JobState.SUCCEEDED),
    ],
)
def test_retry_comes_first_when_the_file_is_not_the_cause(status: VideoStatus, state: JobState) -> None:
    offer = retry_offer(status, state, "ATTEMPTS_EXHAUSTED")
    assert (offer.possible, offer.needs_file, offer.may_help) == (True, False, True)
