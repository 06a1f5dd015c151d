"""The admin: videos, jobs, attempts, events, webhooks. It shows rows and calls services; no state can be edited."""

from __future__ import annotations

from . import attempts, jobs, operations, outbox, records, videos, webhooks

__all__ = ["attempts", "jobs", "operations", "outbox", "records", "videos", "webhooks"]
