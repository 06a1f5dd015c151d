"""Doctor and metrics report events that do not reach their receivers."""

from __future__ import annotations

import re
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tasks.doctor import outbox
from tasks.doctor.finding import Status
from tasks.metrics import definitions as metric
from tasks.metrics.readings import read_gauges
from tasks.models import Delivery, OutboxEvent, WebhookEndpoint
from tasks.services.delivery.endpoints import give_first_secret
from tasks.services.delivery.expire import expire_outbox
from tasks.services.delivery.fan_out import fan_out
from tasks.services.delivery.run import deliver
from tasks.services.outbox.announce import announce_deletion

pytestmark = pytest.mark.django_db


def found() -> dict[str, Status]:
    findings = [outbox._events(), *outbox._endpoints()]
    assert all(finding.fix for finding in findings if finding.status is not Status.OK)
    return {finding.part: finding.status for finding in findings}


def oldest_s() -> dict[str, float]:
    return {channel: round(age) for (channel,), age in read_gauges()[metric.OLDEST_UNDELIVERED].items()}


def test_late_event_is_reported_when_no_tick_delivers() -> None:
    with transaction.atomic():
        announce_deletion(uuid.uuid4())
    assert found() == {"outbox": Status.OK}
    OutboxEvent.objects.update(created_at=F("created_at") - timedelta(hours=2))
    assert found() == {"outbox": Status.WARNING}
    assert oldest_s() == {"signal": 7200, "webhook": 0, "mail": 0}
    deliver()
    assert found() == {"outbox": Status.OK}
    assert oldest_s() == {"signal": 0, "webhook": 0, "mail": 0}


def test_endpoint_is_reported_when_it_is_disabled_or_its_secret_unreadable(settings: Settings) -> None:
    endpoint = WebhookEndpoint(url="https://hooks.example.org/", kinds=["video.deleted"])
    give_first_secret(endpoint)
    endpoint.save()
    assert found() == {"outbox": Status.OK}
    with transaction.atomic():
        announce_deletion(uuid.uuid4())
    fan_out()
    OutboxEvent.objects.update(created_at=F("created_at") - timedelta(hours=2))
    Delivery.objects.filter(channel="signal").update(state="DELIVERED", next_try_at=None, ended_at=Now())
    assert oldest_s() == {"signal": 0, "webhook": 7200, "mail": 0}
    settings.SECRET_KEY = "another"
    assert found() == {"outbox": Status.WARNING, f"webhook {endpoint.pk}": Status.FAILED}
    WebhookEndpoint.objects.update(enabled=False, disabled_at=Now())
    assert found() == {"outbox": Status.OK, f"webhook {endpoint.pk}": Status.WARNING}
    assert oldest_s() == {"signal": 0, "webhook": 0, "mail": 0}


def test_history_is_not_read_when_few_events_are_undelivered() -> None:
    video_ids = [uuid.uuid4() for _ in range(3000)]
    OutboxEvent.objects.bulk_create(
        OutboxEvent(kind="video.deleted", video_id=each, sequence=1, payload={}, dispatched_at=Now())
        for each in video_ids
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batchreel_delivery (event_id, channel, target, video_id, state, ended_at, next_try_at)"
            " SELECT id, 'signal', 'signal', video_id, 'DELIVERED', now(), NULL FROM batchreel_outboxevent"
        )
        cursor.execute("ANALYZE batchreel_delivery, batchreel_outboxevent")
    with transaction.atomic():
        announce_deletion(uuid.uuid4())
    with CaptureQueriesContext(connection) as queries:
        read_gauges()
        deliver()
        outbox._events()
        expire_outbox(until_s=time.monotonic() + 5)
    read = [
        each["sql"]
        for each in queries
        if re.match(r"SELECT .*batchreel_(delivery|outboxevent)", each["sql"], re.DOTALL)
    ]
    assert len(read) >= 6
    for sql in read:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert not re.search("Seq Scan on batchreel_(delivery|outboxevent)", plan), plan
