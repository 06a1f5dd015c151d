"""What a container learns of its machine's disk from the rows: who holds it, and who waits since earlier."""

from __future__ import annotations

import pytest

from tasks.models import Attempt
from tasks.services.container_api.claim import Claim
from tasks.services.container_api.heartbeat import send_heartbeat
from tasks.services.container_api.scratch import DiskShares, record_scratch, wait_for_scratch
from tests.factories import age, claimed, submitted_attempt

pytestmark = pytest.mark.django_db


def _claim(machine_id: str = "a") -> Claim:
    return claimed(submitted_attempt(), machine_id=machine_id)


def test_small_source_sees_the_large_one_ahead_when_that_came_earlier() -> None:
    large, small = _claim(), _claim()
    assert wait_for_scratch(large, scratch_mib=90_000) == DiskShares(held_mib=0, ahead_mib=())
    assert wait_for_scratch(small, scratch_mib=4000) == DiskShares(held_mib=0, ahead_mib=(90_000,))
    assert wait_for_scratch(large, scratch_mib=90_000).ahead_mib == ()


def test_nobody_is_ahead_when_the_earlier_one_has_its_room() -> None:
    first, second = _claim(), _claim()
    wait_for_scratch(first, scratch_mib=90_000)
    record_scratch(first, scratch_mib=90_000)
    assert wait_for_scratch(second, scratch_mib=4000) == DiskShares(held_mib=90_000, ahead_mib=())
    send_heartbeat(first, stage="encode", count=1, encoded_frames=1)
    assert wait_for_scratch(second, scratch_mib=4000).held_mib == 90_000


def test_others_wait_behind_what_is_still_missing_when_the_earlier_one_has_a_part_of_its_source() -> None:
    first, second = _claim(), _claim()
    record_scratch(first, scratch_mib=90_000)
    wait_for_scratch(first, scratch_mib=5000)
    assert wait_for_scratch(second, scratch_mib=4000) == DiskShares(held_mib=0, ahead_mib=(5000,))
    record_scratch(first, scratch_mib=95_000)
    assert wait_for_scratch(second, scratch_mib=4000) == DiskShares(held_mib=95_000, ahead_mib=())


def test_nobody_is_ahead_when_the_earlier_one_died_or_is_elsewhere() -> None:
    wait_for_scratch(_claim(), scratch_mib=90_000)
    age(Attempt, "heartbeat_at", seconds=181)
    wait_for_scratch(_claim("b"), scratch_mib=90_000)
    assert wait_for_scratch(_claim(), scratch_mib=4000) == DiskShares(held_mib=0, ahead_mib=())


def test_room_may_become_free_when_the_share_of_a_working_container_is_unknown() -> None:
    older_version = _claim()
    send_heartbeat(older_version, stage="encode", count=1, encoded_frames=1)
    assert wait_for_scratch(_claim(), scratch_mib=4000).held_mib is None


def test_container_is_alone_when_its_machine_is_unknown() -> None:
    wait_for_scratch(_claim(""), scratch_mib=90_000)
    assert wait_for_scratch(_claim(""), scratch_mib=4000) == DiskShares(held_mib=0, ahead_mib=())


def test_row_is_unchanged_when_a_superseded_container_waits() -> None:
    claim = _claim()
    Attempt.objects.update(claim_id=None)
    wait_for_scratch(claim, scratch_mib=4000)
    record_scratch(claim, scratch_mib=4000)
    attempt = Attempt.objects.get()
    assert (attempt.stage, attempt.scratch_mib) == ("claim", 0)
