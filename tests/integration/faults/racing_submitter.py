"""Program that takes due jobs as the submit tick does, as fast as it can; each line on its stdin starts a round.

It answers each line with the number of attempts that it took.
"""

from __future__ import annotations

import sys

import django

django.setup()

from django.db import connection  # noqa: E402 - needs the setup

from tasks.models import Job  # noqa: E402
from tasks.services.ticks.submit import take_due  # noqa: E402

_TAKE_LIMIT = 7
"""Not a divisor of the number of jobs, so that some takes are smaller than others."""


def main() -> None:
    """Take jobs until none is due, round after round."""
    connection.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        taken = 0
        while Job.objects.filter(next_attempt_at__isnull=False).exists():
            taken += len(take_due(limit=_TAKE_LIMIT))
        sys.stdout.write(f"{taken}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
