"""Submits the container's own look as a small Batch job, waits for it, and tells what it found: the whole way that a video goes.

It is the registered definition with another command. Ending it afterwards exercises the permission for that too.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.core.files.storage import default_storage

from ..batch.control import fix, message, submit_program
from ..batch.errors import BatchDeniedError, BatchError
from ..batch.logs import log_tail
from ..conf import bridge_settings
from ..lifecycle.observation import FINAL_STATUSES, BatchStatus
from ..storage.keys import DOCTOR_FOLDER
from .finding import Finding, Status, failed, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..batch.port import BatchPort
    from ..lifecycle.observation import Observation

COMMAND = ("python", "-m", __package__)
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.25, 4.0
_LOG_TIMEOUT_S = 30.0
"""CloudWatch shows a line seconds after it was written."""


def check_from_batch(*, batch: BatchPort, wait_s: float, say: Callable[[str], None]) -> Iterator[Finding]:
    """Findings of the Batch job, each part named `container: ...`; `say` gets a line for each status on the way."""
    try:
        batch_job_id = submit_program(
            f"{bridge_settings().job_name_prefix}-doctor-{uuid.uuid4().hex[:8]}",
            COMMAND,
            queue=bridge_settings().job_queue,
            definition=bridge_settings().job_definition,
            tag=bridge_settings().job_name_prefix,
        )
    except BatchError as error:
        yield failed("from Batch", f"{message(error)}.", fix=fix(error))
        return
    say(f"Submitted {batch_job_id}. A machine may have to start first, which takes minutes.")
    try:
        seen = _wait(batch, batch_job_id, wait_s=wait_s, say=say)
        yield from _told(seen, wait_s=wait_s)
    except BatchError as error:
        yield unknown("from Batch", f"{message(error)}.", fix=fix(error))
    yield from _end(batch, batch_job_id)


def _wait(batch: BatchPort, batch_job_id: str, *, wait_s: float, say: Callable[[str], None]) -> Observation:
    told = ""
    ends_at_s, pauses_s = time.monotonic() + wait_s, _pauses_s()
    while True:
        (seen,) = batch.describe([batch_job_id])
        if seen.status != told:
            told = seen.status
            say(f"It is {seen.status}{': ' + seen.status_reason if seen.status_reason else ''}.")
        if seen.status in FINAL_STATUSES or time.monotonic() > ends_at_s:
            return seen
        time.sleep(next(pauses_s))


def _pauses_s() -> Iterator[float]:
    pause_s = _FIRST_LOOK_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_LOOK_S)


def _told(seen: Observation, *, wait_s: float) -> Iterator[Finding]:
    words = "; ".join(each for each in (seen.status_reason, seen.container_reason) if each) or "AWS gives no reason"
    if seen.status not in FINAL_STATUSES:
        yield failed(
            "from Batch",
            f"The Batch job is {seen.status} after {wait_s:g} s: {words}.",
            fix="Look at the compute environment: capacity, subnets, instance types, maxvCpus. Or give it longer: --wait.",
        )
        return
    findings = _logged(seen)
    if findings is None:
        exit_code = "" if seen.exit_code is None else f" with exit code {seen.exit_code}"
        yield failed(
            "from Batch",
            f"The container ended{exit_code} and told nothing: {words}.",
            fix="Read its log. `exec format error`: an image for another architecture. No module tasks.doctor: one older than the code.",
        )
        return
    yield ok("from Batch", f"A container ran to its end, {seen.status}.")
    yield from findings


def _logged(seen: Observation) -> list[Finding] | None:
    pauses_s = _pauses_s()
    ends_at_s = time.monotonic() + (_LOG_TIMEOUT_S if seen.status is BatchStatus.SUCCEEDED else 5)
    while time.monotonic() < ends_at_s:
        for line in reversed(log_tail(seen.log_stream).lines):
            with suppress(ValueError):
                told = json.loads(line.text)
                if isinstance(told, dict) and told.get("event") == "DOCTOR":
                    return [_finding(each) for each in told["findings"]]
        time.sleep(next(pauses_s))
    return None


def _finding(told: dict[str, Any]) -> Finding:
    return Finding(
        part=f"container: {told['part']}",
        status=Status(told["status"]),
        why=str(told["why"]),
        fix=str(told["fix"]),
    )


def _end(batch: BatchPort, batch_job_id: str) -> Iterator[Finding]:
    try:
        batch.terminate(batch_job_id, reason="The doctor has seen enough.")
    except BatchDeniedError as error:
        yield failed("permissions", f"batch:TerminateJob is denied: {message(error)}.", fix=fix(error))
    except BatchError:
        return
    finally:
        with suppress(OSError):
            for name in default_storage.listdir(DOCTOR_FOLDER)[1]:
                default_storage.delete(f"{DOCTOR_FOLDER}/{name}")
