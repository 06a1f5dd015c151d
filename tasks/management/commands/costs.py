"""`manage.py costs`: what a month of encoding cost."""

from __future__ import annotations

import csv
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...models.cost import PriceSource, WastedBy
from ...selectors.costs import NOT_INCLUDED, SOURCE_LABELS, Cost, dollars, month_by_day, month_by_video, share, total

_MONTH = re.compile(r"(?P<year>[12]\d{3})-(?P<month>0[1-9]|1[0-2])")
_COLUMNS = ("attempts", "cost", "lost to Spot", "to retries", "to cancels", "lost")
_AMOUNTS = ("cost_usd", "lost_to_spot_usd", "lost_to_retries_usd", "lost_to_cancels_usd")


class Command(BaseCommand):
    """Show what the containers of a month cost, by day or by video."""

    help = (
        "Show what the containers that started in a month cost, how much of it was lost, and where the prices come from."
        " Videos that were deleted since are included."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the month, the grouping and --csv."""
        parser.add_argument("--month", required=True, metavar="YYYY-MM", help="The month, in UTC.")
        parser.add_argument("--by", choices=("day", "video"), default="day", help="What a row is for; default: day.")
        parser.add_argument("--csv", action="store_true", help="Write the rows as CSV, without the totals.")

    def handle(self, **options: Any) -> None:
        """Write the table. Raise CommandError for something that is no month, or if the database is unavailable."""
        named = _MONTH.fullmatch(options["month"])
        if named is None:
            message = f"{options['month']!r} is not a month. Write it like 2026-11."
            raise CommandError(message)
        read = month_by_video if options["by"] == "video" else month_by_day
        try:
            rows = read(int(named["year"]), int(named["month"]))
        except DatabaseError as error:
            message = f"The database is unavailable ({str(error).strip().splitlines()[0]})."
            raise CommandError(message) from error
        if options["csv"]:
            self._write_csv(rows, by=options["by"])
        elif rows:
            self._write_table(rows, by=options["by"])
        else:
            self.stdout.write(f"No container started in {options['month']}, or none has ended yet.")

    def _write_csv(self, rows: list[Cost], *, by: str) -> None:
        writer = csv.writer(self.stdout)
        writer.writerow([by, "attempts", *_AMOUNTS, *(f"by_{source.replace('-', '_')}_usd" for source in PriceSource)])
        for row in rows:
            lost = [row.wasted.get(cause, 0) for cause in WastedBy]
            writer.writerow([row.label, row.attempts, row.usd, *lost, *(row.by_source.get(s, 0) for s in PriceSource)])

    def _write_table(self, rows: list[Cost], *, by: str) -> None:
        lines = [(by, *_COLUMNS), *map(_cells, rows), _cells(total(rows))]
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        for line in lines:
            cells = [line[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            self.stdout.write("  ".join(cells).rstrip())
        whole = total(rows)
        for source, label in SOURCE_LABELS.items():
            if usd := whole.by_source.get(source):
                self.stdout.write(f"{share(usd, whole.usd)} by {label}: {dollars(usd)}")
        self.stdout.write(str(NOT_INCLUDED))


def _cells(cost: Cost) -> tuple[str, ...]:
    lost = (dollars(cost.wasted[cause]) if cost.wasted.get(cause) else "-" for cause in WastedBy)
    return cost.label, str(cost.attempts), dollars(cost.usd), *lost, share(cost.wasted_usd, cost.usd)
