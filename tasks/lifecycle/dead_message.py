"""What the owner of a DEAD job reads: what went wrong in plain words, and what to do. Pure.

The texts of attempts are for operators: AWS's, ffmpeg's, exit codes. A job is DEAD after attempts
that each had a cause of their own, so the message names it only if they had the same one; otherwise
it names the last one as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .reasons import Reason


class Explanation(NamedTuple):
    """A cause as a clause, and the way out as a complete message."""

    what: str
    way_out: str


_EXPORT_AGAIN = (
    "Export the file again, for example as MP4 with H.264 video and AAC audio, or choose another file, and upload that."
    " Retry would probably end the same way."
)
_PERHAPS_THE_FILE = (
    "Press Retry: finished work is kept. If that ends the same way, export the file again as MP4 and upload that, or ask"
    " an operator for help."
)
_RETRY_LATER = "The file is probably not the cause. Press Retry later, or ask an operator for help."
_ASK_OPERATOR = "The file is probably not the cause. Ask an operator for help, and press Retry once the cause is fixed."

_BY_CODE = {
    "ENCODER_FAILED": Explanation("the encoder cannot process this file", _EXPORT_AGAIN),
    "ENCODER_KILLED": Explanation("the encoder was stopped before it finished", _PERHAPS_THE_FILE),
    "ENCODER_CRASHED": Explanation("the encoder crashed", _PERHAPS_THE_FILE),
    "SOURCE_MISSING": Explanation("the uploaded file is not in the site's storage", "Upload it again."),
    "PROBE_FAILED": Explanation("the file could not be analysed", _EXPORT_AGAIN),
    "DEADLINE_PASSED": Explanation("a step took longer than it should for a file of this size", _PERHAPS_THE_FILE),
    "NO_FFMPEG": Explanation("the encoder is not installed correctly", _ASK_OPERATOR),
    "EXTRA_MISSING": Explanation("the encoder is not installed correctly", _ASK_OPERATOR),
    "VERIFY_FAILED": Explanation("the result was damaged in the site's storage", _RETRY_LATER),
}
"""Error codes of the media engine that need more than TRANSCODE_FAILED. All others are faults of one file."""

_BY_REASON = {
    Reason.OUT_OF_MEMORY: Explanation(
        "the machine ran out of memory",
        "Export the file in a lower resolution and upload that, or ask an operator for machines with more memory.",
    ),
    Reason.TIMED_OUT: Explanation(
        "processing took longer than an attempt may take",
        "Press Retry: finished work is kept. If that is not enough, upload the recording in parts, or ask an operator"
        " for help.",
    ),
    Reason.EXIT_CODE: Explanation("the program that processes videos exited with an error", _ASK_OPERATOR),
    Reason.UNFINISHED: Explanation("the program that processes videos did not finish its work", _ASK_OPERATOR),
    Reason.STALLED: Explanation("processing made no progress for too long", _PERHAPS_THE_FILE),
    Reason.TRANSCODE_FAILED: Explanation("the file could not be converted", _EXPORT_AGAIN),
    Reason.CONTAINER_ERROR: Explanation("the program that processes videos has a fault", _ASK_OPERATOR),
    Reason.STORAGE_FAILED: Explanation("a file could not be read from or written to the site's storage", _RETRY_LATER),
    Reason.SCRATCH_TOO_SMALL: Explanation(
        "the machines have too little disk space for a file of this size",
        "Upload a smaller version of the file, or ask an operator for larger disks.",
    ),
    Reason.MISCONFIGURED: Explanation("the site is not set up correctly", _ASK_OPERATOR),
    Reason.SPOT_INTERRUPTION: Explanation("the cloud provider took the machine back", _RETRY_LATER),
    Reason.HOST_LOST: Explanation("the machine was lost", _RETRY_LATER),
    Reason.NO_CAPACITY: Explanation("no machine was available", _RETRY_LATER),
    Reason.START_FAILED: Explanation("the program that processes videos could not be started", _ASK_OPERATOR),
    Reason.NOT_STARTED: Explanation("no machine was started", _ASK_OPERATOR),
    Reason.START_TIMEOUT: Explanation("the program that processes videos did not start in time", _ASK_OPERATOR),
    Reason.DATABASE_UNAVAILABLE: Explanation("the machine could not reach the site's database", _ASK_OPERATOR),
    Reason.CONNECTION_LOST: Explanation("the machine lost its connection to the site's database", _ASK_OPERATOR),
    Reason.INPUT_SUSPECT: Explanation("the file could not be read to its end", _EXPORT_AGAIN),
    Reason.DISK_FULL: Explanation("the machine's disk was full", _ASK_OPERATOR),
    Reason.DISK_FAILED: Explanation("the machine's disk failed", _RETRY_LATER),
    Reason.HEARTBEAT_TIMEOUT: Explanation("the machine stopped responding", _RETRY_LATER),
    Reason.BATCH_JOB_MISSING: Explanation("the machine disappeared", _RETRY_LATER),
    Reason.SIGTERM: Explanation("the machine was shut down", _RETRY_LATER),
    Reason.REPLACED: Explanation("the machine stopped responding", _RETRY_LATER),
    Reason.UNKNOWN_CAUSE: Explanation("the machine stopped for an unknown reason", _RETRY_LATER),
    Reason.TERMINATED: Explanation("an operator stopped the machine", _ASK_OPERATOR),
}
"""Every reason with which an attempt may count or be a loss, except INPUT_REJECTED: such a job is FAILED, not DEAD."""

_UNKNOWN = Explanation("the cause is unknown", _RETRY_LATER)


class _Openings(NamedTuple):
    """How a message begins if attempts failed, and if they were lost."""

    failed: str
    lost: str


_ONE = _Openings("The attempt failed: {what}.", "The attempt was lost: {what}.")
_SAME = _Openings(
    "{count} attempts failed, each the same way: {what}.",
    "{count} attempts were lost in a row, each the same way: {what}.",
)
_OTHERS = _Openings(
    "{count} attempts failed, not all the same way. The last one: {what}.",
    "{count} attempts were lost in a row, not all the same way. The last one: {what}.",
)


class Cause(NamedTuple):
    """Why one attempt ended: its reason, and the media engine's error code or an empty string."""

    reason: str
    code: str

    def __str__(self) -> str:
        return f"{self.reason} {self.code}".strip()


def cause_of(reason: str, text: str, error_code: str = "") -> Cause:
    """Return the cause of an attempt. Without an error code, the text of TRANSCODE_FAILED begins with it."""
    found = re.match(r"([A-Z][A-Z_]+): ", text) if reason == Reason.TRANSCODE_FAILED and not error_code else None
    return Cause(reason, found[1] if found else error_code)


def explain(cause: Cause) -> Explanation:
    """Return what the owner reads about this cause."""
    reason = Reason.__members__.get(cause.reason)
    return _BY_CODE.get(cause.code) or (_BY_REASON.get(reason) if reason else None) or _UNKNOWN


def dead_message(reason: Reason, causes: Sequence[Cause], *, translate: Callable[[str], str] = str) -> str:
    """Return the owner's message for a job that is DEAD with this reason.

    `causes` are those of the attempts that led to it, oldest first: the counted ones, or the losses in a row.
    `translate` returns one of `texts()` in the reader's language.
    """
    last = explain(causes[-1]) if causes else _UNKNOWN
    if len(causes) < 2:  # noqa: PLR2004 - "the same way" needs two
        openings = _ONE
    elif len({explain(each) for each in causes}) == 1:
        openings = _SAME
    else:
        openings = _OTHERS
    opening = openings.lost if reason is Reason.TOO_MANY_LOSSES else openings.failed
    return f"{translate(opening).format(count=len(causes), what=translate(last.what))} {translate(last.way_out)}"


def texts() -> Iterator[str]:
    """Yield every text of which the messages are composed."""
    for openings in (_ONE, _SAME, _OTHERS):
        yield from openings
    for explanation in (*_BY_CODE.values(), *_BY_REASON.values(), _UNKNOWN):
        yield from explanation
