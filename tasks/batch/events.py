"""Events that AWS sends through EventBridge: what of them concerns the bridge.

An event's envelope is JSON. The detail of AWS Batch's events is a Batch job as DescribeJobs returns
it (user guide, "AWS Batch events"). AWS adds fields and kinds of events, so unknown ones are
ignored. What is known must be valid: a damaged event raises an error and changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..lifecycle.errors import BatchreelError
from ..lifecycle.observation import BatchStatus, Observation
from .aws import machine_arn

STATE_CHANGE = "Batch Job State Change"
QUEUE_BLOCKED = "Batch Job Queue Blocked"
SPOT_WARNING = "EC2 Spot Instance Interruption Warning"
KINDS = (STATE_CHANGE, QUEUE_BLOCKED, SPOT_WARNING)
"""The values of `detail-type` that the bridge uses."""

_EXIT_CODES = range(-32768, 32768)
_TEXT_CHARACTERS = 4096
_NAME_CHARACTERS = 512


class EventInvalidError(BatchreelError):
    """A message of the queue is not an event that this version can read."""

    code = "EVENT_INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJobEvent:
    """What AWS Batch reports about one Batch job."""

    job_name: str
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotWarningEvent:
    """EC2 takes a Spot machine back in about two minutes."""

    instance_id: str


Event = BatchJobEvent | SpotWarningEvent


def parse_event(body: str) -> Event | None:
    """Return the event in the body of a message, or None if it does not concern the bridge.

    Raises EventInvalidError.
    """
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise EventInvalidError(message) from error
    kind = _object(envelope, "the event").get("detail-type")
    if not isinstance(kind, str):
        message = "it has no detail-type"
        raise EventInvalidError(message)
    if kind not in KINDS:
        return None
    detail = _object(envelope.get("detail"), "detail")
    if kind == SPOT_WARNING:
        return SpotWarningEvent(instance_id=_text(detail, "instance-id", needed=True))
    return _batch_job(detail)


def _batch_job(detail: dict[str, Any]) -> BatchJobEvent | None:
    if "size" in _object(detail.get("arrayProperties") or {}, "arrayProperties"):
        return None  # the parent of an array job, which has no container
    container = _object(detail.get("container") or {}, "container")
    status = _text(detail, "status", needed=True)
    if status not in set(BatchStatus) or status == BatchStatus.ABSENT:
        message = f"unknown status {status!r}"
        raise EventInvalidError(message)
    return BatchJobEvent(
        job_name=_text(detail, "jobName", needed=True),
        observation=Observation(
            batch_job_id=_text(detail, "jobId", needed=True),
            status=BatchStatus(status),
            status_reason=_text(detail, "statusReason", limit=_TEXT_CHARACTERS),
            container_reason=_text(container, "reason", limit=_TEXT_CHARACTERS),
            exit_code=_exit_code(container.get("exitCode")),
            log_stream=_text(container, "logStreamName"),
            started=bool(detail.get("startedAt")),
            started_at_ms=_milliseconds(detail, "startedAt"),
            stopped_at_ms=_milliseconds(detail, "stoppedAt"),
            machine_arn=machine_arn({name: _text(container, name) for name in ("containerInstanceArn", "taskArn")}),
            terminated=bool(detail.get("isTerminated") or detail.get("isCancelled")),
            pushed=True,
        ),
    )


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"{name} is not a JSON object"
        raise EventInvalidError(message)
    return value


def _text(shape: dict[str, Any], name: str, *, needed: bool = False, limit: int = _NAME_CHARACTERS) -> str:
    """Return a text of limited length. A reason may be cut, because only its beginning is matched."""
    value = shape.get(name)
    if value is None and not needed:
        return ""
    # PostgreSQL stores no NUL.
    if not isinstance(value, str) or "\x00" in value or (needed and not value):
        message = f"{name} is not a text"
        raise EventInvalidError(message)
    if len(value) > limit and limit == _NAME_CHARACTERS:
        message = f"{name} is too long"
        raise EventInvalidError(message)
    return value[:limit]


def _milliseconds(shape: dict[str, Any], name: str) -> int | None:
    value = shape.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{name} is not a number of milliseconds"
        raise EventInvalidError(message)
    return value


def _exit_code(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value not in _EXIT_CODES:
        message = "exitCode is not an exit code"
        raise EventInvalidError(message)
    return value
