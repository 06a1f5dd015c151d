"""`manage.py sync_schedule`: the code's beat entries, into django-celery-beat's tables. Migrating does the same."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ...schedule.sync import sync_entries


class Command(BaseCommand):
    """Write the beat entries, and say what changed."""

    help = "Write the beat entries of the code to the database. An entry that an operator disabled stays disabled."

    def handle(self, **_: Any) -> None:
        """Raise CommandError where the database cannot be reached."""
        try:
            report = sync_entries()
        except DatabaseError as error:
            message = (
                f"The schedule was not written: the database did not answer ({str(error).strip().splitlines()[0]})."
            )
            raise CommandError(message) from error
        if report.is_empty:
            self.stdout.write("The schedule is as the code says; nothing changed.")
        for verb, names in (("added", report.added), ("changed", report.changed), ("switched off", report.withdrawn)):
            for name in names:
                self.stdout.write(f"{verb}: {name}")
