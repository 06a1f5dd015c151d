"""`manage.py doctor`: the status of each part, the reason, and the fix."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from ...batch.aws import aws_batch
from ...doctor.finding import Status
from ...doctor.from_batch import check_from_batch
from ...doctor.parts import PROBES
from ...doctor.runner import run_probes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...doctor.finding import Finding


class Command(BaseCommand):
    """Check every part; exit code 0 only if none has failed or is unknown."""

    help = (
        "Check every part that the bridge needs, and print its status (OK, WARNING, FAILED or UNKNOWN), the reason and the fix."
        " Exit code 1 if any part is FAILED or UNKNOWN."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json, --from-batch and --wait."""
        parser.add_argument(
            "--from-batch",
            action="store_true",
            help="Also submit a small Batch job that checks database, storage, disk and image from inside a container.",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=600,
            metavar="S",
            help="Maximum number of seconds to wait for that Batch job (default: %(default)g).",
        )
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="Write the findings as JSON, for programs."
        )

    def handle(self, *, as_json: bool, from_batch: bool, wait: float, **_: Any) -> None:
        """Run the checks, and exit with code 1 if any part has failed or is unknown."""
        findings = run_probes(PROBES)
        if from_batch:
            findings += check_from_batch(batch=aws_batch(), wait_s=wait, report=self._log)
        is_ok = not any(finding.fails for finding in findings)
        if as_json:
            self.stdout.write(json.dumps({"ok": is_ok, "findings": [asdict(each) for each in findings]}, indent=2))
        else:
            self._table(findings, is_ok=is_ok)
        if not is_ok:
            sys.exit(1)

    def _log(self, line: str) -> None:
        """Write progress to stderr, so that stdout stays valid JSON."""
        self.stderr.write(line)

    def _table(self, findings: list[Finding], *, is_ok: bool) -> None:
        styles: dict[Status, Callable[[str], str]] = {
            Status.OK: self.style.SUCCESS,
            Status.WARNING: self.style.WARNING,
            Status.FAILED: self.style.ERROR,
            Status.UNKNOWN: self.style.ERROR,
        }
        wide = max(len(each.part) for each in findings)
        for each in findings:
            status = styles[each.status](f"{each.status.upper():<8}")
            self.stdout.write(f"{status} {each.part:<{wide}}  {each.why}")
            if each.fix:
                self.stdout.write(f"{'':<8} {'':<{wide}}  Fix: {each.fix}")
        counts = {one: sum(each.status is one for each in findings) for one in Status}
        summary = ", ".join(f"{count} {one.upper()}" for one, count in counts.items() if count)
        self.stdout.write((self.style.SUCCESS if is_ok else self.style.ERROR)(f"{summary}."))
