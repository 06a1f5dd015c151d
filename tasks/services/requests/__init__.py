"""What people, pages and receivers call: request, cancel and delete jobs, direct uploads."""

from __future__ import annotations
