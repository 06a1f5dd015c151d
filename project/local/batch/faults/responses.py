"""Responses of a faulty AWS Batch: the job plane's response, an error, an incomplete response, or none."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from project.local.batch.api import error_response
from project.local.batch.errors import BatchError, reject
from project.local.batch.faults.documents import read_faults
from project.local.batch.faults.plan import (
    CALL_KINDS,
    FAULTS_PATH,
    INCOMPLETE_READ_KINDS,
    JOB_KINDS,
    LONGEST_HOLD_S,
    Fault,
    FaultKind,
    FaultTable,
)
from project.local.batch.job import CONTAINER_EXITED, Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from project.local.batch.api import JobPlane, Response
    from project.local.batch.jobs import JobTable

_log = logging.getLogger(__name__)

_OPERATIONS = {
    "/v1/submitjob": "SubmitJob",
    "/v1/describejobs": "DescribeJobs",
    "/v1/listjobs": "ListJobs",
    "/v1/terminatejob": "TerminateJob",
    "/v1/terminatejobs": "TerminateJobs",
}
_ACTIONS = {"TerminateJobs": "TerminateJob"}
"""API_TerminateJobs: it has no separate IAM action."""

_ERRORS = {
    FaultKind.ERROR_BEFORE: ("ServerException", HTTPStatus.INTERNAL_SERVER_ERROR, "A planted fault."),
    FaultKind.ERROR_AFTER: ("ServerException", HTTPStatus.INTERNAL_SERVER_ERROR, "A planted fault."),
    FaultKind.THROTTLE: ("TooManyRequestsException", HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests"),
    FaultKind.QUOTA: ("TooManyRequestsException", HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests"),
    FaultKind.DENY: (
        "AccessDeniedException",
        HTTPStatus.FORBIDDEN,
        "User: arn:aws:sts::123456789012:assumed-role/site is not authorized to perform: batch:{action}",
    ),
    FaultKind.EXPIRED: (
        "ExpiredTokenException",
        HTTPStatus.FORBIDDEN,
        "The security token included in the request is expired",
    ),
}
NO_CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [c7i.large]"
"""docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_capacity.html"""

_LOSSES = {
    FaultKind.SPOT_INTERRUPTION: Loss(status_reason="Your Spot Task was interrupted."),
    FaultKind.HOST_LOSS: Loss(status_reason="Host EC2 (instance i-0123456789abcdef0) terminated."),
    FaultKind.OUT_OF_MEMORY: Loss(
        status_reason=CONTAINER_EXITED,
        reason="OutOfMemoryError: Container killed due to memory usage",
        exit_code=137,
    ),
}
_HANGS = {FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER}
_AFTER = {FaultKind.ERROR_AFTER, FaultKind.DROP_AFTER, FaultKind.HANG_AFTER}


class FaultyJobPlane:
    """The job plane with the planted faults applied."""

    def __init__(self, job_plane: JobPlane, table: JobTable, faults: FaultTable) -> None:
        self._job_plane = job_plane
        self._table = table
        self._faults = faults
        table.keep_runnable(self._reason_to_wait)
        table.check_terminate(self._check_terminate)

    def handles(self, method: str, path: str) -> bool:
        """Return whether this handles the request."""
        return path == FAULTS_PATH or self._job_plane.handles(method, path)

    def respond(self, method: str, path: str, body: bytes, *, region: str) -> Response | None:
        """Return HTTP status, headers and body, or None if the connection is to be closed without a response."""
        if path == FAULTS_PATH:
            return self._administer(method, body)
        if self._faults.is_empty():
            return self._job_plane.respond(path, body, region=region)
        operation = _OPERATIONS.get(path, "")
        if less := self._faults.applicable(INCOMPLETE_READ_KINDS, operation=operation):
            return self._less(self._job_plane.respond(path, body, region=region), less)
        fault = self._faults.take(CALL_KINDS - INCOMPLETE_READ_KINDS, operation=operation, job_name=_job_name(body))
        if fault is None:
            return self._job_plane.respond(path, body, region=region)
        return self._apply(fault, operation, lambda: self._job_plane.respond(path, body, region=region))

    def _apply(self, fault: Fault, operation: str, call: Callable[[], Response]) -> Response | None:
        pause = self._faults.pause(LONGEST_HOLD_S if fault.hold_s is None else fault.hold_s)
        if fault.kind is FaultKind.SLOW:
            response = call()
            pause()
            return response
        if fault.kind in _AFTER:
            call()
        if fault.kind in _ERRORS:
            return error_response(_error(fault.kind, operation))
        if fault.kind in _HANGS:
            pause()
        return None

    def _less(self, response: Response, faults: list[Fault]) -> Response:
        """Return the response without the jobs that the faults hide.

        A fault counts as applied only if it hides something.
        """
        status, headers, body = response
        shape = json.loads(body)
        for name in {"jobs", "jobSummaryList"} & set(shape):
            for fault in faults:
                shown = [job for job in shape[name] if not _hides(fault, job)]
                if len(shown) < len(shape[name]):
                    self._faults.note_applied(fault)
                shape[name] = shown
        return status, headers, json.dumps(shape).encode()

    def _administer(self, method: str, body: bytes) -> Response:
        try:
            if method == "POST":
                return self._plant(_document(body))
            if method == "DELETE":
                self._faults.reset()
                self._table.place_again()
            elif method != "GET":
                reject(f"{method} is not one of GET, POST, DELETE.")
        except BatchError as refusal:
            return error_response(refusal)
        return _json({"faults": self._faults.listed()})

    def _plant(self, document: dict[str, Any]) -> Response:
        faults = read_faults(document)
        self._faults.plant(faults)
        for fault in faults:
            if fault.kind in JOB_KINDS:
                self._strike(fault)
            elif fault.kind is FaultKind.RECLAIM_STORM:
                self._storm(fault)
        self._table.place_again()
        if "faults" in document:
            _log.warning("Planted %d faults of seed %s.", len(faults), document.get("seed", 0))
            return _json({"fault_ids": [fault.fault_id for fault in faults]})
        return _json({"fault_id": faults[0].fault_id})

    def _storm(self, fault: Fault) -> None:
        """Reclaim the Spot instances of a share of the running jobs."""
        loss = replace(_LOSSES[FaultKind.SPOT_INTERRUPTION], delay_report=self._faults.pause(fault.hold_s or 0.0))
        struck = sum(self._table.lose(job_id, loss) for job_id in fault.chosen(self._table.running()))
        self._faults.note_applied(fault, times=struck)

    def _strike(self, fault: Fault) -> None:
        """Apply a fault to its job."""
        loss = _LOSSES.get(fault.kind)
        if loss is None:
            struck = self._table.vanish(fault.job_id)
        else:
            delay_report = self._faults.pause(fault.hold_s or 0.0)
            struck = self._table.lose(fault.job_id, replace(loss, delay_report=delay_report))
        if not struck:
            self._faults.take_back(fault)
            reject(f"{fault.kind} cannot be applied: job {fault.job_id} is unknown or not running.")
        self._faults.note_applied(fault)

    def _check_terminate(self, job_name: str) -> None:
        if self._faults.take({FaultKind.DENY_TERMINATE}, job_name=job_name):
            raise _error(FaultKind.DENY, "TerminateJob")

    def _reason_to_wait(self, job_name: str) -> str | None:
        fault = self._faults.look_up({FaultKind.STUCK_RUNNABLE}, job_name=job_name)
        if fault is None:
            return None
        if not fault.applied:
            self._faults.note_applied(fault)
        return fault.reason or NO_CAPACITY


def _error(kind: FaultKind, operation: str) -> BatchError:
    code, http_status, message = _ERRORS[kind]
    return BatchError(message.format(action=_ACTIONS.get(operation, operation)), code=code, http_status=http_status)


def _hides(fault: Fault, job: dict[str, Any]) -> bool:
    """Return whether a read omits this job."""
    now_s = time.time()
    if fault.kind is FaultKind.LAG:
        return bool(now_s - job["createdAt"] / 1000 < (fault.hold_s or 0.0))
    if fault.kind is FaultKind.RETENTION:
        return bool("stoppedAt" in job and now_s - job["stoppedAt"] / 1000 > (fault.hold_s or 0.0))
    return str(job["jobName"]).startswith(fault.job_name)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        reject("A fault must be a JSON object.")
    return document


def _job_name(body: bytes) -> str:
    try:
        name = json.loads(body or b"{}").get("jobName", "")
    except (ValueError, AttributeError):
        return ""
    return name if isinstance(name, str) else ""


def _json(shape: dict[str, Any]) -> Response:
    return HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps(shape).encode()
