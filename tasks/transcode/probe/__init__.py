"""Step 1: read a source once and describe it. All but `probe` and `sniff` runs in a sandboxed child process only."""

from __future__ import annotations
