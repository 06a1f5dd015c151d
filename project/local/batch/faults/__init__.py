"""Faults on demand in the local AWS Batch: lost answers, throttles, late or empty responses."""

from __future__ import annotations
