"""Which reason an error of a container gets: whose fault it was decides whether the attempt counts."""

from __future__ import annotations

import errno

from django.core.exceptions import ImproperlyConfigured

from ..lifecycle.exit_codes import ExitCode
from ..lifecycle.reasons import Reason
from ..storage.bucket import BucketError
from ..transcode import TranscodeError
from .context import STALE_PLAN
from .scratch.reservation import ScratchTooSmallError
from .scratch.source import NotMountedError

_MACHINE_FAULTS = {
    errno.ENOSPC: Reason.DISK_FULL,
    errno.EDQUOT: Reason.DISK_FULL,
    errno.EIO: Reason.DISK_FAILED,
    errno.EROFS: Reason.DISK_FAILED,
    errno.EUCLEAN: Reason.DISK_FAILED,
    errno.EBADMSG: Reason.DISK_FAILED,
    errno.ENXIO: Reason.DISK_FAILED,
    errno.ENODEV: Reason.DISK_FAILED,
    errno.ENOMEM: Reason.OUT_OF_MEMORY,
}
"""errno(3) of a local file or process -> reason. EUCLEAN and EBADMSG mean a damaged file system, ENXIO
and ENODEV a lost disk. The bucket's errors are BucketError and have none."""

_ENGINE_FAULTS = {
    "DISK_FULL": Reason.DISK_FULL,
    "DISK_FAILED": Reason.DISK_FAILED,
    "SOURCE_UNREADABLE": Reason.DISK_FAILED,
    **dict.fromkeys(STALE_PLAN, Reason.ENGINE_DIFFERS),
}
"""Error codes of the media engine that are not the file's fault, nor the encoder's."""


class WorkFolderError(OSError):
    """The folder for the work cannot be made on the machine's disk."""


def failure_of(error: BaseException, *, was_out_of_memory: bool) -> tuple[ExitCode, Reason, str]:
    """Return exit code, reason and text for an error that ends the attempt.

    `was_out_of_memory`: the kernel killed a process of this container for lack of memory.
    """
    code, reason, text = ExitCode.FAILED, Reason.CONTAINER_ERROR, str(error)
    match error:
        case ImproperlyConfigured():
            code, reason = ExitCode.MISCONFIGURED, Reason.MISCONFIGURED
        case ScratchTooSmallError():
            reason = Reason.SCRATCH_TOO_SMALL
        case NotMountedError():
            reason = Reason.DISK_FAILED
        case BucketError():
            reason = Reason.STORAGE_FAILED
        case OSError():
            otherwise = Reason.DISK_FAILED if isinstance(error, WorkFolderError) else Reason.STORAGE_FAILED
            reason = _MACHINE_FAULTS.get(error.errno or 0, otherwise)
        case TranscodeError() if error.code in _ENGINE_FAULTS:
            reason = _ENGINE_FAULTS[error.code]
        case TranscodeError():
            reason = Reason.OUT_OF_MEMORY if was_out_of_memory else Reason.TRANSCODE_FAILED
        case _:
            text = f"{type(error).__name__}: {error}"
    return code, reason, text
