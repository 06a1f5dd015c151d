"""The stack that needs no installation: PostgreSQL, Redis and an AWS endpoint as plain processes on loopback."""

from __future__ import annotations
