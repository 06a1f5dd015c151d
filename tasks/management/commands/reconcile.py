"""`manage.py reconcile`: show how the rows and AWS Batch differ, and repair it with --apply."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...batch.aws import aws_batch
from ...batch.errors import BatchError
from ...services.reconcile import Report, event_line, reconcile


class Command(BaseCommand):
    """Show the differences, or repair them."""

    help = (
        "Compare the rows with AWS Batch for all jobs at once, as the ticks do for a few at a time: videos without a job, ambiguous"
        " submissions, statuses of the Batch jobs, containers without heartbeat, jobs without a live attempt, and orphans."
        " Prints what it would do and why, and changes nothing without --apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --apply."""
        parser.add_argument("--apply", action="store_true", help="Apply the changes.")

    def handle(self, *, apply: bool, **_: Any) -> None:
        """Reconcile.

        Raise CommandError with a one-line message if the database or AWS is unavailable: nothing
        was changed then. Raise CommandError after all other changes if AWS refused to terminate a
        Batch job.
        """
        try:
            report = reconcile(batch=aws_batch(), apply_changes=apply)
        except (BatchError, ImproperlyConfigured) as error:
            message = f"Not reconciled: {error}. Run `manage.py doctor` for details."
            raise CommandError(message) from error
        except DatabaseError as error:
            message = f"Not reconciled: the database is unavailable ({str(error).strip().splitlines()[0]})."
            raise CommandError(message) from error
        self._show(report, applied=apply)
        if report.not_terminated:
            count, failure = len(report.not_terminated), report.not_terminated[0][1]
            message = f"{count} Batch jobs were not terminated: {failure}. The reap tick tries again."
            raise CommandError(message)

    def _show(self, report: Report, *, applied: bool) -> None:
        if report.is_empty:
            self.stdout.write("Rows and AWS Batch agree; there is nothing to do.")
            return
        self.stdout.write("Done:" if applied else "Would do:")
        for event in report.events:
            self.stdout.write(f"  {event_line(event)}")
        for batch_job_id, reason in report.terminated:
            self.stdout.write(f"  terminate Batch job {batch_job_id}: {reason}")
        for batch_job_id, failure in report.not_terminated:
            self.stdout.write(f"  NOT terminated: Batch job {batch_job_id}: {failure}")
        if not applied:
            self.stdout.write("Nothing was changed. Run it again with --apply to apply these changes.")
