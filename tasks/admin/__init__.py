"""The admin: videos, and what became of them. It shows rows and calls services; no state can be edited anywhere."""

from __future__ import annotations

from . import attempts, jobs, records, videos

__all__ = ["attempts", "jobs", "records", "videos"]
