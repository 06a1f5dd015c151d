"""The work on a job: its chart, which is SVG that needs no script, and the logs of its containers."""

from __future__ import annotations
