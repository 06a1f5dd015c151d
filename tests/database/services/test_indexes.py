"""The database itself refuses what may be there only once, where code forgets to look."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from tasks.models import Attempt, Job, Unit
from tests.factories import claimed, planned, published, submitted_attempt

pytestmark = pytest.mark.django_db


def test_database_refuses_a_second_automatic_job_of_one_source_when_code_forgets_to_look() -> None:
    video = published()
    with pytest.raises(IntegrityError, match="one_automatic_job_per_source"):
        Job.objects.create(video=video, source_name=str(video.source), profile="standard", automatic=True)


def test_database_refuses_a_second_attempt_of_one_number_when_code_forgets_to_look() -> None:
    first = submitted_attempt()
    twin = Attempt(job=first.job, number=first.number, batch_job_name="twin", vcpus=1, memory_mib=1024)
    with pytest.raises(IntegrityError, match="one_attempt_per_fence"):
        twin.save()


def test_database_refuses_a_second_attempt_of_one_batch_job_when_code_forgets_to_look() -> None:
    first, second = submitted_attempt(), submitted_attempt()
    with pytest.raises(IntegrityError, match="one_attempt_per_batch_job"):
        Attempt.objects.filter(pk=second.pk).update(batch_job_id=first.batch_job_id)


def test_database_refuses_a_second_unit_in_one_place_when_code_forgets_to_look() -> None:
    claim = claimed(submitted_attempt())
    planned(claim)
    with pytest.raises(IntegrityError, match="one_unit_per_place"):
        Unit.objects.create(job_id=claim.job_id, kind="video", index=0)
