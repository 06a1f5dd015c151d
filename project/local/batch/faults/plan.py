"""Faults that a test plants in the local AWS Batch over HTTP while it runs.

A fault is one JSON document, POSTed to /local-batch/faults: {"kind": "error_after", "operation":
"SubmitJob", "times": 1}. Several at once have the form {"seed": 7, "faults": [...]}: all random
choices in them follow from the one seed. GET lists all faults with the number of times that each
was `applied`, so that a test can prove that its fault occurred; DELETE removes all and releases
every call that hangs. No AWS API has this path, and without a planted fault nothing behaves
differently.
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
    """The kinds of faults."""

    # Faults of a call, `before` or `after` its effect. A slow call is answered in the end.
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    SLOW = "slow"
    THROTTLE = "throttle"
    # Throttles calls beyond `per_s` per second, until the fault is removed.
    QUOTA = "quota"
    DENY = "deny"
    EXPIRED = "expired"
    # Incomplete reads: nothing; all but the jobs whose names begin with `job_name`; no jobs younger
    # than `hold_s`, as when ListJobs lags; no jobs that ended longer than `hold_s` ago, as when AWS
    # has deleted them.
    EMPTY = "empty"
    PARTIAL = "partial"
    LAG = "lag"
    RETENTION = "retention"
    # Faults of an existing job, given by `job_id`. They apply immediately.
    VANISH = "vanish"
    SPOT_INTERRUPTION = "spot_reclaim"
    HOST_LOSS = "host_loss"
    OUT_OF_MEMORY = "out_of_memory"
    # Spot reclaims the instances of a `share` of all running jobs, immediately.
    RECLAIM_STORM = "reclaim_storm"
    # Faults of the start of jobs whose names begin with `job_name`. A slow start takes `hold_s`
    # longer.
    IMAGE_PULL = "image_pull"
    START_HANG = "start_hang"
    SLOW_START = "slow_start"
    STUCK_RUNNABLE = "stuck_runnable"
    # Jobs whose names begin with `job_name` may not be terminated, alone or with others.
    DENY_TERMINATE = "deny_terminate"
    # Faults of the events of jobs whose names begin with `job_name`: lost, sent twice, sent after the
    # next one, sent `hold_s` later.
    EVENT_DROPPED = "event_dropped"
    EVENT_DOUBLED = "event_doubled"
    EVENT_REORDERED = "event_reordered"
    EVENT_LATE = "event_late"


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
INCOMPLETE_READ_KINDS = frozenset({FaultKind.EMPTY, FaultKind.PARTIAL, FaultKind.LAG, FaultKind.RETENTION})
JOB_KINDS = frozenset({FaultKind.VANISH, FaultKind.SPOT_INTERRUPTION, FaultKind.HOST_LOSS, FaultKind.OUT_OF_MEMORY})
EVENT_KINDS = frozenset(
    {FaultKind.EVENT_DROPPED, FaultKind.EVENT_DOUBLED, FaultKind.EVENT_REORDERED, FaultKind.EVENT_LATE}
)
OPERATIONS = frozenset({"SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "TerminateJobs"})


@dataclass(kw_only=True)
class Fault:
    """One planted fault.

    With `times` None, it applies until it is removed, as do STUCK_RUNNABLE, QUOTA, LAG and
    RETENTION. It applies to a `share` of the calls or jobs (default: all), chosen by `seed`.
    `hold_s` is how long a call hangs (default: LONGEST_HOLD_S), the delay before Batch reports a
    loss (default: none), or an age.
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
        """Return whether the fault applies to the current call."""
        return self._quota.is_exceeded() if self._quota is not None else self._chance.happens()

    def chosen(self, those: Iterable[str]) -> list[str]:
        """Return the items to which the fault applies, each drawn independently."""
        return [each for each in those if self._chance.happens()]

    def listed(self) -> dict[str, Any]:
        """Return the fault's fields and how often it was applied."""
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
        """Remove a fault that could not be applied."""
        with self._lock:
            self._faults.remove(fault)

    def listed(self) -> list[dict[str, Any]]:
        """Return all faults, used up or not."""
        with self._lock:
            return [fault.listed() for fault in self._faults]

    def reset(self) -> None:
        """Remove all faults and release all hanging calls."""
        with self._lock:
            self._faults.clear()
            released, self._released = self._released, threading.Event()
        released.set()

    def take(self, kinds: Collection[FaultKind], *, operation: str = "", job_name: str = "") -> Fault | None:
        """Return the first fault that applies now, and count it as applied."""
        with self._lock:
            fault = self._first(kinds, operation, job_name)
            if fault is not None:
                fault.applied += 1
            return fault

    def applicable(self, kinds: Collection[FaultKind], *, operation: str) -> list[Fault]:
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
        """Return whether no fault is planted."""
        return not self._faults

    def note_applied(self, fault: Fault, *, times: int = 1) -> None:
        """Count a fault as applied."""
        with self._lock:
            fault.applied += times

    def released(self) -> threading.Event:
        """Return an event that is set when the current faults are removed."""
        with self._lock:
            return self._released

    def pause(self, seconds: float) -> Callable[[], object]:
        """Return a function that waits for `seconds`, or until the current faults are removed."""
        with self._lock:
            return partial(self._released.wait, min(seconds, LONGEST_HOLD_S))


def _applies(fault: Fault, operation: str, job_name: str) -> bool:
    if fault.times is not None and fault.applied >= fault.times:
        return False
    if fault.operation and fault.operation != operation:
        return False
    # A read has no job name: its response is filtered by the name later.
    return (fault.kind in INCOMPLETE_READ_KINDS or job_name.startswith(fault.job_name)) and fault.strikes()
