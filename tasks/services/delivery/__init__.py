"""Delivery of the outbox's events, at least once and in the order of each video: signals, webhooks, mail."""

from __future__ import annotations
