"""`manage.py doctor`: is each part well, why, and the mend."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from tasks.batch.aws import aws_batch
from tasks.doctor.batch import look_at_definition, look_at_queue
from tasks.doctor.broker import look_at_broker
from tasks.doctor.database import look_at_database
from tasks.doctor.examine import Probe, examine
from tasks.doctor.finding import Condition
from tasks.doctor.from_batch import look_from_batch
from tasks.doctor.jobs import look_at_jobs
from tasks.doctor.leftovers import look_for_leftovers
from tasks.doctor.machines import look_at_machines
from tasks.doctor.media import look_at_ffmpeg, look_at_player
from tasks.doctor.permissions import look_at_permissions
from tasks.doctor.settings import look_at_settings
from tasks.doctor.storage import look_at_storage
from tasks.doctor.ticks import look_at_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.doctor.finding import Finding

PROBES = (
    Probe("settings", look_at_settings),
    Probe("database", look_at_database),
    Probe("broker", look_at_broker),
    Probe("ticks", look_at_ticks),
    Probe("storage", look_at_storage),
    Probe("queue", look_at_queue),
    Probe("definition", look_at_definition),
    Probe("machines", look_at_machines),
    Probe("permissions", look_at_permissions),
    Probe("ffmpeg", look_at_ffmpeg),
    Probe("player", look_at_player),
    Probe("jobs", look_at_jobs),
    Probe("leftovers", look_for_leftovers),
)


class Command(BaseCommand):
    """Look at every part; exit code 0 only if none is unwell or unknown."""

    help = "Look at every part that the bridge needs: is it well, why, and the mend. Exit code 1 if any is not."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json, --from-batch and --wait."""
        parser.add_argument(
            "--from-batch",
            action="store_true",
            help="Submit a small Batch job that looks at database, storage, disk and image from a container's side, too.",
        )
        parser.add_argument(
            "--wait", type=float, default=600, metavar="S", help="Seconds that it may take (default: %(default)g)."
        )
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="Write the findings as JSON, for machines."
        )

    def handle(self, *, as_json: bool, from_batch: bool, wait: float, **_: Any) -> None:
        """End the process with exit code 1 if any part is unwell or unknown."""
        findings = examine(PROBES)
        if from_batch:
            findings += look_from_batch(batch=aws_batch(), wait_s=wait, say=self._say)
        is_well = not any(finding.fails for finding in findings)
        if as_json:
            self.stdout.write(json.dumps({"well": is_well, "findings": [asdict(each) for each in findings]}, indent=2))
        else:
            self._table(findings, is_well=is_well)
        if not is_well:
            sys.exit(1)

    def _say(self, line: str) -> None:
        """Beside the findings, so that JSON stays JSON."""
        self.stderr.write(line)

    def _table(self, findings: list[Finding], *, is_well: bool) -> None:
        styles: dict[Condition, Callable[[str], str]] = {
            Condition.WELL: self.style.SUCCESS,
            Condition.WARNING: self.style.WARNING,
            Condition.UNWELL: self.style.ERROR,
            Condition.UNKNOWN: self.style.ERROR,
        }
        wide = max(len(each.part) for each in findings)
        for each in findings:
            condition = styles[each.condition](f"{each.condition:<8}")
            self.stdout.write(f"{condition} {each.part:<{wide}}  {each.why}")
            if each.mend:
                self.stdout.write(f"{'':<8} {'':<{wide}}  Mend: {each.mend}")
        counts = {one: sum(each.condition is one for each in findings) for one in Condition}
        summary = ", ".join(f"{count} {one}" for one, count in counts.items() if count)
        self.stdout.write((self.style.SUCCESS if is_well else self.style.ERROR)(f"{summary}."))
