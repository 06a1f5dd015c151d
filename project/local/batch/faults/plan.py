"""Faults that a test plants in the local AWS Batch, over HTTP while it runs: which there are, which applies now, how often each did.

A fault is one JSON document, POSTed to /local-batch/faults: {"kind": "error_after", "operation": "SubmitJob", "times": 1}. Several at once
are {"seed": 7, "faults": [...]}: what is left to chance in them follows from the one seed. GET lists all with the number of times that
each was `applied`, so a test can prove that its fault happened; DELETE removes all and lets go of every call that hangs. No AWS API has
this address, and without a planted fault nothing is different.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from project.local.batch.faults.chance import Chance, Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

FAULTS_PATH = "/local-batch/faults"
LONGEST_HOLD_S = 60.0


class FaultKind(StrEnum):
    """What can be made to go wrong."""

    # A call. `before` and `after` its effect; a slow one is answered in the end.
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    SLOW = "slow"
    THROTTLE = "throttle"
    # Throttled beyond `per_s` calls a second, until it is removed.
    QUOTA = "quota"
    DENY = "deny"
    EXPIRED = "expired"
    # What a read shows: nothing; all but the jobs whose names begin with `job_name`; none younger than `hold_s`, as where ListJobs
    # lags; none that ended longer than `hold_s` ago, as AWS forgets them.
    EMPTY = "empty"
    PARTIAL = "partial"
    LAG = "lag"
    RETENTION = "retention"
    # A job that is there, named by `job_id`; happens at once.
    VANISH = "vanish"
    SPOT_RECLAIM = "spot_reclaim"
    HOST_LOSS = "host_loss"
    OUT_OF_MEMORY = "out_of_memory"
    # Spot takes back the machines of a `share` of all jobs that run; happens at once.
    RECLAIM_STORM = "reclaim_storm"
    # The start of jobs whose names begin with `job_name`. A slow one takes `hold_s` longer.
    IMAGE_PULL = "image_pull"
    START_HANG = "start_hang"
    SLOW_START = "slow_start"
    STUCK_RUNNABLE = "stuck_runnable"


CALL_KINDS = frozenset(
    {
        FaultKind.ERROR_BEFORE,
        FaultKind.ERROR_AFTER,
        FaultKind.DROP_BEFORE,
        FaultKind.DROP_AFTER,
        FaultKind.HANG_BEFORE,
        FaultKind.HANG_AFTER,
        FaultKind.SLOW,
        FaultKind.THROTTLE,
        FaultKind.QUOTA,
        FaultKind.DENY,
        FaultKind.EXPIRED,
        FaultKind.EMPTY,
        FaultKind.PARTIAL,
        FaultKind.LAG,
        FaultKind.RETENTION,
    }
)
LESS_KINDS = frozenset({FaultKind.EMPTY, FaultKind.PARTIAL, FaultKind.LAG, FaultKind.RETENTION})
JOB_KINDS = frozenset({FaultKind.VANISH, FaultKind.SPOT_RECLAIM, FaultKind.HOST_LOSS, FaultKind.OUT_OF_MEMORY})
OPERATIONS = frozenset({"SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "TerminateJobs"})


@dataclass(kw_only=True)
class Fault:
    """One planted fault. `times` None: until it is removed; so are STUCK_RUNNABLE, QUOTA, LAG and RETENTION.

    A fault happens to `share` of the calls or jobs (to all), by `seed`. `hold_s` is how long a call hangs (the longest time
    unless given), how late Batch tells of a loss (at once), or an age.
    """

    kind: FaultKind
    operation: str = ""
    job_name: str = ""
    job_id: str = ""
    times: int | None = 1
    hold_s: float | None = None
    reason: str = ""
    share: float = 1.0
    seed: int = 0
    per_s: float = 0.0
    fault_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    applied: int = 0

    def __post_init__(self) -> None:
        self._chance = Chance(self.share, seed=self.seed)
        self._quota = Quota(self.per_s) if self.kind is FaultKind.QUOTA else None

    def strikes(self) -> bool:
        """Whether it happens to the call that is looked at now."""
        return self._quota.is_exceeded() if self._quota is not None else self._chance.happens()

    def chosen(self, those: Iterable[str]) -> list[str]:
        """Those to which it happens, each by its own chance."""
        return [each for each in those if self._chance.happens()]

    def listed(self) -> dict[str, Any]:
        """What it was planted as, and how often it happened."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class FaultTable:
    """The planted faults. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._released = threading.Event()

    def plant(self, faults: Iterable[Fault]) -> None:
        """Add faults."""
        with self._lock:
            self._faults.extend(faults)

    def take_back(self, fault: Fault) -> None:
        """Remove a fault that could not happen."""
        with self._lock:
            self._faults.remove(fault)

    def listed(self) -> list[dict[str, Any]]:
        """Return all faults, used up or not."""
        with self._lock:
            return [fault.listed() for fault in self._faults]

    def reset(self) -> None:
        """Remove all faults and let go of what hangs."""
        with self._lock:
            self._faults.clear()
            released, self._released = self._released, threading.Event()
        released.set()

    def take(self, kinds: Collection[FaultKind], *, operation: str = "", job_name: str = "") -> Fault | None:
        """Return the first fault that applies now, and count it."""
        with self._lock:
            fault = self._first(kinds, operation, job_name)
            if fault is not None:
                fault.applied += 1
            return fault

    def all_that_apply(self, kinds: Collection[FaultKind], *, operation: str) -> list[Fault]:
        """Return the faults that apply now, without counting them."""
        with self._lock:
            return [each for each in self._faults if each.kind in kinds and _applies(each, operation, "")]

    def look_up(self, kinds: Collection[FaultKind], *, operation: str = "", job_name: str = "") -> Fault | None:
        """Return the first fault that applies now, without counting it."""
        with self._lock:
            return self._first(kinds, operation, job_name)

    def _first(self, kinds: Collection[FaultKind], operation: str, job_name: str) -> Fault | None:
        return next((each for each in self._faults if each.kind in kinds and _applies(each, operation, job_name)), None)

    def is_empty(self) -> bool:
        """Whether nothing is planted."""
        return not self._faults

    def note_applied(self, fault: Fault, *, times: int = 1) -> None:
        """Count a fault that has happened."""
        with self._lock:
            fault.applied += times

    def released(self) -> threading.Event:
        """Return what is set when the faults that are planted now are removed."""
        with self._lock:
            return self._released

    def pause(self, seconds: float) -> Callable[[], object]:
        """Return what waits so long, or until the faults that are planted now are removed."""
        with self._lock:
            return partial(self._released.wait, min(seconds, LONGEST_HOLD_S))


def _applies(fault: Fault, operation: str, job_name: str) -> bool:
    if fault.times is not None and fault.applied >= fault.times:
        return False
    if fault.operation and fault.operation != operation:
        return False
    # A read names no job: which jobs its answer leaves out follows from the name later.
    return (fault.kind in LESS_KINDS or job_name.startswith(fault.job_name)) and fault.strikes()
