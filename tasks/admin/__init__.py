"""The admin: videos, their jobs, attempts and events. It shows rows and calls services; no state can be edited."""

from __future__ import annotations

from . import attempts, jobs, records, videos

__all__ = ["attempts", "jobs", "records", "videos"]
