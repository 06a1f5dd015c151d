"""The operators' page: figures, failures and ticks of the whole site, checks on demand, and beat's schedule."""

from __future__ import annotations

from . import page, periodic_tasks

__all__ = ["page", "periodic_tasks"]
