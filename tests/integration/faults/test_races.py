"""Two who do one thing at the same moment, on PostgreSQL, each on a connection of its own: exactly one has its way.

A few races of each in the plain run, a hundred with --long.
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
    NothingToClaim,
    claim_attempt,
    claim_unit,
)
from tasks.services.container_api.finish import finish_unit
from tasks.services.container_api.publish import publish
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tasks.services.requests.request import request_by_person
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

pytestmark = pytest.mark.django_db(transaction=True)

RACES = pytest.mark.parametrize("races", [10, pytest.param(100, marks=pytest.mark.long)])


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run all works at the same moment; what each returned, or the refusal that it met."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return work()
        except (FencedError, AttemptCancelledError) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return [done.result(timeout=40) for done in [threads.submit(run, work) for work in works]]


def told(job_id: uuid.UUID) -> Counter[str]:
    return Counter(Event.objects.filter(job_id=job_id).values_list("kind", flat=True))


def new_lease(claim: Claim) -> Lease | NothingToClaim:
    return claim_unit(claim, lease_id=uuid.uuid4().hex[:12])


def publish_unit(claim: Claim, lease: Lease) -> None:
    publish(claim, lease, manifest={"objects": []}, manifest_key=f"{lease.key_prefix}/master.m3u8", poster_key="")


def finish_and_go_on(claim: Claim, lease: Lease) -> None:
    """Finish a unit, and publish if that is what is left for this container."""
    finish_unit(claim, lease, output={"folder": "x", "media": {}})
    if isinstance(publishing := new_lease(claim), Lease):
        assert publishing.kind is UnitKind.PUBLISH
        publish_unit(claim, publishing)


def claim_and_lease(attempt: Attempt) -> Lease | NothingToClaim:
    return new_lease(claimed(attempt))


def ask_again(video_id: uuid.UUID) -> None:
    """Press retry; where the deletion came first, the answer is a sentence."""
    with suppress(NotFoundError, ConflictError):
        request_by_person(video_id=video_id)


class AtTheBrink(ScriptedBatch):
    """Its terminate, the last thing that a rescue does before it locks the job's row, lets the rival go."""

    def __init__(self, brink: threading.Barrier) -> None:
        super().__init__()
        self._brink = brink

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        super().terminate(batch_job_id, reason=reason)
        self._brink.wait(timeout=20)


ORDERS = ("as it comes", "rescue first", "claim first")


class Duel:
    """A rescue and a claim of the container that it is about to declare dead, in one of the orders."""

    def __init__(self, claim: Claim, order: str) -> None:
        self._claim, self._order = claim, order
        self._brink = threading.Barrier(2)
        self._rescued = threading.Event()

    def rescue(self, *, continuous_since: datetime) -> None:
        try:
            rescue(batch=AtTheBrink(self._brink), continuous_since=continuous_since)
        finally:
            self._rescued.set()

    def claim(self) -> Lease | NothingToClaim:
        if self._order == "claim first":
            try:
                return new_lease(self._claim)
            finally:
                self._brink.wait(timeout=20)
        self._brink.wait(timeout=20)
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

        answers = at_once(claim, claim)
        assert sorted(type(answer).__name__ for answer in answers) == ["Claim", "NotClaimableError"]
        assert told(attempt.job_id)["attempt.claim"] == 1


@RACES
def test_exactly_one_publishes_when_two_containers_finish_the_last_two_units(races: int) -> None:
    for _ in range(races):
        first = claimed(submitted_attempt())
        planned(first, video_units=2, audio=False)
        second = claimed(helper_of(first))
        pairs = [(claim, leased(claim)) for claim in (first, second)]

        at_once(*(partial(finish_and_go_on, *pair) for pair in pairs))
        events = told(first.job_id)
        assert (events["job.publish"], events["unit.finish"]) == (1, 4)
        assert Job.objects.get(pk=first.job_id).state == "SUCCEEDED"


@RACES
def test_there_is_one_plan_when_two_containers_start_at_once(races: int) -> None:
    for _ in range(races):
        attempt = submitted_attempt()
        first = claimed(attempt)
        helper = helper_of(first)
        leases = at_once(partial(new_lease, first), partial(claim_and_lease, helper))
        assert sum(isinstance(lease, Lease) for lease in leases) == 1
        assert Unit.objects.filter(job=attempt.job_id).count() == 1
        assert told(attempt.job_id)["unit.lease"] == 1


@RACES
def test_no_unit_is_held_by_a_dead_attempt_when_its_claim_meets_the_rescue(races: int) -> None:
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
        duel = Duel(claim, ORDERS[number % len(ORDERS)])
        answers = at_once(partial(duel.rescue, continuous_since=since), duel.claim)
        refused = any(isinstance(answer, FencedError) for answer in answers)
        orders["rescue first" if refused else "claim first"] += 1
        assert Attempt.objects.get(pk=claim.attempt_id).state == "LOST"
        assert Unit.objects.filter(attempt=claim.attempt_id, state="LEASED").count() == (0 if refused else 1)
        # Whoever comes next gets every unit, whatever the dead attempt held, and the dead one can finish none.
        Job.objects.filter(pk=claim.job_id).update(next_attempt_at=Now())
        successor = claimed(submitted_attempt(Job.objects.get(pk=claim.job_id).video))
        finished_media(successor)
        with pytest.raises(FencedError):
            new_lease(claim)
        assert not Unit.objects.filter(attempt=claim.attempt_id).exclude(kind="plan").exists()
        publish_unit(successor, leased(successor))
    assert set(orders) == {"rescue first", "claim first"}


@RACES
def test_job_ends_one_way_when_its_completion_meets_a_cancel(races: int) -> None:
    for _ in range(races):
        claim = claimed(submitted_attempt())
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        published, cancelled = at_once(partial(publish_unit, claim, lease), partial(cancel_job, job_id=claim.job_id))
        job, events = Job.objects.get(pk=claim.job_id), told(claim.job_id)
        if cancelled is True:
            assert isinstance(published, AttemptCancelledError)
            assert (job.state, job.video.published_job_id, events["job.publish"]) == ("CANCELLED", None, 0)
        else:
            assert (published, cancelled) == (None, False)
            assert (job.state, job.video.published_job_id, events["job.cancel"]) == ("SUCCEEDED", job.pk, 0)


@RACES
def test_deleted_video_shows_nothing_when_its_completion_meets_the_deletion(races: int) -> None:
    for _ in range(races):
        claim = claimed(submitted_attempt())
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        video_id = Job.objects.get(pk=claim.job_id).video_id
        at_once(partial(publish_unit, claim, lease), partial(delete_video, video_id=video_id))
        video = Video.objects.get(pk=video_id)
        assert video.deleted_at is not None
        assert video.published_job_id is None
        assert Job.objects.get(pk=claim.job_id).state in {"SUCCEEDED", "CANCELLED"}
        assert told(claim.job_id)["job.publish"] + told(claim.job_id)["job.cancel"] == 1


@RACES
def test_deleted_video_has_no_active_job_when_a_request_meets_the_deletion(races: int) -> None:
    for _ in range(races):
        video = uploaded_video()
        cancel_job(job_id=Job.objects.get(video=video).pk)

        at_once(partial(ask_again, video.pk), partial(delete_video, video_id=video.pk))
        assert not Job.objects.filter(video=video).exclude(state="CANCELLED").exists()


@RACES
def test_nobody_is_ended_by_a_deadlock_when_a_save_meets_a_publication(races: int) -> None:
    for number in range(races):
        video = uploaded_video()
        claim = claimed(submitted_attempt(video))
        planned(claim, video_units=1, audio=False)
        finished_media(claim)
        lease = leased(claim)
        video.refresh_from_db()
        # Another source takes the first one's place: the save locks the video's row, and then the job's to cancel it.
        video.source.name = f"sources/{video.pk}/{number}.mp4"
        at_once(partial(publish_unit, claim, lease), video.save)
        assert Job.objects.filter(video=video, source_name=video.source.name, state="QUEUED").count() == 1
        assert Job.objects.get(pk=claim.job_id).state in {"SUCCEEDED", "CANCELLED"}
