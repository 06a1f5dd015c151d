"""The program that Batch runs: `python -m tasks.container JOB ATTEMPT`. A loop over claims of units, with a heartbeat beside it."""

from __future__ import annotations
