"""The bodies of the beat ticks: submit, observe, rescue, reap. Purging is in `services.removal`."""

from __future__ import annotations
