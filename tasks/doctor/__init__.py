"""What `manage.py doctor` looks at: one probe for each part that runs, each bounded in time, none stopping another."""

from __future__ import annotations
