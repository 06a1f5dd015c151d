"""Services for pages, the admin and signal receivers: request and cancel jobs, delete videos, direct uploads."""

from __future__ import annotations
