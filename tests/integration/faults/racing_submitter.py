"""A program that takes due jobs as the submit tick does, as fast as it can: each line on its standard input starts a round.

It answers with the number of attempts that it took.
"""

from __future__ import annotations

import sys

import django

django.setup()

from django.db import connection  # noqa: E402 - needs the setup

from tasks.models import Job  # noqa: E402
from tasks.services.ticks.submit import take_due  # noqa: E402

_AT_ONCE = 7
"""Of the jobs, not a divisor: some takes are smaller than others."""


def main() -> None:
    """Take until nothing is due, round after round."""
    connection.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        taken = 0
        while Job.objects.filter(next_attempt_at__isnull=False).exists():
            taken += len(take_due(limit=_AT_ONCE))
        sys.stdout.write(f"{taken}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
