"""A container that takes the time of its work.

It changes rows only through the services, as `tasks.container.program` does.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.conf import bridge_settings
from tasks.container.units.plan import planned_units
from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.states import UnitKind
from tasks.services.container_api.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from tasks.services.container_api.finish import finish_attempt, finish_plan, finish_unit
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.container_api.publish import publish
from tasks.transcode import encode_cost_s
from tests.simulation.batch import ESSENTIAL, BatchJob

if TYPE_CHECKING:
    from scripts.bench.scaling.content import Work
    from scripts.bench.scaling.world import World

_PROGRAM_START_S = 1.5
"""Until the program claims its attempt: Python and Django took 1.2 CPU seconds."""
_DATABASE_CALL_S = 0.03
_WAIT_FOR_OTHER_SLOT_S = 5.0
"""As in `tasks.container.program`."""
_FETCH_BYTES_PER_S = (200e6, 500e6)
"""Least and greatest: eight connections of up to 90 MB/s, and a disk that several containers share."""
_STREAM_BYTES_PER_S = 90e6
"""One connection to the storage."""
_REQUEST_S = 0.03
_FETCHED_SHARE = 1.21
"""Bytes that a container fetches for its units, as a share of theirs (ADR 37)."""
_VERIFY_S_PER_SAMPLE = 2e-6
"""CPU seconds for each sample of a track, measured."""
_VERIFY_S_PER_BYTE = 2.5e-9
"""CPU seconds: 1.0 for a gigabyte were measured for checksum and copies; 1.5 more for receiving it."""
_DECODE_S = 3.0
"""Test decoding of the first and the last segment of each track: 5.4 CPU seconds in two threads."""
_STORED_FILES_OF_A_UNIT = 7


@dataclass
class _Slot:
    claim: Claim
    turn: int = 0
    """Increases when the slot starts to wait or continues, so that an old wake-up does nothing."""
    is_waiting: bool = False
    is_over: bool = False


class TimedContainer:
    """One container run."""

    def __init__(self, world: World, batch_job: BatchJob, *, job_id: uuid.UUID, number: int) -> None:
        self._world, self.batch_job = world, batch_job
        self._job_id, self._number = job_id, number
        self._random = random.Random(f"{world.seed} container {number}")  # noqa: S311 - times, not secrets
        self._claim_id = uuid.uuid4()
        self._slots: list[_Slot] = []
        self._fetch_bytes_per_s = self._random.uniform(*_FETCH_BYTES_PER_S)
        self._has_whole_source = False
        self._fetching_until_s = 0.0
        self._beats = 0
        self.started_at_s = world.now_s
        self.ended_at_s: float | None = None
        world.later(_PROGRAM_START_S, self._begin)

    @property
    def work(self) -> Work:
        return self._world.work

    @property
    def is_gone(self) -> bool:
        return self.ended_at_s is not None

    def kill(self) -> None:
        """End without a trace, as with the machine."""
        if not self.is_gone:
            self.ended_at_s = self._world.now_s

    def _leave(self, exit_code: int) -> None:
        if self.is_gone:
            return
        self.ended_at_s = self._world.now_s
        status = BatchStatus.FAILED if exit_code else BatchStatus.SUCCEEDED
        self.batch_job.end(status=status, reason=ESSENTIAL, exit_code=exit_code)
        self._world.batch.release(self.batch_job)

    def _call(self, action: Callable[[], None]) -> None:
        """Call services, and exit if the response requires it."""
        if self.is_gone:
            return
        try:
            action()
        except JobAlreadyDoneError:
            self._leave(0)
        except (AttemptCancelledError, FencedError, NotClaimableError, NotFoundError):
            self._leave(11)

    def _begin(self) -> None:
        self._call(self._claim_attempt)

    def _claim_attempt(self) -> None:
        claim = claim_attempt(
            job_id=self._job_id,
            number=self._number,
            batch_job_id=self.batch_job.batch_job_id,
            claim_id=self._claim_id,
        )
        conf = bridge_settings()
        self._world.later(conf.heartbeat_s, lambda: self._send_heartbeat(claim))
        self._slots = [_Slot(claim) for _ in range(max(1, claim.vcpus // conf.threads_per_unit))]
        self._continue_all()

    def _continue_all(self) -> None:
        for slot in self._slots:
            slot.is_over = False
            self._take_next(slot)

    def _take_next(self, slot: _Slot) -> None:
        slot.turn += 1
        slot.is_waiting = False
        turn = slot.turn
        self._world.later(_DATABASE_CALL_S, lambda: slot.turn == turn and self._call(lambda: self._lease(slot)))

    def _lease(self, slot: _Slot) -> None:
        leased = lease_unit(slot.claim, lease_id=uuid.uuid4().hex[:12])
        if isinstance(leased, Lease):
            needs_s = self._seconds(leased)
            self._world.later(needs_s + _DATABASE_CALL_S, lambda: self._call(lambda: self._finish(slot, leased)))
        elif leased in (NothingToLease.OWN_WORK_FIRST, NothingToLease.PLAN_FIRST):
            slot.is_waiting = True
            turn = slot.turn
            self._world.later(_WAIT_FOR_OTHER_SLOT_S, lambda: slot.turn == turn and self._take_next(slot))
        else:
            slot.is_over = True
            if all(each.is_over for each in self._slots):
                if finish_attempt(slot.claim):
                    self._leave(0)
                else:
                    self._continue_all()

    def _finish(self, slot: _Slot, lease: Lease) -> None:
        claim = slot.claim
        if lease.kind is UnitKind.PLAN:
            plan = self.work.plan
            finish_plan(
                claim,
                lease,
                plan=plan.to_json(),
                units=planned_units(plan),
                plays_directly=False,
                encode_cost_s=encode_cost_s(plan),
                duration_s=plan.duration_s,
            )
        elif lease.kind is UnitKind.PUBLISH:
            publish(claim, lease, playlist_key="master", poster_key="", duration_s=self.work.plan.duration_s)
        else:
            finish_unit(claim, lease, output={"by": claim.number})
        self._world.on_finished(lease, self._cpu_s(lease))
        self._take_next(slot)
        for other in self._slots:
            if other.is_waiting:
                self._take_next(other)

    def _send_heartbeat(self, claim: Claim) -> None:
        if self.is_gone:
            return
        self._beats += 1
        reply = send_heartbeat(claim, stage="encode", count=self._beats, encoded_frames=self._beats)
        if reply is HeartbeatReply.ALIVE:
            self._world.later(bridge_settings().heartbeat_s, lambda: self._send_heartbeat(claim))
        else:
            self._leave(0 if reply is HeartbeatReply.DONE else 11)

    # How long things take.

    def _cpu_s(self, lease: Lease) -> float:
        spread = self.work.content.unit_spread
        match lease.kind:
            case UnitKind.PLAN:
                return self.work.plan_s
            case UnitKind.VIDEO:
                chance = random.Random(f"{self._world.seed} unit {lease.index}")  # noqa: S311 - times, not secrets
                return self.work.video_s(lease.index) * max(0.5, chance.gauss(1, spread))
            case UnitKind.AUDIO:
                return self.work.audio_s(lease.index)
            case _:
                return _DECODE_S

    def _seconds(self, lease: Lease) -> float:
        content, cpu_s = self.work.content, self._cpu_s(lease)
        if lease.kind is UnitKind.PLAN:
            return self._fetch_s(whole=True) + cpu_s
        if lease.kind is UnitKind.AUDIO:
            return self._fetch_s(whole=True) + cpu_s + 2 * _REQUEST_S
        if lease.kind is UnitKind.VIDEO:
            length_s = self.work.video_length_s(lease.index)
            fetch_s = self._fetch_s(length_s * content.source_bps / 8 * _FETCHED_SHARE)
            stored_bytes = length_s * content.output_bps / 8
            return fetch_s + cpu_s + stored_bytes / _STREAM_BYTES_PER_S + _STORED_FILES_OF_A_UNIT * _REQUEST_S
        return self._verify_s() + cpu_s + _STORED_FILES_OF_A_UNIT * _REQUEST_S

    def _fetch_s(self, wanted_bytes: float = 0.0, *, whole: bool = False) -> float:
        """Return how long the source is fetched, after what other slots fetch."""
        if self._has_whole_source:
            return max(0.0, self._fetching_until_s - self._world.now_s)
        self._has_whole_source = whole
        seconds = (self.work.source_bytes if whole else wanted_bytes) / self._fetch_bytes_per_s + _REQUEST_S
        self._fetching_until_s = max(self._fetching_until_s, self._world.now_s) + seconds
        return self._fetching_until_s - self._world.now_s

    def _verify_s(self) -> float:
        connections = self._world.scenario.verify_connections
        network_s = self.work.output_bytes / _STREAM_BYTES_PER_S + self.work.objects * _REQUEST_S
        cpu_s = self.work.output_bytes * _VERIFY_S_PER_BYTE + self.work.samples * _VERIFY_S_PER_SAMPLE
        # One thread waits or computes; several compute while others wait.
        return network_s + cpu_s if connections == 1 else max(network_s / connections, cpu_s)
