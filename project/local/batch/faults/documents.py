"""JSON documents of planted faults: their fields, and their validation."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from project.local.batch.errors import reject
from project.local.batch.faults.plan import (
    CALL_KINDS,
    EVENT_KINDS,
    INCOMPLETE_READ_KINDS,
    JOB_KINDS,
    OPERATIONS,
    Fault,
    FaultKind,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_FIELDS_OF_CALLS = frozenset({"operation", "times", "share", "seed"})
_FIELDS_OF_LOSSES = frozenset({"job_id", "hold_s"})
_FIELDS_OF_EVENTS = frozenset({"job_name", "times", "share", "seed"})
_FIELDS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(CALL_KINDS, _FIELDS_OF_CALLS),
    **dict.fromkeys(JOB_KINDS, _FIELDS_OF_LOSSES),
    **dict.fromkeys(EVENT_KINDS, _FIELDS_OF_EVENTS),
    FaultKind.EVENT_LATE: {*_FIELDS_OF_EVENTS, "hold_s"},
    FaultKind.QUOTA: {"operation", "per_s"},
    FaultKind.VANISH: {"job_id"},
    FaultKind.HANG_BEFORE: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.HANG_AFTER: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.SLOW: {*_FIELDS_OF_CALLS, "hold_s"},
    FaultKind.PARTIAL: {*_FIELDS_OF_CALLS, "job_name"},
    FaultKind.LAG: {"operation", "hold_s"},
    FaultKind.RETENTION: {"operation", "hold_s"},
    FaultKind.RECLAIM_STORM: {"share", "seed", "hold_s"},
    FaultKind.SLOW_START: {"job_name", "times", "hold_s", "share", "seed"},
    FaultKind.IMAGE_PULL: {"job_name", "times", "reason"},
    FaultKind.START_HANG: {"job_name", "times"},
    FaultKind.STUCK_RUNNABLE: {"job_name", "reason"},
    FaultKind.DENY_TERMINATE: {"job_name", "times"},
}
"""The fields of each kind of fault, besides `kind`.

Faults of SubmitJob can also have `job_name`.
"""

_LASTING = frozenset({FaultKind.STUCK_RUNNABLE, FaultKind.QUOTA, FaultKind.LAG, FaultKind.RETENTION})
_NEEDS_HOLD = frozenset({FaultKind.LAG, FaultKind.RETENTION, FaultKind.SLOW_START, FaultKind.EVENT_LATE})
_READS = frozenset({"DescribeJobs", "ListJobs"})


def read_faults(document: Mapping[str, Any]) -> list[Fault]:
    """Read a document with one fault, or with several faults under one seed.

    Raises BatchError (400) with the reason if it is invalid.
    """
    if "faults" not in document:
        return [_read(document)]
    seed, several = document.get("seed", 0), document["faults"]
    _check_value("seed", seed)
    if (
        set(document) - {"seed", "faults"}
        or not isinstance(several, list)
        or not all(isinstance(each, dict) for each in several)
    ):
        reject("Several faults must have the form {seed, faults}, where faults is a list of JSON objects.")
    dice = random.Random(seed)  # noqa: S311 - faults, not secrets
    drawn = [dice.getrandbits(31) for _ in several]
    return [
        _read({"seed": own, **each} if "seed" in _FIELDS.get(each.get("kind", ""), ()) else each)
        for own, each in zip(drawn, several, strict=True)
    ]


def _read(document: Mapping[str, Any]) -> Fault:
    """Read a document with one fault.

    Everything is validated here, because no error may be raised when the fault is applied.
    """
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in set(FaultKind):
        reject(f"kind {kind!r} is not one of {', '.join(FaultKind)}.")
    given = {name: value for name, value in document.items() if name != "kind"}
    operation = given.get("operation", "")
    known = set(_FIELDS[FaultKind(kind)]) | ({"job_name"} if operation == "SubmitJob" else set())
    if unknown := set(given) - known:
        reject(f"A fault of kind {kind} has no field {', '.join(sorted(unknown))}, only {', '.join(sorted(known))}.")
    for name, value in given.items():
        _check_value(name, value)
    if kind in CALL_KINDS and operation not in (_READS if kind in INCOMPLETE_READ_KINDS else OPERATIONS):
        reject(f"{kind} cannot apply to operation {operation!r}.")
    if kind in JOB_KINDS and not given.get("job_id"):
        reject(f"{kind} needs the job_id of a job.")
    if kind == FaultKind.QUOTA and not given.get("per_s"):
        reject("quota needs per_s, the number of calls per second that are not throttled.")
    if kind in _NEEDS_HOLD and "hold_s" not in given:
        reject(f"{kind} needs hold_s.")
    if kind in _LASTING:
        given["times"] = None
    return Fault(kind=FaultKind(kind), **given)


def _check_value(name: str, value: object) -> None:
    if name == "times":
        good, wanted = value is None or (isinstance(value, int) and value >= 1), "null or an integer above 0"
    elif name == "share":
        good, wanted = isinstance(value, int | float) and 0 < value <= 1, "a number above 0, at most 1"
    elif name == "seed":
        good, wanted = isinstance(value, int), "an integer"
    elif name in {"hold_s", "per_s"}:
        good, wanted = isinstance(value, int | float) and value >= 0, "a number, 0 or more"
    else:
        good, wanted = isinstance(value, str), "a string"
    if not good:
        reject(f"{name} is {value!r}, not {wanted}.")
