"""Two concurrent actions on PostgreSQL, each on its own connection: exactly one of them wins.

A few races of each kind by default, a hundred with --long.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.models.functions import Now

from tasks.lifecycle.errors import AttemptCancelledError, ConflictError, FencedError, NotFoundError
from tasks.lifecycle.states import UnitKind
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.container_api.claim import (
    Claim,
    Lease,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from tasks.services.container_api.finish import finish_unit
from tasks.services.container_api.publish import publish
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tasks.services.requests.request import request_again
from tasks.services.ticks.rescue import rescue
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    finished_media,
    helper_of,
    leased,
    planned,
    submitted_attempt,
    uploaded_video,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pytest_django import Settings

pytestmark = pytest.mark.django_db(transaction=True)

RACES = pytest.mark.parametrize("races", [10, pytest.param(100, marks=pytest.mark.long)])


@pytest.fixture(autouse=True)
def _many_containers(settings: Settings) -> None:
    """Let the containers of all races run: few of them end."""
    settings.BATCHREEL = {**settings.BATCHREEL, "max_in_batch": 10_000}


def run_concurrently(*actions: Callable[[], object]) -> list[object]:
    """Run all actions at the same moment, and return each one's result, or its FencedError or AttemptCancelledError."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return action()
        except (FencedError, AttemptCancelledError) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        return [done.result(timeout=40) for done in [threads.submit(run, action) for action in actions]]


def event_counts(job_id: uuid.UUID) -> Counter[str]:
    return Counter(Event.objects.filter(job_id=job_id).values_list("kind", flat=True))


def new_lease(claim: Claim) -> Lease | NothingToLease:
    return lease_unit(claim, lease_id=uuid.uuid4().hex[:12])


def publish_unit(claim: Claim, lease: Lease) -> None:
    publish(claim, lease, duration_s=4.0, playlist_key=f"{lease.key_prefix}/master.m3u8", poster_key="")


def finish_and_publish(claim: Claim, lease: Lease) -> None:
    """Finish a unit, and publish if this container gets the publish unit."""
    finish_unit(claim, lease, output={"folder": "x", "media": {}})
    if isinstance(publishing := new_lease(claim), Lease):
        assert publishing.kind is UnitKind.PUBLISH
        publish_unit(claim, publishing)


def claim_and_lease(attempt: Attempt) -> Lease | NothingToLease:
    return new_lease(claimed(attempt))


def request_retry(video_id: uuid.UUID) -> None:
    """Request another job, and accept the refusal if the deletion came first."""
    with suppress(NotFoundError, ConflictError):
        request_again(video_id=video_id)


class BlockingBatch(ScriptedBatch):
    """Batch whose `terminate`, the last step of a rescue before it locks the job's row, starts the rival."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__()
        self._barrier = barrier

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        super().terminate(batch_job_id, reason=reason)
        self._barrier.wait(timeout=20)


ORDERS = ("unordered", "rescue first", "claim first")


class RescueClaimRace:
    """A rescue, and a unit claim by the container that it is about to declare dead, in one of the orders."""

    def __init__(self, claim: Claim, order: str) -> None:
        self._claim, self._order = claim, order
        self._barrier = threading.Barrier(2)
        self._rescued = threading.Event()

    def rescue(self, *, continuous_since: datetime) -> None:
        try:
            rescue(batch=BlockingBatch(self._barrier), continuous_since=continuous_since)
        finally:
            self._rescued.set()

    def claim(self) -> Lease | NothingToLease:
        if self._order == "claim first":
            try:
                return new_lease(self._claim)
            finally:
                self._barrier.wait(timeout=20)
        self._barrier.wait(timeout=20)
        if self._order == "rescue first":
            assert self._rescued.wait(timeout=20)
        return new_lease(self._claim)


@pytest.mark.parametrize("races", [10, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_one_container_wins_when_two_start_for_one_attempt(races: int) -> None:
    for _ in range(races):
        attempt = submitted_attempt()

        def claim(attempt: Attempt = attempt) -> Claim | NotClaimableError:
            try:
                return claim_attempt(
                    job_id=attempt.job_id,
                    number=attempt.number,
                    batch_job_id=str(attempt.batch_job_id),
                    claim_id=uuid.uuid4(),
                )
            except NotClaimableError as refusal:
                return refusal

        outcomes = run_concurrently(claim, claim)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Claim", "NotClaimableError"]
        assert event_counts(attempt.job_id)["attempt.claim"] == 1


@RACES
def test_job_is_published_once_when_two_containers_finish_its_last_units(races: int) -> None:
    for _ in range(races):
        first = claimed(submitted_attempt())
        planned(first, video_units=2, audio=False)
        second = claimed(helper_of(first))
        pairs = [(claim, leased(claim)) for claim in (first, second)]

        run_concurrently(*(partial(finish_and_publish, *pair) for pair in pairs))
        events = event_counts(first.job_id)
        assert (events["job.publish"], events["unit.finish"]) == (1, 4)
        assert Job.objects.get(pk=first.job_id).state == "SUCCEEDED"


@RACES
def test_plan_is_made_once_when_two_containers_start_at_once(races: int) -> None:
    for _ in range(races):
        attempt = submitted_attempt()
        first = claimed(attempt)
        helper = helper_of(first)
        leases = run_concurrently(partial(new_lease, first), partial(claim_and_lease, helper))
        assert sum(isinstance(lease, Lease) for lease in leases) == 1
        assert Unit.objects.filter(job=attempt.job_id).count() == 1
        assert event_counts(attempt.job_id)["unit.lease"] == 1


@pytest.mark.long
@RACES
def test_dead_attempt_holds_no_unit_when_its_claim_races_with_the_rescue(races: int) -> None:
    Tick.objects.create(name="rescue", continuous_since=Now())
    age(Tick, "continuous_since", seconds=100_000)
    since = Tick.objects.get(name="rescue").continuous_since
    assert since is not None
    orders = Counter[str]()
    for number in range(races):
        claim = claimed(submitted_attempt())
        planned(claim, video_units=2, audio=False)
        Attempt.objects.filter(pk=claim.attempt_id).update(heartbeat_at=Now())
        age(Attempt, "heartbeat_at", seconds=181)
        race = RescueClaimRace(claim, ORDERS[number % len(ORDERS)])
        outcomes = run_concurrently(partial(race.rescue, continuous_since=since), race.claim)
        refused = any(isinstance(outcome, FencedError) for outcome in outcomes)
        orders["rescue first" if refused else "claim first"] += 1
        assert Attempt.objects.get(pk=claim.attempt_id).state == "LOST"
        assert Unit.objects.filter(attempt=claim.attempt_id, state="LEASED").count() == (0 if refused else 1)
        # The next attempt gets every unit, including those the dead attempt held, and the dead one
        # can finish none.
        Job.objects.filter(pk=claim.job_id).update(next_attempt_at=Now())
        successor = claimed(submitted_attempt(Job.objects.get(pk=claim.job_id).video))
        finished_media(successor)
        with pytest.raises(FencedError):
            new_lease(claim)
        assert not Unit.objects.filter(attempt=claim.attempt_id).exclude(kind="plan").exists()
        publish_unit(successor, leased(successor))
    assert set(orders) == {"rescue first", "claim first"}


@RACES
def test_job_has_one_outcome_when_its_completion_races_with_a_cancel(races: int) -> None:
    for _ in range(races):
        claim = claimed(submitted_attempt())
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        published, cancelled = run_concurrently(
            partial(publish_unit, claim, lease), partial(cancel_job, job_id=claim.job_id)
        )
        job, events = Job.objects.get(pk=claim.job_id), event_counts(claim.job_id)
        if cancelled is True:
            assert isinstance(published, AttemptCancelledError)
            assert (job.state, job.video.published_job_id, events["job.publish"]) == ("CANCELLED", None, 0)
        else:
            assert (published, cancelled) == (None, False)
            assert (job.state, job.video.published_job_id, events["job.cancel"]) == ("SUCCEEDED", job.pk, 0)


@RACES
def test_deleted_video_shows_nothing_when_completion_races_with_deletion(races: int) -> None:
    for _ in range(races):
        claim = claimed(submitted_attempt())
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        video_id = Job.objects.get(pk=claim.job_id).video_id
        run_concurrently(partial(publish_unit, claim, lease), partial(delete_video, video_id=video_id))
        video = Video.objects.get(pk=video_id)
        assert video.deleted_at is not None
        assert video.published_job_id is None
        assert Job.objects.get(pk=claim.job_id).state in {"SUCCEEDED", "CANCELLED"}
        assert event_counts(claim.job_id)["job.publish"] + event_counts(claim.job_id)["job.cancel"] == 1


@RACES
def test_deleted_video_has_no_job_when_a_request_races_with_the_deletion(races: int) -> None:
    for _ in range(races):
        video = uploaded_video()
        cancel_job(job_id=Job.objects.get(video=video).pk)

        run_concurrently(partial(request_retry, video.pk), partial(delete_video, video_id=video.pk))
        assert not Job.objects.filter(video=video).exclude(state="CANCELLED").exists()


@RACES
def test_save_does_not_deadlock_when_it_races_with_a_publication(races: int) -> None:
    for number in range(races):
        video = uploaded_video()
        claim = claimed(submitted_attempt(video))
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        video.refresh_from_db()
        # Another source replaces the first one: the save locks the video's row, and then the job's
        # to cancel it.
        video.source.name = f"sources/{video.pk}/{number}.mp4"
        run_concurrently(partial(publish_unit, claim, lease), video.save)
        assert Job.objects.filter(video=video, source_name=video.source.name, state="QUEUED").count() == 1
        assert Job.objects.get(pk=claim.job_id).state in {"SUCCEEDED", "CANCELLED"}
