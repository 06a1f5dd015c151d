"""One probe for each part that `manage.py doctor` checks."""

from __future__ import annotations
