"""The claim loop of the container.

It claims the attempt; then each slot claims, runs and finishes units until none is left.
"""

from __future__ import annotations

import contextvars
import logging
import os
import tempfile
import threading
import time
import uuid
from functools import partial
from pathlib import Path

from ..conf import bridge_settings
from ..lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from ..lifecycle.exit_codes import ExitCode
from ..lifecycle.reasons import Reason
from ..lifecycle.states import AWAIT_PLAN_STAGE
from ..services.container_api.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToLease,
    claim_attempt,
    lease_unit,
)
from ..services.container_api.finish import fail_attempt, finish_attempt, reject_input
from ..services.container_api.heartbeat import HeartbeatReply
from ..services.container_api.suspect import suspect_input
from ..setting_checks import setting_problems
from ..tracing import span
from ..transcode import EncoderCrashedError, InputRejectedError, InputSuspectError, StoppedError, rejection
from ..transcode.speech.port import engine_problem
from .context import ContainerContext
from .database import Database, DatabaseUnavailableError
from .failures import WorkFolderError, failure_of
from .heartbeat import Heartbeat
from .machine import hold_place, machine_id
from .memory import oom_kills
from .outcome import Outcome
from .progress import Progress
from .scratch.reservation import Reservation
from .scratch.source import SourceMissingError
from .units.run import run_unit

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT_S = 10
"""How long database calls are retried after SIGTERM. Batch sends SIGKILL 30 s after SIGTERM."""

_WAIT_FOR_OTHER_SLOT_S = 5

_UNCLAIMED: dict[type[Exception], tuple[str, ExitCode]] = {
    NotFoundError: ("JOB_NOT_FOUND", ExitCode.JOB_NOT_FOUND),
    JobAlreadyDoneError: ("IDEMPOTENT_DONE", ExitCode.DONE),
    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.CANCELLED),
    FencedError: ("BATCH_JOB_FENCED", ExitCode.FENCED),
    NotClaimableError: ("BATCH_JOB_NOT_CLAIMABLE", ExitCode.NOT_CLAIMABLE),
    DatabaseUnavailableError: ("BATCH_JOB_FAILED", ExitCode.DATABASE_UNAVAILABLE),
}
"""Error of a failed claim -> event in the log and exit code."""


def check_settings() -> bool:
    """Return True if all required settings are set.

    The log names each setting that is missing or wrong, but never a value that may be secret.
    """
    problems = setting_problems()
    if problems:
        text = " ".join(f"{each.code}: {each.text} {each.hint}" for each in problems)
        logger.error("BATCH_JOB_FAILED", extra={"exit_code": int(ExitCode.MISCONFIGURED), "text": text})
    return not problems


class Program:
    """One container run, which is one attempt of a job."""

    def __init__(self, *, job_id: uuid.UUID, number: int, batch_job_id: str | None) -> None:
        self._job_id = job_id
        self._number = number
        self._batch_job_id = batch_job_id
        self._claim_id = uuid.uuid4()
        self._stop = threading.Event()
        self._shutting_down = threading.Event()
        self._leaving = threading.Event()
        self._slot_ended = threading.Condition()
        self._outcome = Outcome(stop=self._stop)
        self._oom_kills_before = oom_kills()
        self._database = Database(
            retry_s=bridge_settings().database_retry_s,
            shutting_down=self._shutting_down,
            shutdown_timeout_s=_SHUTDOWN_TIMEOUT_S,
        )

    def terminate(self) -> None:
        """Handle SIGTERM: stop ffmpeg, write the reason to the attempt's row, and exit."""
        self._shutting_down.set()
        self._outcome.fail(ExitCode.TERMINATED, Reason.SIGTERM, "SIGTERM")

    def run(self) -> ExitCode:
        """Claim the attempt, run units, write the result to the attempt's row, and return the exit code."""
        start_ns = time.time_ns()
        claim = self._claim_attempt()
        if isinstance(claim, ExitCode):
            return claim
        logger.info("BATCH_PROCESS_START", extra={**self._log_fields(), "vcpus": claim.vcpus})
        try:
            # Whatever cannot be removed at the end goes with the container. Without `dir`, tempfile replaces
            # the disk's error by one of its own.
            folder = tempfile.TemporaryDirectory(
                prefix="batchreel-", dir=os.environ.get("TMPDIR"), ignore_cleanup_errors=True
            )
        except OSError as error:
            self._on_error(WorkFolderError(error.errno, f"no folder for the work can be made: {error}"))
            return self._exit(claim)
        names = {"job_id": self._job_id, "attempt": self._number, "batch_job_id": self._batch_job_id}
        with folder, span("batchreel.attempt", traceparent=claim.traceparent, start_ns=start_ns, **names):
            self._run_in(Path(folder.name), claim)
        return self._exit(claim)

    def _run_in(self, folder: Path, claim: Claim) -> None:
        progress = Progress()
        every_s = bridge_settings().heartbeat_s
        with (
            Reservation(folder) as reservation,
            Heartbeat(claim, progress, every_s=every_s, on_end=self._on_heartbeat, on_leave=self._leave),
        ):
            context = ContainerContext(
                claim=claim,
                folder=folder,
                database=self._database,
                reservation=reservation,
                progress=progress,
                stop=self._stop,
            )
            self._work(context)
            while self._outcome.exit_code is ExitCode.DONE and not self._finish(claim):
                if self._leaving.is_set():
                    self._outcome.leave()
                else:
                    self._work(context)

    def _claim_attempt(self) -> Claim | ExitCode:
        claim = partial(
            claim_attempt,
            job_id=self._job_id,
            number=self._number,
            batch_job_id=self._batch_job_id,
            claim_id=self._claim_id,
            machine_id=machine_id(),
        )
        try:
            return self._database(claim)
        except tuple(_UNCLAIMED) as error:
            event, code = _UNCLAIMED[type(error)]
            level = logging.INFO if code is ExitCode.DONE else logging.ERROR
            logger.log(level, event, extra={**self._log_fields(), "exit_code": int(code), "text": str(error)})
            return code

    def _work(self, context: ContainerContext) -> None:
        """Run units in as many slots as the attempt's vCPUs allow."""
        slots = max(1, context.claim.vcpus // bridge_settings().threads_per_unit)
        threads = [
            # A copy of the context, so that the spans of units belong to the span of the attempt.
            threading.Thread(
                target=contextvars.copy_context().run, args=(self._slot, context, slot), name=f"slot-{slot}"
            )
            for slot in range(slots)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # Join with a short timeout, so that the signal handler, which runs in this thread, is
            # not delayed.
            while thread.is_alive():
                thread.join(timeout=0.2)

    def _slot(self, context: ContainerContext, slot: int) -> None:
        unit = ""
        # A container that makes no progress with the plan is replaced by then, so a longer wait would be for nothing.
        plan_until_s = time.monotonic() + 2 * bridge_settings().stage_limits_s["plan"]
        waits = 0
        transcribes = engine_problem(bridge_settings().speech) is None
        try:
            while not self._stop.is_set() and not self._leaving.is_set():
                lease_id = uuid.uuid4().hex[:12]
                lease = self._database(partial(lease_unit, context.claim, lease_id=lease_id, transcribes=transcribes))
                if lease is NothingToLease.PLAN_FIRST and time.monotonic() < plan_until_s:
                    waits += 1
                    context.progress.start_stage(slot, AWAIT_PLAN_STAGE)
                    context.progress.advance(slot, waits)
                    self._wait_for_other_slot()
                    continue
                # A slot that no longer waits must not stand for those that work.
                context.progress.clear_slot(slot)
                if lease is NothingToLease.OWN_WORK_FIRST:
                    self._wait_for_other_slot()
                elif isinstance(lease, Lease):
                    unit = f"{lease.kind} {lease.index}"
                    self._do(context, lease, slot)
                else:
                    self._outcome.record_nothing_to_lease(lease)
                    return
        except BaseException as error:  # noqa: BLE001 - any error of a slot decides how the container ends
            self._on_error(error, unit=unit)
            self._notify_slots()

    def _do(self, context: ContainerContext, lease: Lease, slot: int) -> None:
        names = {**self._log_fields(), "kind": lease.kind.value, "index": lease.index, "fence": lease.fence}
        logger.info("UNIT_START", extra=names)
        finished_frames = 0
        try:
            with span(f"batchreel.unit.{lease.kind}", index=lease.index, fence=lease.fence):
                is_published = run_unit(context, lease, slot)
            if is_published:
                self._outcome.record_published()
            finished_frames = lease.weight_frames
        finally:
            context.progress.clear_slot(slot, finished_frames=finished_frames)
            self._notify_slots()
        logger.info("UNIT_DONE", extra=names)

    def _notify_slots(self) -> None:
        with self._slot_ended:
            self._slot_ended.notify_all()

    def _wait_for_other_slot(self) -> None:
        with self._slot_ended:
            # Checked under the lock: code that stops all slots sets the event before it notifies
            # them.
            if not self._stop.is_set():
                self._slot_ended.wait(timeout=_WAIT_FOR_OTHER_SLOT_S)

    def _on_error(self, error: BaseException, *, unit: str = "") -> None:
        outcome = self._outcome
        match error:
            case StoppedError():
                pass
            case InputRejectedError():
                outcome.reject_input(error.code, error.message, error.details)
            case SourceMissingError():
                outcome.suspect_input(**rejection(error.code))
            case AttemptCancelledError():
                outcome.end(ExitCode.CANCELLED, str(error))
            case FencedError() | NotFoundError():
                outcome.end(ExitCode.FENCED, str(error))
            case DatabaseUnavailableError():
                outcome.end(ExitCode.DATABASE_UNAVAILABLE, str(error))
            case InputSuspectError() if oom_kills() == self._oom_kills_before:
                outcome.suspect_input(error.code, error.message, error.details)
            case EncoderCrashedError() if oom_kills() == self._oom_kills_before:
                outcome.suspect_input(error.code, error.message, error.details, unit=unit)
            case _:
                # Running out of memory is reported here, because the next attempt, which gets more,
                # starts before AWS Batch reports the cause.
                code, reason, text = failure_of(error, was_out_of_memory=oom_kills() > self._oom_kills_before)
                if reason is Reason.CONTAINER_ERROR:
                    logger.error("CONTAINER_ERROR", exc_info=error, extra=self._log_fields())
                outcome.fail(code, reason, text)

    def _on_heartbeat(self, reply: HeartbeatReply) -> None:
        if reply is HeartbeatReply.DONE:
            self._outcome.record_nothing_to_lease(NothingToLease.JOB_DONE)
            self._stop.set()
        else:
            code = ExitCode.CANCELLED if reply is HeartbeatReply.CANCELLED else ExitCode.FENCED
            self._outcome.end(code, reply.value)

    def _leave(self) -> None:
        """Lease no more units: EC2 takes the machine back. Units in progress continue as long as they can."""
        if not self._leaving.is_set():
            logger.warning("MACHINE_LEAVING", extra=self._log_fields())
            self._leaving.set()
            self._notify_slots()

    def _finish(self, claim: Claim) -> bool:
        """Record in the attempt's row that nothing is left for this container.

        Return False if the attempt that had the remaining units has ended, so this one must
        continue.
        """
        try:
            return self._database(partial(finish_attempt, claim))
        except (DatabaseUnavailableError, NotFoundError) as error:
            self._on_error(error)
            return True

    def _exit(self, claim: Claim) -> ExitCode:
        """Write a failure to the attempt's row, hold a machine at fault, log the result, and return the exit code."""
        outcome = self._outcome
        code, text = outcome.exit_code, outcome.text
        reason = outcome.reason
        try:
            if code is ExitCode.INPUT_REJECTED:
                self._database(partial(reject_input, claim, **outcome.refusal, exit_code=int(code)))
            elif reason is Reason.INPUT_SUSPECT:
                text = f"{outcome.code}: {outcome.text}"
                code = self._database(partial(suspect_input, claim, **outcome.refusal, crashed_unit=outcome.unit))
            elif reason is not None:
                fail = partial(fail_attempt, claim, reason=reason, text=text, exit_code=int(code))
                self._database(fail)
        except (DatabaseUnavailableError, FencedError, AttemptCancelledError, NotFoundError) as error:
            logger.warning("RESULT_NOT_RECORDED", extra={**self._log_fields(), "error": str(error)})
            reason = None
        if code is not ExitCode.INPUT_REJECTED:
            hold_place(reason, text, shutting_down=self._shutting_down)
        event = outcome.event
        level = logging.INFO if code is ExitCode.DONE else logging.ERROR
        logger.log(level, event, extra={**self._log_fields(), "exit_code": int(code), "text": text})
        return code

    def _log_fields(self) -> dict[str, object]:
        return {"job_id": str(self._job_id), "attempt": self._number, "batch_job_id": self._batch_job_id}
