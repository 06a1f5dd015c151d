"""System checks of the site's Celery application, and of the beat entries.

The settings of the site's own tasks are its own business: ours have their own options (tasks/tasks.py).
An error is only what would keep our tasks from running as they must.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import connection as database

from .. import APP
from ..broker.app import celery_app
from ..schedule.beat import is_scheduled_in_code, uses_database_scheduler
from ..schedule.ticks import ENTRY_PREFIX, QUEUES, SOFT_TIME_LIMIT_S, TASK_PREFIX, TICKS, TIME_LIMIT_S
from .broker import check_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPTIONS: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": False,
    "ignore_result": True,
    "soft_time_limit": SOFT_TIME_LIMIT_S,
    "time_limit": TIME_LIMIT_S,
}
"""Options that our tasks must have, or workers lose or repeat messages, or hang."""


@register("batchreel")
def check_celery(**_: Any) -> list[CheckMessage]:
    """Check the Celery application that sends and runs our tasks."""
    return [*_tasks(), *check_broker(), *_beat()]


@register(Tags.database)
def check_beat_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check our rows in django-celery-beat's tables.

    Runs with `check --database default` and on migrate.
    """
    has_rows = apps.is_installed("django_celery_beat") and databases and "default" in databases
    return list(_beat_rows()) if has_rows else []


def _tasks() -> Iterator[CheckMessage]:
    conf = celery_app().conf
    wrong = {
        name for options in _annotations() for name, value in _OPTIONS.items() if options.get(name, value) != value
    }
    if wrong:
        yield Error(
            f"CELERY_TASK_ANNOTATIONS changes {', '.join(sorted(wrong))} of Batchreel's tasks, which protect them from killed workers.",
            hint=f"Annotate your own tasks by name: `*` and names that begin with {TASK_PREFIX!r} include Batchreel's.",
            id="batchreel.E020",
        )
    if conf.task_always_eager:
        yield Warning(
            "CELERY_TASK_ALWAYS_EAGER is on, which is for tests: beat would run the ticks itself without their time limits,"
            " and no wake-ups are sent.",
            hint="Remove it where videos are transcoded.",
            id="batchreel.W023",
        )
    if not conf.task_create_missing_queues and (missing := [name for name in QUEUES if name not in _declared(conf)]):
        yield Error(
            f"CELERY_TASK_CREATE_MISSING_QUEUES is off and CELERY_TASK_QUEUES has no {', '.join(missing)}, so no tick could"
            " be sent.",
            hint=f"Add the names in {APP}.schedule.ticks.QUEUES to CELERY_TASK_QUEUES.",
            id="batchreel.E022",
        )


def _annotations() -> list[dict[str, Any]]:
    """Return the annotations by name that apply to tasks of ours. Those made by code cannot be read."""
    given = celery_app().conf.task_annotations or ()
    return [
        options
        for each in (given if isinstance(given, (list, tuple)) else [given])
        if isinstance(each, dict)
        for name, options in each.items()
        if name == "*" or name.startswith(TASK_PREFIX)
    ]


def _declared(conf: Any) -> set[str]:
    queues = conf.task_queues or ()
    return set(queues) if isinstance(queues, dict) else {queue.name for queue in queues}


def _beat() -> Iterator[CheckMessage]:
    if uses_database_scheduler() and not apps.is_installed("django_celery_beat"):
        yield Error(
            "CELERY_BEAT_SCHEDULER is django-celery-beat's, which is not in INSTALLED_APPS, so beat could not start.",
            hint="Add 'django_celery_beat' to INSTALLED_APPS.",
            id="batchreel.E028",
        )
    missing = [tick.task for tick in TICKS if not is_scheduled_in_code(tick)]
    if missing and not uses_database_scheduler():
        yield Warning(
            f"Beat would not send {', '.join(missing)}, so nothing would be submitted, observed or replaced: CELERY_BEAT_SCHEDULER"
            f" is not django-celery-beat's, and {_schedule_name()} does not contain them.",
            hint=_schedule_hint(),
            id="batchreel.W027",
        )


def _replaces_setting() -> bool:
    """Return whether the site's code has set `app.conf.beat_schedule`, so that Celery ignores the setting of Django."""
    given = getattr(settings, "CELERY_BEAT_SCHEDULE", None)
    return bool(given) and celery_app().conf.beat_schedule != given


def _schedule_name() -> str:
    if _replaces_setting():
        return "`app.conf.beat_schedule`, which replaces CELERY_BEAT_SCHEDULE,"
    return "CELERY_BEAT_SCHEDULE"


def _schedule_hint() -> str:
    if _replaces_setting():
        return (
            "`app.conf.beat_schedule = {...}` in the module of the Celery application replaces CELERY_BEAT_SCHEDULE."
            f" Add `app.conf.beat_schedule.update(beat_schedule(settings.BATCHREEL))` after it, from {APP}.schedule, or move its"
            " entries to the setting."
        )
    return (
        "Set CELERY_BEAT_SCHEDULER to 'django_celery_beat.schedulers:DatabaseScheduler', or add"
        f" {APP}.schedule.beat_schedule(BATCHREEL) to CELERY_BEAT_SCHEDULE. Assigning `app.conf.beat_schedule` replaces that"
        " setting. If beat gets another scheduler with `--scheduler`, silence this warning."
    )


def _beat_rows() -> Iterator[CheckMessage]:
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - models exist only once the apps are ready

    if PeriodicTask._meta.db_table not in database.introspection.table_names():  # noqa: SLF001 - documented API
        return
    for row in PeriodicTask.objects.filter(name__startswith=ENTRY_PREFIX, enabled=True).order_by("name"):
        if row.expires is not None or row.queue not in QUEUES:
            yield Warning(
                f"The beat entry {row.name!r} ends at a date, or is sent to another queue than Batchreel's workers consume.",
                hint="Run `manage.py sync_schedule`.",
                id="batchreel.W028",
            )
