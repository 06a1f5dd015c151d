"""Fault injection for the local AWS Batch: lost responses, throttling, late or empty responses."""

from __future__ import annotations
