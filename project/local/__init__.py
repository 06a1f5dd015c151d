"""The local stack: PostgreSQL, Redis and an AWS endpoint as plain loopback processes, without installation."""

from __future__ import annotations
