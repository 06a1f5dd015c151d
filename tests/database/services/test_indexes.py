"""Unique constraints of the database reject duplicates that code fails to prevent."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from tasks.models import Attempt, Job, Unit
from tests.factories import claimed, planned, published, submitted_attempt

pytestmark = pytest.mark.django_db


def test_database_rejects_a_second_automatic_job_when_code_does_not_check() -> None:
    video = published()
    with pytest.raises(IntegrityError, match="one_automatic_job_per_source"):
        Job.objects.create(video=video, source_name=str(video.source), profile="standard", automatic=True)


def test_database_rejects_a_reused_attempt_number_when_code_does_not_check() -> None:
    first = submitted_attempt()
    duplicate = Attempt(
        job=first.job, number=first.number, batch_job_name="duplicate", vcpus=1, memory_mib=1024, timeout_s=3600
    )
    with pytest.raises(IntegrityError, match="one_attempt_per_fence"):
        duplicate.save()


def test_database_rejects_a_reused_batch_job_id_when_code_does_not_check() -> None:
    first, second = submitted_attempt(), submitted_attempt()
    with pytest.raises(IntegrityError, match="one_attempt_per_batch_job"):
        Attempt.objects.filter(pk=second.pk).update(batch_job_id=first.batch_job_id)


def test_database_rejects_a_second_unit_in_a_position_when_code_fails() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    with pytest.raises(IntegrityError, match="one_unit_per_place"):
        Unit.objects.create(job_id=claim.job_id, kind="video", index=0)
