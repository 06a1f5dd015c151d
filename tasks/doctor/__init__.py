"""The checks of `manage.py doctor`: one probe per part, each with a deadline, each independent of the others."""

from __future__ import annotations
