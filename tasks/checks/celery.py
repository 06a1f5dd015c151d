"""System checks of what the bridge needs of Celery's settings and of the beat entries. See tasks/checks/bridge.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import connection

from ..schedule.ticks import ENTRY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WARM_SHUTDOWN_GRACE_S = 30
"""Between SIGTERM and SIGKILL, by default, on ECS, on Kubernetes and on Heroku: a Celery task must fit into it."""

REDELIVERY_MARGIN = 4
"""Redis delivers a message again after its visibility timeout, even while its Celery task runs: keep them far apart."""

DATABASE_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"


@register("batchreel")
def check_celery(**_: Any) -> list[CheckMessage]:
    """Celery's settings."""
    return [*_time_limits(), *_delivery(), *_broker(), *_beat()]


@register(Tags.database)
def check_beat_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Our rows in django-celery-beat's tables: runs with `check --database default` and on migrate."""
    return list(_beat_rows()) if databases and "default" in databases else []


def _time_limits() -> Iterator[CheckMessage]:
    limit_s = getattr(settings, "CELERY_TASK_TIME_LIMIT", None)
    if not limit_s:
        yield Error(
            "CELERY_TASK_TIME_LIMIT is not set: a Celery task that hangs holds its worker for ever.",
            hint="Set it to 25.",
            id="batchreel.E020",
        )
        return
    if limit_s >= WARM_SHUTDOWN_GRACE_S:
        yield Error(
            f"CELERY_TASK_TIME_LIMIT ({limit_s:g}) does not fit into the {WARM_SHUTDOWN_GRACE_S} s before SIGKILL.",
            hint="Set it to 25.",
            id="batchreel.E020",
        )
    visibility_s = _transport().get("visibility_timeout", 3600)
    if visibility_s < REDELIVERY_MARGIN * limit_s:
        yield Error(
            f"The broker's visibility_timeout ({visibility_s:g}) is less than {REDELIVERY_MARGIN} x"
            f" CELERY_TASK_TIME_LIMIT ({limit_s:g}): running tasks are delivered again.",
            hint="Raise CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'].",
            id="batchreel.E021",
        )


def _delivery() -> Iterator[CheckMessage]:
    if getattr(settings, "CELERY_RESULT_BACKEND", None):
        yield Error(
            "CELERY_RESULT_BACKEND is set: sending a hint may hang for 20 s when that backend is away.",
            hint="Remove it; results live in the database.",
            id="batchreel.E022",
        )
    if getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False):
        yield Error(
            "CELERY_TASK_ALWAYS_EAGER is on: a web request would submit jobs itself.",
            hint="Remove it; tests run a real Celery worker.",
            id="batchreel.E023",
        )
    if not getattr(settings, "CELERY_TASK_ACKS_LATE", False):
        yield Error(
            "CELERY_TASK_ACKS_LATE is off: a Celery worker that is killed takes its message with it.",
            hint="Set it to True; every Celery task of ours may run any number of times.",
            id="batchreel.E024",
        )
    if getattr(settings, "CELERY_TASK_REJECT_ON_WORKER_LOST", False):
        yield Error(
            "CELERY_TASK_REJECT_ON_WORKER_LOST is on: a message that kills its Celery worker comes back for ever.",
            hint="Set it to False; the next tick does the work.",
            id="batchreel.E025",
        )


def _broker() -> Iterator[CheckMessage]:
    for name in ("socket_timeout", "socket_connect_timeout"):
        if not _transport().get(name):
            yield Error(
                f"The broker's {name} is not set: a web request could wait for ever on a Redis that does not answer.",
                hint=f"Set CELERY_BROKER_TRANSPORT_OPTIONS['{name}'] to 2 or less.",
                id="batchreel.E026",
            )


def _beat() -> Iterator[CheckMessage]:
    scheduler = getattr(settings, "CELERY_BEAT_SCHEDULER", "")
    if scheduler != DATABASE_SCHEDULER:
        yield Error(
            f"CELERY_BEAT_SCHEDULER is {scheduler!r}: the beat entries are rows that only django-celery-beat reads.",
            hint=f"Set it to {DATABASE_SCHEDULER!r}.",
            id="batchreel.E027",
        )
    for name, entry in (getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {}).items():
        options = entry.get("options", {})
        if "expires" in options or "expire_seconds" not in options:
            yield Error(
                _expiry_text(name), hint="Give it the option expire_seconds, equal to its period.", id="batchreel.E028"
            )


def _beat_rows() -> Iterator[CheckMessage]:
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - models exist only once the apps are ready

    if PeriodicTask._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - documented API
        return
    for row in PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX, enabled=True).order_by("name"):
        if row.expires is not None or row.expire_seconds is None:
            yield Warning(_expiry_text(row.name), hint="Run `manage.py sync_schedule`.", id="batchreel.W028")


def _expiry_text(name: str) -> str:
    return f"The beat entry {name!r} has `expires`, which the scheduler drops, or no `expire_seconds`: ticks pile up."


def _transport() -> dict[str, Any]:
    return dict(getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", None) or {})
