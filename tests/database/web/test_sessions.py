"""Expired sessions leave the database every day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django_celery_beat.schedulers import ModelEntry

from tasks.schedule.ticks import QUEUES

pytestmark = pytest.mark.django_db


def test_expired_sessions_are_removed_when_beats_daily_entry_runs() -> None:
    kept, expired = SessionStore(), SessionStore()
    for session in (kept, expired):
        session.save()
    Session.objects.filter(pk=expired.session_key).update(expire_date=Now() - timedelta(days=1))
    ((name, entry),) = settings.CELERY_BEAT_SCHEDULE.items()
    row = ModelEntry.from_entry(name, app=current_app, **entry).model
    assert (row.interval.every, row.interval.period, row.expire_seconds) == (86_400, "seconds", 86_400)
    assert row.queue in QUEUES
    current_app.tasks[row.task]()
    assert list(Session.objects.values_list("pk", flat=True)) == [kept.session_key]
