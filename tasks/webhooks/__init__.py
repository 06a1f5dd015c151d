"""Webhooks: which addresses may receive them, their signature, and one request within its limits."""

from __future__ import annotations
