"""The claim loop: claim the attempt, then in each slot claim a unit, do it, finish it, until nothing is left for this container."""

from __future__ import annotations

import logging
import tempfile
import threading
import uuid
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from tasks.conf import bridge_settings
from tasks.container.database import Database, DatabaseAwayError
from tasks.container.files import ScratchTooSmallError, SourceMissingError
from tasks.container.heartbeat import Heartbeat
from tasks.container.memory import oom_kills
from tasks.container.outcome import Outcome
from tasks.container.progress import Progress
from tasks.container.settings_check import setting_problems
from tasks.container.work import do_unit
from tasks.container.workshop import Workshop
from tasks.lifecycle.errors import AttemptCancelledError, FencedError, NotFoundError
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.services.claim import (
    Claim,
    JobAlreadyDoneError,
    Lease,
    NotClaimableError,
    NothingToClaim,
    claim_attempt,
    claim_unit,
)
from tasks.services.finish import fail_attempt, finish_attempt, refuse_input
from tasks.services.heartbeat import Beat
from tasks.transcode import InputRefused, Stopped, TranscodeError

logger = logging.getLogger("tasks.container")

_DATABASE_PATIENCE_S = 3600
"""An outage of the database costs a container its time, not its work, for up to an hour."""

_HURRY_PATIENCE_S = 10
"""After SIGTERM Batch gives 30 s before SIGKILL."""

_WAIT_FOR_NEIGHBOUR_S = 5


_UNCLAIMED: dict[type[Exception], tuple[str, ExitCode]] = {
    NotFoundError: ("JOB_NOT_FOUND", ExitCode.JOB_NOT_FOUND),
    JobAlreadyDoneError: ("IDEMPOTENT_DONE", ExitCode.DONE),
    AttemptCancelledError: ("BATCH_JOB_CANCELLED", ExitCode.CANCELLED),
    FencedError: ("BATCH_JOB_FENCED", ExitCode.FENCED),
    NotClaimableError: ("BATCH_JOB_NOT_CLAIMABLE", ExitCode.NOT_CLAIMABLE),
    DatabaseAwayError: ("BATCH_JOB_FAILED", ExitCode.DATABASE_AWAY),
}
"""What a claim that did not succeed means: the event in the log, and the exit code."""

_FAILURES: dict[type[Exception], tuple[ExitCode, Reason]] = {
    ImproperlyConfigured: (ExitCode.MISCONFIGURED, Reason.MISCONFIGURED),
    ScratchTooSmallError: (ExitCode.FAILED, Reason.SCRATCH_TOO_SMALL),
    OSError: (ExitCode.FAILED, Reason.STORAGE_FAILED),
}
"""What an error of a unit that tells in its own words means for the attempt."""


def check_settings() -> bool:
    """Whether all that the program needs is set. The log names each setting that is not, and never says a value that may be secret."""
    problems = setting_problems()
    if problems:
        text = " ".join(f"{each.code}: {each.text} {each.hint}" for each in problems)
        logger.error("BATCH_JOB_FAILED", extra={"exit_code": int(ExitCode.MISCONFIGURED), "text": text})
    return not problems


class Program:
    """One container run."""

    def __init__(self, *, job_id: uuid.UUID, number: int, batch_job_id: str | None) -> None:
        self._job_id = job_id
        self._number = number
        self._batch_job_id = batch_job_id
        self._claim_id = uuid.uuid4()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._neighbour = threading.Condition()
        self._outcome = Outcome(stop=self._stop)
        self._oom_kills_before = oom_kills()
        self._database = Database(
            patience_s=_DATABASE_PATIENCE_S, hurry=self._hurry, hurry_patience_s=_HURRY_PATIENCE_S
        )

    def terminate(self) -> None:
        """SIGTERM arrived: stop ffmpeg, say so in the row, leave."""
        self._hurry.set()
        self._outcome.failed(ExitCode.TERMINATED, Reason.SIGTERM, "SIGTERM")

    def run(self) -> ExitCode:
        """Claim the attempt, work, and say how it ended, in the row and as an exit code."""
        claim = self._claim_attempt()
        if isinstance(claim, ExitCode):
            return claim
        logger.info("BATCH_PROCESS_START", extra={**self._names(), "vcpus": claim.vcpus})
        progress = Progress()
        every_s = bridge_settings().heartbeat_s
        with (
            tempfile.TemporaryDirectory(prefix="batchreel-") as folder,
            Heartbeat(claim, progress, every_s=every_s, on_end=self._heard),
        ):
            shop = Workshop(
                claim=claim, folder=Path(folder), database=self._database, progress=progress, stop=self._stop
            )
            self._work(shop)
            while self._outcome.exit_code is ExitCode.DONE and not self._finish(claim):
                self._work(shop)
        return self._leave(claim)

    def _claim_attempt(self) -> Claim | ExitCode:
        take = partial(
            claim_attempt,
            job_id=self._job_id,
            number=self._number,
            batch_job_id=self._batch_job_id,
            claim_id=self._claim_id,
        )
        try:
            return self._database(take)
        except tuple(_UNCLAIMED) as error:
            event, code = _UNCLAIMED[type(error)]
            level = logging.INFO if code is ExitCode.DONE else logging.ERROR
            logger.log(level, event, extra={**self._names(), "exit_code": int(code), "text": str(error)})
            return code

    def _work(self, shop: Workshop) -> None:
        """As many units at once as the attempt's vCPUs pay for."""
        slots = max(1, shop.claim.vcpus // bridge_settings().threads_per_unit)
        threads = [threading.Thread(target=self._slot, args=(shop, slot), name=f"slot-{slot}") for slot in range(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            # Joined in short turns, so that the signal handler, which runs in this thread, gets its turn.
            while thread.is_alive():
                thread.join(timeout=0.2)

    def _slot(self, shop: Workshop, slot: int) -> None:
        try:
            while not self._stop.is_set():
                lease = self._database(partial(claim_unit, shop.claim, lease_id=uuid.uuid4().hex[:12]))
                if lease is NothingToClaim.OWN_WORK_FIRST:
                    self._wait_for_neighbour()
                elif isinstance(lease, Lease):
                    self._do(shop, lease, slot)
                else:
                    self._outcome.nothing_left(lease)
                    return
        except BaseException as error:  # noqa: BLE001 - whatever ends a slot decides how the container ends
            self._ended_by(error)
            self._wake_neighbours()

    def _do(self, shop: Workshop, lease: Lease, slot: int) -> None:
        names = {**self._names(), "kind": lease.kind.value, "index": lease.index, "fence": lease.fence}
        logger.info("UNIT_START", extra=names)
        finished_frames = 0
        try:
            if do_unit(shop, lease, slot):
                self._outcome.published_here()
            finished_frames = lease.weight_frames
        finally:
            shop.progress.leave(slot, finished_frames=finished_frames)
            self._wake_neighbours()
        logger.info("UNIT_DONE", extra=names)

    def _wake_neighbours(self) -> None:
        with self._neighbour:
            self._neighbour.notify_all()

    def _wait_for_neighbour(self) -> None:
        with self._neighbour:
            # Looked at under the lock: whoever stops all slots sets this before waking them.
            if not self._stop.is_set():
                self._neighbour.wait(timeout=_WAIT_FOR_NEIGHBOUR_S)

    def _ended_by(self, error: BaseException) -> None:
        outcome = self._outcome
        match error:
            case Stopped():
                pass
            case InputRefused():
                outcome.refused_input(error.code, error.sentence)
            case SourceMissingError():
                outcome.refused_input(error.code, "The uploaded file is no longer in the storage. Upload it again.")
            case AttemptCancelledError():
                outcome.ended(ExitCode.CANCELLED, str(error))
            case FencedError() | NotFoundError():
                outcome.ended(ExitCode.FENCED, str(error))
            case DatabaseAwayError():
                outcome.ended(ExitCode.DATABASE_AWAY, str(error))
            case ImproperlyConfigured() | ScratchTooSmallError() | OSError():
                found = (failure for kind, failure in _FAILURES.items() if isinstance(error, kind))
                outcome.failed(*next(found), str(error))
            case TranscodeError() if oom_kills() > self._oom_kills_before:
                # Said here because the next attempt, which gets more memory for it, comes sooner than AWS Batch's own word.
                outcome.failed(ExitCode.FAILED, Reason.OUT_OF_MEMORY, f"{error.code}: {error.sentence}")
            case TranscodeError():
                outcome.failed(ExitCode.FAILED, Reason.ENCODE_FAILED, f"{error.code}: {error.sentence}")
            case _:
                logger.error("CONTAINER_ERROR", exc_info=error, extra=self._names())
                outcome.failed(ExitCode.FAILED, Reason.CONTAINER_ERROR, f"{type(error).__name__}: {error}")

    def _heard(self, answer: Beat) -> None:
        if answer is Beat.DONE:
            self._outcome.nothing_left(NothingToClaim.JOB_DONE)
            self._stop.set()
        else:
            code = ExitCode.CANCELLED if answer is Beat.CANCELLED else ExitCode.FENCED
            self._outcome.ended(code, answer.value)

    def _finish(self, claim: Claim) -> bool:
        """Say in the row that nothing is left for this container. False where whoever had the rest is gone, and it has to go on."""
        try:
            return self._database(partial(finish_attempt, claim))
        except (DatabaseAwayError, NotFoundError) as error:
            self._ended_by(error)
            return True

    def _leave(self, claim: Claim) -> ExitCode:
        """Say in the row how it failed, if it did, then in the log, then as the exit code."""
        outcome = self._outcome
        code = outcome.exit_code
        try:
            if code is ExitCode.INPUT_REFUSED:
                tell = partial(refuse_input, claim, code=outcome.code, sentence=outcome.text, exit_code=int(code))
                self._database(tell)
            elif outcome.reason is not None:
                fail = partial(fail_attempt, claim, reason=outcome.reason, text=outcome.text, exit_code=int(code))
                self._database(fail)
        except (DatabaseAwayError, FencedError, AttemptCancelledError, NotFoundError) as error:
            logger.warning("BATCH_JOB_UNSAID", extra={**self._names(), "error": str(error)})
        event = outcome.event
        level = logging.INFO if code is ExitCode.DONE else logging.ERROR
        logger.log(level, event, extra={**self._names(), "exit_code": int(code), "text": outcome.text})
        return code

    def _names(self) -> dict[str, object]:
        return {"job_id": str(self._job_id), "attempt": self._number, "batch_job_id": self._batch_job_id}
