"""The bodies of the beat ticks: submit, observe, rescue, reap, purge."""

from __future__ import annotations
