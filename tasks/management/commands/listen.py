"""`manage.py listen`: receive AWS Batch's events and apply them, until SIGTERM."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...listener import HEALTH_LIMIT_S, Listener, is_alive


class Command(BaseCommand):
    """Run a listener, or check one."""

    help = (
        "Receive AWS Batch's events from the queue in VIDEO_BATCH_EVENT_QUEUE_URL and apply them until SIGTERM, so that attempts"
        " need not be polled often. Any number of listeners may run. Without a queue, it only waits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --health-file and --check."""
        parser.add_argument(
            "--health-file",
            type=Path,
            default=Path(tempfile.gettempdir()) / "batchreel-listener",
            metavar="FILE",
            help="File that the listener touches in each round (default: %(default)s).",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help=f"Only check that file: exit code 0 if a listener touched it within {HEALTH_LIMIT_S} s, else 1.",
        )

    def handle(self, *, health_file: Path, check: bool, **_: Any) -> None:
        """Listen until SIGTERM, or exit with the result of the check."""
        if check:
            sys.exit(0 if is_alive(health_file) else 1)
        Listener(health_file=health_file).run()
