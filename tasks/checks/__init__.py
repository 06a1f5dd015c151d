"""System checks: missing or contradictory settings, each with the fix. None uses the network."""

from __future__ import annotations

from . import bridge, celery, host_rows, pages, web

__all__ = ["bridge", "celery", "host_rows", "pages", "web"]
