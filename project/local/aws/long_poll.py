"""Long polls of moto's SQS that do not block its other requests.

moto waits for messages inside the request, which would hold the lock that serializes all requests.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from moto.sqs.models import SQSBackend

if TYPE_CHECKING:
    from threading import RLock

RECEIVE_TARGET = "AmazonSQS.ReceiveMessage"
"""The header X-Amz-Target of the call, in AWS's JSON protocol."""

_PAUSE_S = 0.02


def release_lock_in_long_polls(moto_lock: RLock) -> None:
    """Let ReceiveMessage hold the lock only while it looks for messages."""
    original = SQSBackend.receive_message

    @wraps(original)
    def receive_message(
        backend: SQSBackend,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        *arguments: Any,
        **named: Any,
    ) -> Any:
        until_s = time.monotonic() + wait_seconds_timeout
        while True:
            with moto_lock:
                messages = original(backend, queue_name, count, 0, *arguments, **named)
            if messages or time.monotonic() >= until_s:
                return messages
            time.sleep(_PAUSE_S)

    SQSBackend.receive_message = receive_message  # type: ignore[method-assign] # on purpose
