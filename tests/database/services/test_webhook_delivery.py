"""Webhooks reach real receivers, signed and in order, and a receiver that misbehaves delays no other."""

from __future__ import annotations

import json
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook

from tasks.lifecycle.states import OutboxKind
from tasks.models import Delivery, Event, OutboxEvent, WebhookEndpoint
from tasks.services.delivery import to_endpoints
from tasks.services.delivery.endpoints import (
    MIN_FAILURES,
    forget_old_secrets,
    give_first_secret,
    replace_secret,
    send_again,
    signing_secrets,
)
from tasks.services.delivery.run import deliver
from tasks.services.outbox.announce import _append, announce_deletion
from tests.factories import published
from tests.webhook_receivers import Receiver, allowing_loopback, answers, closes, drips, hangs, receiving

pytestmark = pytest.mark.django_db

Behaviour = Callable[[Receiver, socket.socket], None]


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.BATCHREEL = allowing_loopback(webhook_timeout_s=0.3, deliver_time_limit_s=6)


@pytest.fixture
def receivers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def endpoint(url: str, *, kinds: list[str] | None = None) -> tuple[WebhookEndpoint, str]:
    made = WebhookEndpoint(url=url, kinds=[each.value for each in OutboxKind] if kinds is None else kinds)
    give_first_secret(made)
    made.save()
    return made, signing_secrets(made)[0]


def written(*video_ids: uuid.UUID) -> None:
    for video_id in video_ids:
        with transaction.atomic():
            announce_deletion(video_id)


def time_passes(seconds: float) -> None:
    past = timedelta(seconds=seconds)
    Delivery.objects.update(next_try_at=F("next_try_at") - past, give_up_at=F("give_up_at") - past)
    WebhookEndpoint.objects.update(failing_since=F("failing_since") - past)
    WebhookEndpoint.objects.update(old_secret_until=F("old_secret_until") - past)


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in receiver.requests]


def test_receiver_gets_signed_events_in_order_when_a_video_is_published(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK", body=b"thanks\x00")))
    made, secret = endpoint(receiver.url)
    video = published()
    deliver()
    assert [each["type"] for each in bodies(receiver)] == ["video.playable", "video.published"]
    for (headers, body), event in zip(receiver.requests, OutboxEvent.objects.order_by("id"), strict=True):
        form = Webhook(secret).verify(body, headers)
        assert headers["webhook-id"] == form["id"] == str(event.event_id)
        assert headers["content-type"] == "application/json"
        assert form == {
            "type": event.kind,
            "timestamp": form["timestamp"],
            "id": str(event.event_id),
            "sequence": event.sequence,
            "data": event.payload,
        }
        assert form["timestamp"].endswith("+00:00")
        assert form["data"]["video_id"] == str(video.pk)
    row = Delivery.objects.filter(endpoint=made).earliest("id")
    assert (row.state, row.status_code, row.response, row.tries) == ("DELIVERED", 200, "thanks", 1)
    assert row.duration_s is not None


def test_endpoint_gets_only_what_it_subscribed_to_when_it_is_enabled(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK")))
    other = receivers.enter_context(receiving(answers("200 OK")))
    endpoint(receiver.url, kinds=["video.published"])
    disabled, _ = endpoint(other.url)
    WebhookEndpoint.objects.filter(pk=disabled.pk).update(enabled=False)
    published()
    deliver()
    assert [each["type"] for each in bodies(receiver)] == ["video.published"]
    assert other.connections == 0


@pytest.mark.parametrize(
    ("behave", "status", "error"),
    [
        (answers("500 Internal Server Error", body=b"oops"), 500, "STATUS 500"),
        (answers("302 Found", headers="Location: http://127.0.0.1:1/\r\n"), 302, "STATUS 302"),
        (hangs, None, "TIMEOUT"),
        (drips, None, "TIMEOUT"),
        (closes, None, "CONNECTION"),
    ],
)
def test_event_is_sent_again_until_it_is_accepted_when_a_receiver_misbehaves(
    receivers: ExitStack, behave: Behaviour, status: int | None, error: str
) -> None:
    receiver = receivers.enter_context(receiving(behave))
    endpoint(receiver.url)
    video_id = uuid.uuid4()
    written(video_id, video_id)
    deliver()
    first = Delivery.objects.filter(channel="webhook").earliest("id")
    assert (first.state, first.tries, first.status_code) == ("PENDING", 1, status)
    assert first.error.startswith(error)
    deliver()
    assert len(receiver.requests) == 1, "the next try is not due, and the second event waits for the first"
    receiver.behave = answers("200 OK")
    time_passes(6)
    deliver()
    assert [each["sequence"] for each in bodies(receiver)] == [1, 1, 2]
    assert bodies(receiver)[0] == bodies(receiver)[1]
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert ids[0] == ids[1] != ids[2]
    assert WebhookEndpoint.objects.get().failures == 0


def test_other_endpoints_get_everything_when_three_of_them_hang(receivers: ExitStack) -> None:
    healthy = receivers.enter_context(receiving(answers("200 OK")))
    bad = [receivers.enter_context(receiving(behave)) for behave in (hangs, drips, answers("503 Busy"))]
    for receiver in (*bad, healthy):
        endpoint(receiver.url)
    video_ids = [uuid.uuid4() for _ in range(50)]
    written(*video_ids)
    deliver()
    assert len(healthy.requests) == 50
    for receiver in bad:
        # Three failures end its tick; others may have been under way, and its connections are limited.
        assert 3 <= len(receiver.requests) <= 7
    assert Delivery.objects.filter(state="DELIVERED", channel="signal").count() == 50


def test_no_transaction_is_open_when_a_webhook_is_sent(receivers: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK")))
    endpoint(receiver.url)
    written(uuid.uuid4())
    depths = []
    start = to_endpoints._Run._start
    outer = len(connection.savepoint_ids)

    def started(self: Any, delivery: Delivery) -> None:
        depths.append(len(connection.savepoint_ids))
        start(self, delivery)

    monkeypatch.setattr(to_endpoints._Run, "_start", started)
    with CaptureQueriesContext(connection):
        deliver()
    assert depths == [outer]


def test_retry_waits_as_long_as_asked_when_the_receiver_is_busy(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("429 Too Many Requests", headers="Retry-After: 600\r\n")))
    endpoint(receiver.url)
    written(uuid.uuid4())
    deliver()
    time_passes(500)
    deliver()
    assert len(receiver.requests) == 1
    time_passes(101)
    deliver()
    assert len(receiver.requests) == 2


def test_both_secrets_are_valid_for_a_day_when_one_was_replaced(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK")))
    made, old = endpoint(receiver.url)
    new = replace_secret(endpoint_id=made.pk)
    assert old != new
    written(uuid.uuid4())
    deliver()
    headers, body = receiver.requests[0]
    assert Webhook(old).verify(body, headers)
    assert Webhook(new).verify(body, headers)
    time_passes(86401)
    written(uuid.uuid4())
    deliver()
    headers, body = receiver.requests[1]
    assert Webhook(new).verify(body, headers)
    assert len(headers["webhook-signature"].split()) == 1
    forget_old_secrets()
    assert WebhookEndpoint.objects.get().old_secret == ""


def test_secrets_are_in_no_log_and_no_row_when_webhooks_fail(
    receivers: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receivers.enter_context(receiving(answers("500 Oops")))
    made, secret = endpoint(receiver.url)
    written(uuid.uuid4())
    with caplog.at_level("DEBUG"):
        deliver()
    row = WebhookEndpoint.objects.filter(pk=made.pk).values().get()
    stored = [*Delivery.objects.values(), *OutboxEvent.objects.values(), row]
    assert secret.removeprefix("whsec_") not in f"{caplog.text}{stored}{made!r}"


def test_unreadable_secret_delays_only_its_endpoint_when_the_sites_key_was_replaced(
    receivers: ExitStack, settings: Settings
) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK")))
    old, _ = endpoint(receiver.url)
    settings.SECRET_KEY = "another"
    endpoint(receiver.url)
    written(uuid.uuid4())
    deliver()
    assert len(receiver.requests) == 1
    assert Delivery.objects.get(endpoint=old).error.startswith("SECRET_UNREADABLE")


def test_endpoint_is_disabled_with_a_notice_when_it_fails_for_days(
    receivers: ExitStack, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    receiver = receivers.enter_context(receiving(answers("500 Oops")))
    made, _ = endpoint(receiver.url)
    written(uuid.uuid4())
    deliver()
    time_passes(4 * 86400)
    written(uuid.uuid4())
    deliver()
    assert WebhookEndpoint.objects.get().enabled, "a few failures are not enough, however old the first is"
    WebhookEndpoint.objects.update(failures=MIN_FAILURES - 1)
    written(uuid.uuid4())
    with django_capture_on_commit_callbacks(execute=True):
        deliver()
    made.refresh_from_db()
    assert (made.enabled, made.disabled_reason) == (False, "STATUS 500")
    assert made.disabled_at is not None
    assert f"WEBHOOK_DISABLED endpoint {made.pk}: STATUS 500" in caplog.text
    assert Event.objects.filter(kind="webhook.disabled").count() == 1
    count = receiver.connections
    time_passes(86400)
    deliver()
    assert receiver.connections == count
    Delivery.objects.update(created_at=F("created_at") - timedelta(days=2))
    deliver()
    assert not Delivery.objects.filter(channel="webhook", state="PENDING").exists()


def test_endpoint_is_disabled_at_once_when_it_is_gone(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("410 Gone")))
    endpoint(receiver.url)
    written(uuid.uuid4())
    deliver()
    assert not WebhookEndpoint.objects.get().enabled


def test_event_is_sent_again_with_its_id_when_a_person_asks_for_it(receivers: ExitStack) -> None:
    receiver = receivers.enter_context(receiving(answers("200 OK")))
    endpoint(receiver.url)
    video_id = uuid.uuid4()
    written(video_id, video_id)
    deliver()
    receiver.behave = answers("500 Oops")
    first = Delivery.objects.filter(channel="webhook").earliest("id")
    assert send_again(delivery_id=first.pk)
    assert not send_again(delivery_id=first.pk)
    written(video_id)
    receiver.behave = answers("500 Oops")
    deliver()
    assert sorted(each["sequence"] for each in bodies(receiver)) == [1, 1, 2, 3], "the newer one does not wait for it"
    ids = Counter(headers["webhook-id"] for headers, _ in receiver.requests)
    assert ids[str(first.event.event_id)] == 2


def test_body_is_the_same_text_when_an_event_is_sent_twice() -> None:
    with transaction.atomic():
        _append(OutboxKind.FAILED, uuid.uuid4(), job=None, data={"message": "Déjà vu\n\u2028", "b": 1, "a": [1.5]})
    event = OutboxEvent.objects.get()
    body = to_endpoints.body_of(event)
    event.refresh_from_db()
    assert to_endpoints.body_of(OutboxEvent.objects.get()) == body == to_endpoints.body_of(event)
    assert body.isascii()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("publications", [50, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_every_publication_is_delivered_in_order_when_receivers_fail_at_random(
    receivers: ExitStack, publications: int, record_property: Callable[[str, object], None]
) -> None:
    flaky_answers = [answers("500 Oops"), closes, *[answers("200 OK")] * 5]

    def flaky(receiver: Receiver, client: socket.socket) -> None:
        # Of seven connections, one is answered with an error and one is closed.
        flaky_answers[receiver.connections % 7](receiver, client)

    receiver = receivers.enter_context(receiving(flaky))
    steady = receivers.enter_context(receiving(answers("200 OK")))
    endpoint(receiver.url)
    endpoint(steady.url)
    video_ids = [uuid.uuid4() for _ in range(publications)]
    with transaction.atomic():
        for kind in (OutboxKind.PLAYABLE, OutboxKind.PUBLISHED):
            for video_id in video_ids:
                _append(kind, video_id, job=None, data={})
    runs = 0
    while Delivery.objects.filter(state="PENDING").exists() or not runs:
        deliver()
        # Retries are due at once, and nothing is given up.
        Delivery.objects.filter(tries__gt=0, state="PENDING").update(next_try_at=Now(), give_up_at=None)
        runs += 1
        assert runs < publications
    record_property("faults", len(receiver.requests) - 2 * publications)
    for each in (receiver, steady):
        accepted: dict[str, list[int]] = {}
        for form in bodies(each):
            seen = accepted.setdefault(form["data"]["video_id"], [])
            if not seen or seen[-1] != form["sequence"]:
                seen.append(form["sequence"])
        assert set(accepted) == {str(video_id) for video_id in video_ids}
        assert set(map(tuple, accepted.values())) == {(1, 2)}
    assert len(steady.requests) == 2 * publications
