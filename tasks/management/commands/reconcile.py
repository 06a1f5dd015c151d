"""`manage.py reconcile`: what is amiss between the rows and AWS Batch, said first, mended with --apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...batch.aws import aws_batch
from ...batch.errors import BatchError
from ...services.reconcile import Report, reconcile

if TYPE_CHECKING:
    from ...models import Event


class Command(BaseCommand):
    """Show, or mend."""

    help = (
        "Compare the rows with AWS Batch, now and for all jobs, as the ticks do a part at a time: videos without a job, ambiguous"
        " submissions, what became of the Batch jobs, silent containers, jobs that nobody is at work on, Batch jobs that nobody owns."
        " Says what it would do and why, and changes nothing without --apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --apply."""
        parser.add_argument("--apply", action="store_true", help="Do it.")

    def handle(self, *, apply: bool, **_: Any) -> None:
        """Raise CommandError, in one sentence, where the database or AWS does not answer: nothing was changed then.

        Likewise at the end where AWS refused to terminate a Batch job.
        """
        try:
            report = reconcile(batch=aws_batch(), apply_changes=apply)
        except (BatchError, ImproperlyConfigured) as error:
            message = f"Not reconciled: {error}. `manage.py doctor` says more."
            raise CommandError(message) from error
        except DatabaseError as error:
            message = f"Not reconciled: the database did not answer ({str(error).strip().splitlines()[0]})."
            raise CommandError(message) from error
        self._show(report, applied=apply)
        if report.not_terminated:
            count, failure = len(report.not_terminated), report.not_terminated[0][1]
            message = f"{count} Batch jobs were not terminated: {failure}. The reap tick tries it again."
            raise CommandError(message)

    def _show(self, report: Report, *, applied: bool) -> None:
        if report.is_empty:
            self.stdout.write("Rows and AWS Batch agree; there is nothing to do.")
            return
        self.stdout.write("Done:" if applied else "Would be done:")
        for event in report.events:
            self.stdout.write(f"  {_line(event)}")
        for batch_job_id, reason in report.terminated:
            self.stdout.write(f"  terminate Batch job {batch_job_id}: {reason}")
        for batch_job_id, failure in report.not_terminated:
            self.stdout.write(f"  NOT terminated: Batch job {batch_job_id}: {failure}")
        if not applied:
            self.stdout.write("Nothing was changed. Run it again with --apply to do it.")


def _line(event: Event) -> str:
    whose = f"job {event.job_id}" if event.job_id else f"video {event.video_id}"
    if event.attempt_number:
        whose += f", attempt {event.attempt_number}"
    change = f" {event.from_state or '-'} -> {event.to_state}" if event.to_state else ""
    why = f": {event.text}" if event.text else ""
    return f"{event.kind} ({whose}){change}{why}"
