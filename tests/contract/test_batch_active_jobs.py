"""The port's listing of Batch jobs that have not ended: one call per page, each naming where the next one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.batch.aws import aws_batch
from tasks.batch.errors import BatchRejectedError

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.contract.jobs import Jobs


@pytest.fixture(autouse=True)
def _queue(jobs: Jobs, settings: Settings) -> None:
    settings.VIDEO_BATCH_JOB_QUEUE = jobs.queue


def test_listing_shows_every_unfinished_job_when_it_is_read_page_by_page(jobs: Jobs) -> None:
    ended = jobs.submit("true")
    running = jobs.submit("sleep", "600")
    waiting = jobs.submit_waiting("waiting")
    jobs.wait_for_end(ended)
    jobs.wait_for_status(running, "RUNNING")
    jobs.wait_for_status(waiting, "RUNNABLE")
    batch = aws_batch()
    page = batch.list_active(position="")
    seen, positions = [job.batch_job_id for job in page.jobs], [page.next_position]
    while page.next_position:
        page = batch.list_active(position=page.next_position)
        seen += [job.batch_job_id for job in page.jobs]
        positions.append(page.next_position)
    assert seen == [waiting, running]
    assert positions == ["0 PENDING", "0 RUNNABLE", "0 STARTING", "0 RUNNING", ""]


def test_listing_begins_the_status_again_when_aws_rejects_the_position(jobs: Jobs) -> None:
    waiting = jobs.submit_waiting("waiting")
    jobs.wait_for_status(waiting, "RUNNABLE")
    page = aws_batch().list_active(position="0 RUNNABLE no-longer-valid")
    assert [job.batch_job_id for job in page.jobs] == [waiting]
    assert page.next_position == "0 STARTING"


def test_listing_continues_with_the_other_queues_when_one_does_not_exist(jobs: Jobs, settings: Settings) -> None:
    settings.VIDEO_BATCH_HELPER_QUEUE = settings.VIDEO_BATCH_JOB_QUEUE
    settings.VIDEO_BATCH_JOB_QUEUE = "nowhere"
    waiting = jobs.submit_waiting("waiting")
    jobs.wait_for_status(waiting, "RUNNABLE")
    batch, position, seen, errors = aws_batch(), "0 RUNNABLE no-longer-valid", [], []
    while position:
        page = batch.list_active(position=position)
        seen += [job.batch_job_id for job in page.jobs]
        errors.append(page.error)
        position = page.next_position
    assert seen == [waiting]
    assert "nowhere" in str(errors[0])
    assert [bool(error) for error in errors] == [True] * 3 + [False] * 5


def test_batch_job_is_found_when_another_queue_does_not_exist(jobs: Jobs, settings: Settings) -> None:
    settings.VIDEO_BATCH_HELPER_QUEUE = settings.VIDEO_BATCH_JOB_QUEUE
    settings.VIDEO_BATCH_JOB_QUEUE = "nowhere"
    waiting = jobs.submit_waiting("waiting")
    assert [each.batch_job_id for each in aws_batch().find(name="waiting")] == [waiting]
    settings.VIDEO_BATCH_HELPER_QUEUE = "nowhere either"
    with pytest.raises(BatchRejectedError, match="nowhere"):
        aws_batch().find(name="waiting")
