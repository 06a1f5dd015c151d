"""What one process is about to submit is nobody else's to submit, and nobody waits for it either."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from tasks.models import Attempt, Job
from tasks.services.ticks.submit import defer_submission, take_due
from tests.factories import refill_tokens, uploaded_video

pytestmark = pytest.mark.django_db(transaction=True)


def _taken_by_another_process() -> list[int]:
    """The numbers of the attempts that a second process takes now; it gives up where it would have to wait."""

    def take() -> list[int]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return [attempt.number for attempt in take_due(limit=10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(take).result(timeout=20)


def test_due_job_is_left_alone_when_another_process_is_about_to_submit_it() -> None:
    uploaded_video()
    refill_tokens()
    with transaction.atomic():
        Job.objects.select_for_update().get()
        assert _taken_by_another_process() == []
    assert _taken_by_another_process() == [1]


def test_attempt_that_was_put_off_is_left_alone_when_another_process_is_about_to_submit_it() -> None:
    uploaded_video()
    refill_tokens()
    (attempt,) = take_due(limit=10)
    defer_submission(attempt, wait_s=0)
    with transaction.atomic():
        Attempt.objects.select_for_update().get()
        assert _taken_by_another_process() == []
    assert _taken_by_another_process() == [1]
