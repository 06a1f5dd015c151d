"""Counts the calls to AWS of this process, until `tasks.metrics.counters` adds them to the rows.

The counts of a process that is killed are lost: those of its last task.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .errors import BatchError, kind_of

OK = "ok"
OUTCOMES = (OK, "throttled", "denied", "rejected", "unreachable", "ambiguous")
"""How a call ended: with a response, or as the BatchError of that name."""

_FIRST_ERROR_STATUS = 300
"""botocore raises ClientError from this HTTP status on."""

_counts: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


def count_calls(client: Any) -> None:
    """Count each call of this boto3 client by its name and outcome. A page of a listing is one call."""
    client.meta.events.register("after-call", _on_response)
    client.meta.events.register("after-call-error", _on_error)


def take_counts() -> Counter[tuple[str, str]]:
    """Return how often each call ended in each outcome since the last time, and start again at zero."""
    with _lock:
        taken = _counts.copy()
        _counts.clear()
    return taken


def give_back(counts: Counter[tuple[str, str]]) -> None:
    """Add counts again that could not be stored."""
    with _lock:
        _counts.update(counts)


def _on_response(http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
    if http_response.status_code < _FIRST_ERROR_STATUS:
        _count(model.name, OK)
    else:
        _count(model.name, _outcome(ClientError(parsed, model.name)))


def _on_error(event_name: str, exception: Exception, **_: Any) -> None:
    verb = event_name.rpartition(".")[2]
    if isinstance(exception, (ClientError, BotoCoreError)):
        _count(verb, _outcome(exception))


def _outcome(error: ClientError | BotoCoreError) -> str:
    kind: type[BatchError] = kind_of(error)
    return kind.code.removeprefix("BATCH_").lower()


def _count(verb: str, outcome: str) -> None:
    with _lock:
        _counts[verb, outcome] += 1
