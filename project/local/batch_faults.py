"""Faults that a test plants in the local AWS Batch, over HTTP while it runs: which there are, which applies now, how often each did.

A fault is one JSON document, POSTed to /local-batch/faults: {"kind": "error_after", "operation": "SubmitJob", "times": 1}. GET lists
all with the number of times that each was `applied`, so a test can prove that its fault happened; DELETE removes all and lets go of
every call that hangs. No AWS API has this address, and without a planted fault nothing is different.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from project.local.batch_errors import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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
    DENY = "deny"
    EXPIRED = "expired"
    # What a read shows: nothing, or all but the jobs whose names begin with `job_name`.
    EMPTY = "empty"
    PARTIAL = "partial"
    # A job that is there, named by `job_id`; happens at once.
    VANISH = "vanish"
    SPOT_RECLAIM = "spot_reclaim"
    HOST_LOSS = "host_loss"
    OUT_OF_MEMORY = "out_of_memory"
    # The start of jobs whose names begin with `job_name`.
    IMAGE_PULL = "image_pull"
    START_HANG = "start_hang"
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
        FaultKind.DENY,
        FaultKind.EXPIRED,
        FaultKind.EMPTY,
        FaultKind.PARTIAL,
    }
)
LESS_KINDS = frozenset({FaultKind.EMPTY, FaultKind.PARTIAL})
JOB_KINDS = frozenset({FaultKind.VANISH, FaultKind.SPOT_RECLAIM, FaultKind.HOST_LOSS, FaultKind.OUT_OF_MEMORY})
OPERATIONS = frozenset({"SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob"})


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planted fault. `times` None: until it is removed; so is STUCK_RUNNABLE unless it says otherwise.

    `hold_s` is how long a call hangs (the longest time unless given), or how late Batch tells of a loss (at once).
    """

    kind: FaultKind
    operation: str = ""
    job_name: str = ""
    job_id: str = ""
    times: int | None = 1
    hold_s: float | None = None
    reason: str = ""
    fault_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    applied: int = 0


class FaultTable:
    """The planted faults. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._released = threading.Event()

    def plant(self, document: Mapping[str, Any]) -> Fault:
        """Add a fault. Raises BatchError (400) that names the field that is wrong."""
        fault = _read(document)
        with self._lock:
            self._faults.append(fault)
        return fault

    def take_back(self, fault: Fault) -> None:
        """Remove a fault that could not happen."""
        with self._lock:
            self._faults.remove(fault)

    def listed(self) -> list[dict[str, Any]]:
        """Return all faults, used up or not."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

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

    def look_up(self, kinds: Collection[FaultKind], *, operation: str = "", job_name: str = "") -> Fault | None:
        """Return the first fault that applies now, without counting it."""
        with self._lock:
            return self._first(kinds, operation, job_name)

    def _first(self, kinds: Collection[FaultKind], operation: str, job_name: str) -> Fault | None:
        return next((each for each in self._faults if each.kind in kinds and _applies(each, operation, job_name)), None)

    def is_empty(self) -> bool:
        """Whether nothing is planted."""
        return not self._faults

    def note_applied(self, fault: Fault) -> None:
        """Count a fault that has happened."""
        with self._lock:
            fault.applied += 1

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
    return fault.kind in LESS_KINDS or job_name.startswith(fault.job_name)


_FIELDS_OF_CALLS = frozenset({"operation", "times"})
_FIELDS_OF_LOSSES = frozenset({"job_id", "hold_s"})
_FIELDS: Mapping[FaultKind, Collection[str]] = {
    **dict.fromkeys(CALL_KINDS, _FIELDS_OF_CALLS),
    **dict.fromkeys(JOB_KINDS, _FIELDS_OF_LOSSES),
    FaultKind.VANISH: {"job_id"},
    FaultKind.HANG_BEFORE: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.HANG_AFTER: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.SLOW: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.PARTIAL: {*_FIELDS_OF_CALLS, "job_name"},
    FaultKind.IMAGE_PULL: {"job_name", "times", "reason"},
    FaultKind.START_HANG: {"job_name", "times"},
    FaultKind.STUCK_RUNNABLE: {"job_name", "reason"},
}
"""What a fault of each kind may say besides its kind. Faults of SubmitJob may name the job too."""

_READS = frozenset({"DescribeJobs", "ListJobs"})


def _read(document: Mapping[str, Any]) -> Fault:
    """Take a document for a fault. Everything is looked at here, because a fault applies where no error may be raised."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in set(FaultKind):
        refuse(f"kind {kind!r} is none of {', '.join(FaultKind)}.")
    fields = {name: value for name, value in document.items() if name != "kind"}
    operation = fields.get("operation", "")
    known = set(_FIELDS[FaultKind(kind)]) | ({"job_name"} if operation == "SubmitJob" else set())
    if unknown := set(fields) - known:
        refuse(f"A fault {kind} has no field {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}.")
    for name, value in fields.items():
        _check_value(name, value)
    if kind in CALL_KINDS and operation not in (_READS if kind in LESS_KINDS else OPERATIONS):
        refuse(f"operation {operation!r} is none that {kind} can happen to.")
    if kind in JOB_KINDS and not fields.get("job_id"):
        refuse(f"{kind} needs the job_id of a job.")
    if kind == FaultKind.STUCK_RUNNABLE:
        fields["times"] = None
    return Fault(kind=FaultKind(kind), **fields)


def _check_value(name: str, value: object) -> None:
    if name == "times":
        good, wanted = value is None or (isinstance(value, int) and value >= 1), "null, or a whole number above 0"
    elif name == "hold_s":
        good, wanted = isinstance(value, int | float) and value >= 0, "a number of seconds"
    else:
        good, wanted = isinstance(value, str), "a text"
    if not good:
        refuse(f"{name} is {value!r}, not {wanted}.")
