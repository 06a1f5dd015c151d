"""Checks that run in a small Batch job: submit it, wait for it, and return its findings.

The Batch job takes the same path as a video: it is the registered definition with another command.
Terminating it afterwards exercises that permission too.
"""

from __future__ import annotations

import json
import re
import shlex
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import APP
from ..batch.control import error_line, submit_command, suggested_fix
from ..batch.definition import command_with
from ..batch.errors import BatchDeniedError, BatchError
from ..batch.logs import log_tail
from ..conf import bridge_settings
from ..lifecycle.observation import FINAL_STATUSES, BatchStatus
from ..storage.aliases import published_storage
from ..storage.keys import CONTAINER_DOCTOR_FOLDER
from .finding import Finding, Status, failed, ok, unknown
from .probes.media import SPEECH, asking_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..batch.port import BatchPort
    from ..lifecycle.observation import Observation

_MISSING_MODULE = re.compile(r"No module named '?([\w.]+)")
_LINE_CHARACTERS = 300
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_LOG_TIMEOUT_S = 30.0
"""CloudWatch returns a line only seconds after it was written."""
_END_OF_LOG_S = 5.0
"""The same for a container that has failed and may have written none."""


def check_from_batch(*, batch: BatchPort, wait_s: float, report: Callable[[str], None]) -> Iterator[Finding]:
    """Yield the findings of the Batch job, with parts named `container: ...`.

    `report` receives one line per status change.
    """
    try:
        batch_job_id = submit_command(
            f"{bridge_settings().job_name_prefix}-doctor-{uuid.uuid4().hex[:8]}",
            command_with(str(__package__), bridge_settings()),
            queue=bridge_settings().job_queue,
            definition=bridge_settings().job_definition,
            tag=bridge_settings().job_name_prefix,
        )
    except BatchError as error:
        yield failed("from Batch", f"{error_line(error)}.", fix=suggested_fix(error))
        return
    report(f"Submitted Batch job {batch_job_id}. An instance may have to start first, which takes minutes.")
    try:
        seen = _wait(batch, batch_job_id, wait_s=wait_s, report=report)
        yield from _findings(seen, wait_s=wait_s)
    except BatchError as error:
        yield unknown("from Batch", f"{error_line(error)}.", fix=suggested_fix(error))
    yield from _end(batch, batch_job_id)


def _wait(batch: BatchPort, batch_job_id: str, *, wait_s: float, report: Callable[[str], None]) -> Observation:
    reported = ""
    ends_at_s, pauses_s = time.monotonic() + wait_s, _pauses_s()
    while True:
        (seen,) = batch.describe([batch_job_id])
        if seen.status != reported:
            reported = seen.status
            report(f"Status {seen.status}{': ' + seen.status_reason if seen.status_reason else ''}.")
        if seen.status in FINAL_STATUSES or time.monotonic() > ends_at_s:
            return seen
        time.sleep(next(pauses_s))


def _pauses_s() -> Iterator[float]:
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _findings(seen: Observation, *, wait_s: float) -> Iterator[Finding]:
    reason = "; ".join(each for each in (seen.status_reason, seen.container_reason) if each) or "AWS gives no reason"
    if seen.status not in FINAL_STATUSES:
        yield failed(
            "from Batch",
            f"The Batch job is {seen.status} after {wait_s:g} s: {reason}.",
            fix="Check the compute environment: capacity, subnets, instance types, maxvCpus. Or wait longer with --wait.",
        )
        return
    findings, lines = _logged(seen)
    if findings is None:
        exit_code = "" if seen.exit_code is None else f" with exit code {seen.exit_code}"
        last = f" Last line of its log: {lines[-1][:_LINE_CHARACTERS]}" if lines else ""
        yield failed(
            "from Batch",
            f"The container ended{exit_code} without logging its findings: {reason}.{last}",
            fix=_fix(seen, reason, lines),
        )
        return
    yield ok("from Batch", f"A container ran to completion, final status {seen.status}.")
    yield from findings
    if (asking := asking_profiles()) and not any(each.part == f"container: {SPEECH}" for each in findings):
        # The container has other profiles than the site, or an older image.
        why = f"{', '.join(asking)} asks for automatic captions, and the image has no engine for speech."
        yield failed("from Batch", why, fix="Build the image as in docs/how-to/automatic-captions.md.")


def _fix(seen: Observation, reason: str, lines: Sequence[str]) -> str:
    """Return what to do about a container without findings, by AWS's reason and the container's output."""
    text = "\n".join([reason, *lines])
    command = shlex.join(command_with(str(__package__), bridge_settings()))
    if missing := _MISSING_MODULE.findall(text):
        ours = missing[-1] == APP or missing[-1].startswith(f"{APP}.")
        why = "Its image is older than this code, or runs another Python" if ours else "Its code is not on the path"
        return (
            f"`{command}` does not find {missing[-1]}. {why}: build the image again, or correct container_command,"
            " which has to name the folder and the Python of your site."
        )
    if "exec format error" in text:
        return "The image is for another architecture than the machine's: build it with --platform."
    log = f"the stream {seen.log_stream} of the log group {bridge_settings().log_group}" if seen.log_stream else ""
    return f"Read {log or 'the reason that AWS gives'}. The command is `{command}` (container_command in BATCHREEL)."


def _logged(seen: Observation) -> tuple[list[Finding] | None, list[str]]:
    """Return the findings in the container's log, and all lines of its end."""
    pauses_s = _pauses_s()
    lines: list[str] = []
    ends_at_s = time.monotonic() + (_LOG_TIMEOUT_S if seen.status is BatchStatus.SUCCEEDED else _END_OF_LOG_S)
    while time.monotonic() < ends_at_s:
        lines = [line.text for line in log_tail(seen.log_stream).lines]
        for line in reversed(lines):
            with suppress(ValueError):
                logged = json.loads(line)
                if isinstance(logged, dict) and logged.get("event") == "DOCTOR":
                    return [_finding(each) for each in logged["findings"]], lines
        time.sleep(next(pauses_s))
    return None, [line for line in lines if line.strip()]


def _finding(logged: dict[str, Any]) -> Finding:
    return Finding(
        part=f"container: {logged['part']}",
        status=Status(logged["status"]),
        why=str(logged["why"]),
        fix=str(logged["fix"]),
    )


def _end(batch: BatchPort, batch_job_id: str) -> Iterator[Finding]:
    try:
        batch.terminate(batch_job_id, reason="Batchreel: doctor has finished.")
    except BatchDeniedError as error:
        yield failed("permissions", f"batch:TerminateJob is denied: {error_line(error)}.", fix=suggested_fix(error))
    except BatchError:
        return
    finally:
        with suppress(OSError):
            for name in published_storage.listdir(CONTAINER_DOCTOR_FOLDER)[1]:
                published_storage.delete(f"{CONTAINER_DOCTOR_FOLDER}/{name}")
