"""Delivery to endpoints: webhooks, several at a time, each in a thread that has no database connection.

An endpoint that hangs or fails has at most `webhook_connections_per_endpoint` of the threads, and after three
failures in a row waits for the next tick, so the others hardly notice it.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial

from ...conf import bridge_settings
from ...lifecycle.states import Channel
from ...models import Delivery, OutboxEvent, WebhookEndpoint
from ...webhooks.encryption import UnreadableSecretError
from ...webhooks.request import Outcome, send
from ...webhooks.signature import signed_headers
from .due import claim, due, record
from .endpoints import note_failure, note_success, signing_secrets

MAX_FAILURES = 3
"""Failures of an endpoint in a row, within one tick, after which it waits for the next one."""

_PAGE = 200
RESOLVE_S = 2.0
"""Seconds beyond `webhook_timeout_s` for which a tick waits for a thread that still resolves a name."""

GONE = 410
"""Status by which a receiver ends its subscription (Standard Webhooks, "Deliverability and reliability")."""


def send_webhooks(*, until_s: float) -> int:
    """Send due webhooks until the monotonic clock reaches `until_s`, and return their number."""
    run = _Run(until_s)
    try:
        run.send_all()
    finally:
        run.stop()
    return run.sent


class _Run:
    """The webhooks of one tick."""

    def __init__(self, until_s: float) -> None:
        self.sent = 0
        self._until_s = until_s
        self._conf = bridge_settings()
        self._threads = ThreadPoolExecutor(self._conf.webhook_connections, thread_name_prefix="webhook")
        self._running: dict[Future[Outcome], tuple[Delivery, float]] = {}
        self._busy: Counter[int | None] = Counter()
        self._failures: Counter[int | None] = Counter()
        self._queue: deque[Delivery] = deque()

    def send_all(self) -> None:
        """Keep the threads busy until nothing is due or the time is up, then wait for the last ones."""
        while True:
            self._start_due()
            if not self._running:
                return
            ended, _ = wait(self._running, timeout=self._wait_s(), return_when=FIRST_COMPLETED)
            for each in ended:
                delivery, _ = self._running.pop(each)
                self._record(delivery, each.result())
            self._abandon_late()

    def stop(self) -> None:
        """Leave threads alone that still resolve a name: afterwards they send nothing, because their time is up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start_due(self) -> None:
        fetched = False
        while len(self._running) < self._conf.webhook_connections and time.monotonic() < self._until_s:
            if not self._queue:
                if fetched:
                    return
                fetched = True
                failing = {pk for pk, count in self._failures.items() if pk and count >= MAX_FAILURES}
                self._queue.extend(due(Channel.WEBHOOK, limit=_PAGE, exclude=failing))
            delivery = self._next()
            if delivery is None:
                return
            if claim(delivery):
                self._start(delivery)

    def _next(self) -> Delivery | None:
        """Take the first delivery of the queue whose endpoint has a free connection."""
        for place, delivery in enumerate(self._queue):
            if self._failures[delivery.endpoint_id] >= MAX_FAILURES:
                continue
            if self._busy[delivery.endpoint_id] < self._conf.webhook_connections_per_endpoint:
                del self._queue[place]
                return delivery
        if all(self._failures[each.endpoint_id] >= MAX_FAILURES for each in self._queue):
            self._queue.clear()
        return None

    def _start(self, delivery: Delivery) -> None:
        endpoint = delivery.endpoint
        if endpoint is None:
            message = f"{delivery} has no endpoint"
            raise RuntimeError(message)
        body = body_of(delivery.event)
        self._busy[endpoint.pk] += 1
        try:
            headers = headers_of(delivery.event, endpoint, body=body)
        except UnreadableSecretError as error:
            self._record(delivery, Outcome(error=f"SECRET_UNREADABLE {error}"))
            return
        timeout_s = self._conf.webhook_timeout_s
        call = partial(send, endpoint.url, body=body.encode(), headers=headers, timeout_s=timeout_s)
        self._running[self._threads.submit(call)] = (delivery, time.monotonic() + timeout_s + RESOLVE_S)

    def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        endpoint_id = delivery.endpoint_id
        if endpoint_id is None:
            message = f"{delivery} has no endpoint"
            raise RuntimeError(message)
        self.sent += 1
        self._busy[endpoint_id] -= 1
        record(
            delivery,
            error=outcome.error,
            status_code=outcome.status,
            duration_s=outcome.duration_s,
            response=outcome.excerpt,
            least_delay_s=outcome.retry_after_s,
        )
        if outcome.is_success:
            if self._failures.pop(endpoint_id, 0) or (delivery.endpoint and delivery.endpoint.failures):
                note_success(endpoint_id)
        else:
            self._failures[endpoint_id] += 1
            note_failure(endpoint_id, error=outcome.error, is_gone=outcome.status == GONE)

    def _wait_s(self) -> float:
        return max(0.0, min(ends_at_s for _, ends_at_s in self._running.values()) - time.monotonic())

    def _abandon_late(self) -> None:
        """Record requests whose thread does not return, because the name is not resolved."""
        now_s = time.monotonic()
        for each in [each for each, (_, ends_at_s) in self._running.items() if now_s >= ends_at_s and not each.done()]:
            delivery, _ = self._running.pop(each)
            self._record(delivery, Outcome(error="TIMEOUT the host name was not resolved in time"))


def body_of(event: OutboxEvent) -> str:
    """Return the body of the event's webhooks: the same text in every try."""
    form = {
        "type": event.kind,
        "timestamp": event.created_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "id": str(event.event_id),
        "sequence": event.sequence,
        "data": event.payload,
    }
    return json.dumps(form, separators=(",", ":"))


def headers_of(event: OutboxEvent, endpoint: WebhookEndpoint, *, body: str) -> dict[str, str]:
    """Return the headers of a webhook. Raises UnreadableSecretError."""
    signed = signed_headers(
        message_id=str(event.event_id),
        at=datetime.now(UTC),
        body=body,
        signing_secrets=signing_secrets(endpoint),
    )
    return {"Content-Type": "application/json", "User-Agent": "Batchreel-Webhooks/1", **signed}
