"""What the beat ticks do: submit, observe, rescue, reap, purge."""

from __future__ import annotations
