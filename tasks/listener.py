"""The listener: receives AWS Batch's events from the queue and applies them, until SIGTERM.

Any number of listeners may run. A message is deleted once it was applied or certainly changes
nothing; one that fails stays, is delivered again after the queue's visibility timeout, and ends in
the dead-letter queue after a few receives. Neither a bad message nor one that hangs ends the
listener: each has a time limit, which also interrupts a wait for the database. No connection to the
database is open during a long poll. While the database is unavailable nothing is received, so that
events wait in the queue and do not use up their receives.

The health file is touched in each round. If it is old, the process hangs in a way that no time
limit interrupts, and should be restarted.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from django.db import DatabaseError, connection

from .batch.errors import BatchError
from .batch.event_queue import LONG_POLL_S, EventQueue, Message
from .batch.events import BatchJobEvent, EventInvalidError, parse_event
from .conf import bridge_settings
from .metrics.counters import record_calls
from .services.events import apply_event
from .services.state.push import record_read, record_read_error

logger = logging.getLogger(__name__)

HEALTH_LIMIT_S = 180
"""Age of the health file beyond which the process hangs. A round takes a long poll, then up to ten events."""

_WAIT_AFTER_ERROR_S = 5
_RECORD_CALLS_EVERY_S = 60
_REPEAT_ALARM_S = 1.0


class EventTimeoutError(Exception):
    """An event took longer than `event_time_limit_s`."""


class _StopListening(BaseException):
    """SIGTERM arrived during a wait. Not an Exception: botocore converts those into errors of its own."""


class Listener:
    """The loop of `manage.py listen`. It runs in the main thread, because signals interrupt its waits."""

    def __init__(self, *, health_file: Path) -> None:
        self._health_file = health_file
        self._stopped = False
        self._waiting = False
        self._announced = False
        self._queue: EventQueue | None = None
        self._calls_recorded_s = time.monotonic()

    def run(self) -> None:
        """Receive and apply events until SIGTERM or SIGINT. Without a queue, only wait."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        url = bridge_settings().event_queue_url
        if not url:
            logger.warning("LISTENER_IDLE: VIDEO_BATCH_EVENT_QUEUE_URL is not set, so attempts are only polled")
        else:
            logger.info("LISTENER_STARTED %s", url)
        with suppress(_StopListening):
            while not self._stopped:
                self._touch()
                if url:
                    self._survive_round(url)
                else:
                    self._wait(LONG_POLL_S)
        logger.info("LISTENER_STOPPED")

    def _survive_round(self, url: str) -> None:
        try:
            self._queue = self._queue or EventQueue(url)
            self._round(self._queue)
        except BatchError as error:
            logger.warning("EVENT_QUEUE_FAILED %s: %s", error.code, error)
            with suppress(DatabaseError, EventTimeoutError), self._bounded_database():
                record_read_error(code=error.code, message=str(error))
            self._wait(_WAIT_AFTER_ERROR_S)
        except (DatabaseError, EventTimeoutError) as error:
            logger.warning("DATABASE_UNAVAILABLE: the listener receives nothing until it answers: %s", error)
            self._wait(_WAIT_AFTER_ERROR_S)
        except Exception:
            logger.exception("LISTENER_FAILED")
            self._wait(_WAIT_AFTER_ERROR_S)

    def _round(self, queue: EventQueue) -> None:
        with self._bounded_database():
            connection.ensure_connection()
        with self._interruptible():
            messages = queue.receive()
        self._announced = False
        done = [message for message in messages if self._handle(message)]
        queue.delete(done)
        with self._bounded_database():
            record_read(announced=self._announced, oldest_s=max((each.age_s for each in messages), default=0.0))
            if time.monotonic() - self._calls_recorded_s > _RECORD_CALLS_EVERY_S:
                self._calls_recorded_s = time.monotonic()
                record_calls()

    def _handle(self, message: Message) -> bool:
        """Apply one event. Return whether its message may be deleted."""
        if self._stopped:
            return False
        self._touch()
        try:
            event = parse_event(message.body)
            if event is not None:
                with self._bounded_database():
                    is_ours = apply_event(event) is not None
                self._announced |= is_ours and isinstance(event, BatchJobEvent)
        except EventInvalidError as error:
            logger.warning("EVENT_INVALID %s: %s", message.message_id, error)
            return False
        except Exception as error:  # noqa: BLE001 - one event must not end the listener
            logger.warning("EVENT_FAILED %s: %s: %s", message.message_id, type(error).__name__, error)
            return False
        return True

    @contextmanager
    def _bounded_database(self) -> Iterator[None]:
        """Close the connection at the end of the block, which raises EventTimeoutError at its time limit."""
        try:
            with time_limit(bridge_settings().event_time_limit_s):
                yield
        finally:
            connection.close()

    def _touch(self) -> None:
        try:
            self._health_file.touch()
        except OSError as error:
            logger.warning("HEALTH_FILE_FAILED %s: %s", self._health_file, error)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        self._interrupt()

    def _interrupt(self, *_: object) -> None:
        if self._stopped and self._waiting:
            raise _StopListening

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let SIGTERM interrupt the block. Elsewhere it takes effect after the event in progress.

        It is tried again every second: Python discards an exception that a signal raises in a
        finalizer, and a signal that arrives just before a system call does not interrupt it.
        """
        self._waiting = True
        try:
            with _alarm(self._interrupt, after_s=_REPEAT_ALARM_S):
                self._interrupt()
                yield
        finally:
            self._waiting = False

    def _wait(self, seconds: float) -> None:
        with self._interruptible():
            time.sleep(seconds)


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise EventTimeoutError in the block after `limit_s`. Only in the main thread, where Python handles signals."""
    is_over = False

    def expire(_number: int, _frame: FrameType | None) -> None:
        if is_over:
            return
        message = f"no end after {limit_s:g} s"
        raise EventTimeoutError(message)

    with _alarm(expire, after_s=limit_s):
        try:
            yield
        finally:
            is_over = True  # an alarm that arrives from here on must not keep the timer from being reset


@contextmanager
def _alarm(expire: Callable[[int, FrameType | None], None], *, after_s: float) -> Iterator[None]:
    """Call `expire` in the block after `after_s`, and then repeatedly, for code that catches what it raises."""
    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, after_s, _REPEAT_ALARM_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def is_alive(health_file: Path) -> bool:
    """Return whether a listener has touched the file within `HEALTH_LIMIT_S`."""
    with suppress(FileNotFoundError):
        return time.time() - health_file.stat().st_mtime < HEALTH_LIMIT_S
    return False
