"""`manage.py sync_schedule`: write the code's beat entries to django-celery-beat's tables.

`migrate` does the same.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError


class Command(BaseCommand):
    """Write the beat entries, and print what changed."""

    help = (
        "Write the beat entries defined in the code to the database. An entry that an operator disabled stays disabled."
    )

    def handle(self, **_: Any) -> None:
        """Write the entries. Raise CommandError without django-celery-beat, or if the database is unavailable."""
        if not apps.is_installed("django_celery_beat"):
            message = "There are no rows to write: django_celery_beat is not in INSTALLED_APPS. CELERY_BEAT_SCHEDULE has the entries."
            raise CommandError(message)
        from ...schedule.sync import sync_entries  # noqa: PLC0415 - imports models, which need the app

        try:
            report = sync_entries()
        except DatabaseError as error:
            message = (
                f"The schedule was not written: the database is unavailable ({str(error).strip().splitlines()[0]})."
            )
            raise CommandError(message) from error
        if report.is_empty:
            self.stdout.write("The schedule already matches the code; nothing changed.")
        for verb, names in (("added", report.added), ("changed", report.changed), ("disabled", report.withdrawn)):
            for name in names:
                self.stdout.write(f"{verb}: {name}")
