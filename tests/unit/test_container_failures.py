"""Whose fault an error is: the machine's and the storage's are not the job's."""

from __future__ import annotations

import errno
import threading

import pytest

from tasks.container.failures import failure_of
from tasks.container.machine import hold_place
from tasks.container.scratch.reservation import ScratchTooSmallError
from tasks.container.scratch.source import NotMountedError
from tasks.lifecycle.reasons import HELD, Counts, Reason
from tasks.storage.bucket import BucketError
from tasks.transcode import EncodeError
from tests.polling import wait_for


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.DISK_FULL),
        (EncodeError(code="DISK_FULL", message="the disk is full"), Reason.DISK_FULL),
        (ScratchTooSmallError("no room"), Reason.SCRATCH_TOO_SMALL),
        (OSError(errno.EIO, "Input/output error"), Reason.DISK_FAILED),
        (OSError(errno.EROFS, "Read-only file system"), Reason.DISK_FAILED),
        (OSError(errno.EUCLEAN, "Structure needs cleaning"), Reason.DISK_FAILED),
        (EncodeError(code="SOURCE_UNREADABLE", message="cannot be read"), Reason.DISK_FAILED),
        (NotMountedError("no folder"), Reason.DISK_FAILED),
    ],
    ids=str,
)
def test_attempt_is_not_counted_when_the_machines_disk_is_at_fault(error: Exception, reason: Reason) -> None:
    _, found, text = failure_of(error, was_out_of_memory=False)
    assert found is reason
    assert (reason.counts, reason.is_loss) == (Counts.NO, True)
    assert (reason in HELD) is not isinstance(error, ScratchTooSmallError), "it has waited already"
    assert text


def test_memory_is_the_reason_when_the_kernel_killed_the_encoder() -> None:
    killed = EncodeError(code="ENCODER_KILLED", message="ffmpeg was killed by signal 9")
    assert failure_of(killed, was_out_of_memory=True)[1] is Reason.OUT_OF_MEMORY
    assert failure_of(killed, was_out_of_memory=False)[1] is Reason.TRANSCODE_FAILED
    assert (
        failure_of(OSError(errno.ENOMEM, "Cannot allocate memory"), was_out_of_memory=False)[1] is Reason.OUT_OF_MEMORY
    )


def test_storage_is_the_reason_when_the_bucket_rejects_a_call() -> None:
    assert failure_of(BucketError("AccessDenied"), was_out_of_memory=False)[1] is Reason.STORAGE_FAILED


@pytest.mark.parametrize("reason", sorted(HELD))
def test_place_is_kept_until_sigterm_when_the_machine_may_be_at_fault(
    reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    shutting_down = threading.Event()
    thread = threading.Thread(target=hold_place, args=(reason, "a fault"), kwargs={"shutting_down": shutting_down})
    thread.start()
    wait_for(lambda: caplog.messages == ["MACHINE_HELD"], what="the hold")
    assert thread.is_alive()
    shutting_down.set()
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.parametrize("reason", [None, *sorted(set(Reason) - HELD)])
def test_place_is_left_at_once_when_the_machine_is_not_at_fault(reason: Reason | None) -> None:
    hold_place(reason, "", shutting_down=threading.Event())
