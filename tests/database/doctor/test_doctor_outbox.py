"""Doctor and metrics report events that do not reach their receivers."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from pytest_django import Settings

from tasks.doctor import outbox
from tasks.doctor.finding import Status
from tasks.metrics import definitions as metric
from tasks.metrics.readings import read_gauges
from tasks.models import Delivery, OutboxEvent, WebhookEndpoint
from tasks.services.delivery.endpoints import give_first_secret
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
