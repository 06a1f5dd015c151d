"""The heartbeat thread: every so many seconds one fenced UPDATE on a connection of its own, opened for each beat."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import Error

from ..services.container_api.claim import Claim
from ..services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from .database import once
from .progress import Progress

logger = logging.getLogger(__name__)


class Heartbeat:
    """Beats until stopped. Calls `on_end` once, with what the beat brought back, when the container has to stop."""

    def __init__(
        self, claim: Claim, progress: Progress, *, every_s: float, on_end: Callable[[HeartbeatReply], None]
    ) -> None:
        self._claim = claim
        self._progress = progress
        self._every_s = every_s
        self._on_end = on_end
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=self._every_s)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            answer = self._beat()
            if answer is not HeartbeatReply.ALIVE and not self._stopped.is_set():
                self._on_end(answer)
                return

    def _beat(self) -> HeartbeatReply:
        reading = self._progress.read()
        try:
            return once(
                lambda: send_heartbeat(
                    self._claim, stage=reading.stage, count=reading.count, encoded_frames=reading.encoded_frames
                )
            )
        except Error as error:
            # An outage of the database is not this container's death: the next beat opens a new connection.
            logger.warning("HEARTBEAT_FAILED", extra={"error": str(error)})
            return HeartbeatReply.ALIVE
