"""CloudWatch log streams in moto: containers write their output there, and boto3 reads it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from moto.logs.models import logs_backends

from project.local.batch.control_plane import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock


class ContainerLogs:
    """Writer for moto's log streams.

    moto has no lock, so writes hold the one that also covers moto's own requests.
    """

    def __init__(self, moto_lock: RLock) -> None:
        self._moto_lock = moto_lock

    def open_stream(self, *, region: str, group: str, stream: str) -> Callable[[str], None]:
        """Create the stream, and its group if necessary.

        Return a function that appends one line to it.
        """
        backend = logs_backends[ACCOUNT_ID][region]

        def append(line: str) -> None:
            if not line:
                return  # CloudWatch has no empty events; Docker's log driver drops them as well
            event = {"timestamp": int(time.time() * 1000), "message": line}
            with self._moto_lock:
                # Every time, because the user may have deleted the group while the job runs.
                backend.ensure_log_group(group)
                backend.ensure_log_stream(group, stream)
                backend.put_log_events(group, stream, [event])

        with self._moto_lock:
            backend.ensure_log_group(group)
            backend.ensure_log_stream(group, stream)
        return append
