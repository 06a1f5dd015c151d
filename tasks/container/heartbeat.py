"""Heartbeat thread: one fenced UPDATE every `every_s` seconds, each on a new connection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import Error

from ..services.container_api.claim import Claim
from ..services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from .database import call_once
from .progress import Progress

logger = logging.getLogger(__name__)


class Heartbeat:
    """Sends heartbeats until stopped.

    Calls `on_end` once, with the reply, when the container has to stop, and `on_leave` when it may
    not lease any more units.
    """

    def __init__(
        self,
        claim: Claim,
        progress: Progress,
        *,
        every_s: float,
        on_end: Callable[[HeartbeatReply], None],
        on_leave: Callable[[], None],
    ) -> None:
        self._claim = claim
        self._progress = progress
        self._every_s = every_s
        self._on_end = on_end
        self._on_leave = on_leave
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
            reply = self._beat()
            if reply is HeartbeatReply.LEAVING:
                self._on_leave()
            elif reply is not HeartbeatReply.ALIVE and not self._stopped.is_set():
                self._on_end(reply)
                return

    def _beat(self) -> HeartbeatReply:
        reading = self._progress.snapshot()
        try:
            return call_once(
                lambda: send_heartbeat(
                    self._claim, stage=reading.stage, count=reading.count, encoded_frames=reading.encoded_frames
                )
            )
        except Error as error:
            # A database outage must not end this container: the next heartbeat opens a new
            # connection.
            logger.warning("HEARTBEAT_FAILED", extra={"error": str(error)})
            return HeartbeatReply.ALIVE
