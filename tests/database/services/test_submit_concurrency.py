"""What one process is about to submit, no other process submits or waits for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from tasks.models import Attempt, Job
from tasks.services.ticks.submit import defer_submission, take_due
from tests.factories import uploaded_video

pytestmark = pytest.mark.django_db(transaction=True)


def _taken_by_another_process() -> list[int]:
    """Return the numbers of attempts that another process takes; it fails if it has to wait."""

    def take() -> list[int]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return [attempt.number for attempt in take_due(limit=10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(take).result(timeout=20)


def test_due_job_is_skipped_when_another_process_is_about_to_submit_it() -> None:
    uploaded_video()
    with transaction.atomic():
        Job.objects.select_for_update().get()
        assert _taken_by_another_process() == []
    assert _taken_by_another_process() == [1]


def test_deferred_attempt_is_skipped_when_another_process_submits_it() -> None:
    uploaded_video()
    (attempt,) = take_due(limit=10)
    defer_submission(attempt, wait_s=0)
    with transaction.atomic():
        Attempt.objects.select_for_update().get()
        assert _taken_by_another_process() == []
    assert _taken_by_another_process() == [1]
