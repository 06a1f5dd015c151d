#!/usr/bin/env python
"""Django's command line. `manage.py doctor` says whether everything that the system needs is well."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - only once the settings are named

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
