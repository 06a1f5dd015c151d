"""moto's SQS, corrected where it differs from AWS's in a way that the queue of events meets.

- A long poll waits inside the request, which would hold the lock that serializes all requests.
- Setting any attribute of a queue removes its policy, unless that is set as well.
- RedrivePolicy is returned with other white space than it was set with, so Terraform would set it again.
"""

from __future__ import annotations

import json
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from moto.sqs.models import Queue, SQSBackend

if TYPE_CHECKING:
    from threading import RLock

RECEIVE_TARGET = "AmazonSQS.ReceiveMessage"
"""The header X-Amz-Target of the call, in AWS's JSON protocol."""

_PAUSE_S = 0.02


def correct_queues(moto_lock: RLock) -> None:
    """Let moto's queues behave like AWS's. ReceiveMessage takes the lock only while it looks for messages."""
    _release_lock_in_long_polls(moto_lock)
    _keep_policies()


def _release_lock_in_long_polls(moto_lock: RLock) -> None:
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

    SQSBackend.receive_message = receive_message  # type: ignore[assignment,method-assign] # on purpose


def _keep_policies() -> None:
    set_attributes, attributes = Queue._set_attributes, Queue.attributes  # noqa: SLF001 - moto has no other way

    def set_and_keep_policy(queue: Queue, changes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(queue, "policy", None)
        set_attributes(queue, changes if "Policy" in changes else {**changes, "Policy": policy}, now)

    def compact(queue: Queue) -> dict[str, Any]:
        found: dict[str, Any] = attributes.__get__(queue)
        if found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(found["RedrivePolicy"]), separators=(",", ":"))
        return found

    Queue._set_attributes = set_and_keep_policy  # type: ignore[assignment,method-assign] # noqa: SLF001 - as above
    Queue.attributes = property(compact)  # type: ignore[assignment,method-assign] # on purpose
