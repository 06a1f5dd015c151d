"""Step 1: read a source once and describe it.

All modules except `probe`, `trial` and `sniff` run only in a sandboxed child process.
"""

from __future__ import annotations
