"""Whose fault an error is: the machine's and the storage's are not the job's."""

from __future__ import annotations

import errno

import pytest

from tasks.container.failures import failure_of
from tasks.container.scratch.reservation import ScratchTooSmallError
from tasks.lifecycle.reasons import Counts, Reason
from tasks.storage.bucket import BucketError
from tasks.transcode import EncodeError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.DISK_FULL),
        (EncodeError(code="DISK_FULL", message="the disk is full"), Reason.DISK_FULL),
        (ScratchTooSmallError("no room"), Reason.SCRATCH_TOO_SMALL),
        (OSError(errno.EIO, "Input/output error"), Reason.DISK_FAILED),
        (OSError(errno.EROFS, "Read-only file system"), Reason.DISK_FAILED),
    ],
    ids=str,
)
def test_attempt_is_not_counted_when_the_machines_disk_is_at_fault(error: Exception, reason: Reason) -> None:
    _, found, text = failure_of(error, was_out_of_memory=False)
    assert found is reason
    assert (reason.counts, reason.is_loss) == (Counts.NO, True)
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
